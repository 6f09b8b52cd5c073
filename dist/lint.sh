#!/bin/bash
# Checks of style that a machine can make. Prints TAP: one point a check; what a check found stands above its point.
#
#   dist/lint.sh [--fix]      --fix: first let the formatter rewrite the C files
set -euo pipefail
cd "$(dirname "$0")/.."

FORMATTER=14 # the clang-format whose taste decides; others differ from it in details
LINES_MAX=800
BANNED='gets|sprintf|vsprintf|strcat|strncat|strncpy|strtok|system|popen|alloca|atoi|atol|atoll|atof|tmpnam|mktemp|rand'

# files [PATTERN...]: the project's files, one a line; git's where there is git, else all of an unpacked release.
files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard -- "$@"
	else
		find . -path ./.git -prune -o -path './build*' -prune -o -path '*/__pycache__' -prune -o -type f -print | sed 's|^\./||' |
			while IFS= read -r file; do
				for pattern in "${@:-*}"; do
					# shellcheck disable=SC2254
					case $file in $pattern | $pattern/*) printf '%s\n' "$file" ;; esac
				done
			done
	fi | while IFS= read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done
}
c_files() { files '*.c' '*.h'; }
each() { xargs -rd '\n' "$@"; }

# scripts WORD: files whose first line starts with #! and matches WORD.
scripts() { files | each awk -v word="$1" 'FNR == 1 && /^#!/ && $0 ~ word { print FILENAME } { nextfile }'; }

# none PATTERN COMMAND...: fails with the matching lines of the files that COMMAND lists.
none() {
	local pattern=$1 found
	shift
	found=$("$@" | each grep -nHE -- "$pattern" || true)
	[ -z "$found" ] || { printf '%s\n' "$found"; return 1; }
}

formatter() { clang-format --version | sed -n 's/.*version \([0-9]*\).*/\1/p'; }

format() {
	local found
	if [ "$(formatter)" != $FORMATTER ]; then
		echo "# clang-format $FORMATTER decides, this is $(formatter)" >&3
		return 0
	fi
	found=$(c_files | each clang-format --dry-run 2>&1 | sed -n 's/:[0-9:]* warning: .*//p' | uniq -c)
	[ -z "$found" ] || { echo "$found"; echo "places to change; 'make format' does it"; return 1; }
}
layers() { dist/check-layers.sh; }
shell() { scripts '(ba)?sh$' | each shellcheck -x --severity=warning; }
executable() {
	scripts . | while IFS= read -r file; do
		[ -x "$file" ] || { echo "$file: starts with #! and is not executable"; return 1; }
	done
}
python() {
	{ files '*.py'; scripts python; } | sort -u | each python3 -c '
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path, encoding="utf-8").read(), path)'
}
# Tests and what they stand on may shell out.
product() { c_files | grep -vE '(_test|_rig|fixture|conformance)\.c$|/test_[^/]*\.c$'; }
banned() { none "(^|[^[:alnum:]_>.\"])($BANNED) ?\(" product; }
once() {
	local found
	found=$(files '*.h' | each grep -L '^#pragma once$' || true)
	[ -z "$found" ] || { printf '%s: has no #pragma once\n' "$found"; return 1; }
}
heads() {
	c_files | each awk '
		FNR == 1 && !/^\/\*/ { print FILENAME ": does not start with a comment that says what it is"; bad = 1 }
		{ nextfile }
		END { exit bad }'
}
lengths() {
	c_files | each awk -v max="$LINES_MAX" '
		FNR == max + 1 { print FILENAME ": is longer than " max " lines"; bad = 1 }
		END { exit bad }'
}
spaces() { none '[[:space:]]$' files '*.c' '*.h' '*.sh' '*.py' '*.md' '*.build' Makefile src/layers; }
# Packages come from the machine's own sources, and nothing knows in which folder a developer works.
places() {
	none 'https?://[a-z0-9.-]+\.(org|com|net|io|dev)\b' files dist .ci Makefile '*.build' &&
		none '(^|[^[:alnum:]_./-])/([w]ork|[r]oot|home/[a-z]+)/[a-z]' files
}
number=0 status=0
# check FUNCTION PROMISE: one point; a line that FUNCTION writes to descriptor 3 says why it was skipped.
check() {
	local ok=ok skipped
	number=$((number + 1))
	skipped=$(mktemp)
	("$1") 3>"$skipped" 2>&1 || { ok="not ok"; status=1; }
	printf '%s %d - %s%s\n' "$ok" "$number" "$2" "$(sed 's/^#/ # SKIP/' "$skipped")"
	rm -f "$skipped"
}

[ "${1:-}" != --fix ] || c_files | each clang-format -i
check format "C files are as clang-format writes them"
check layers "includes keep to src/layers"
check shell "shellcheck has no complaint"
check executable "scripts are executable"
check python "Python files parse"
check banned "no banned function is called"
check once "headers say #pragma once"
check heads "C files start with what they are"
check lengths "no C file is longer than $LINES_MAX lines"
check spaces "no line ends in white space"
check places "no file names a public host or a developer's folder"
printf '1..%d\n' "$number"
exit "$status"
