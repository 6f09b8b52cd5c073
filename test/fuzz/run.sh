#!/bin/bash
# Lets every fuzz target look for new inputs, and prints TAP.
#
#   test/fuzz/run.sh BUILD [TARGET...]      BUILD: where `ninja fuzzers` was run; no TARGET: all of them
#
# Each gets FUZZ_SECONDS (60). What is found grows in BUILD/fuzz/TARGET and is where the next run begins; an input that
# breaks a target is BUILD/fuzz/TARGET-crash-…, to be kept in corpus/TARGET when the fault is repaired.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
programs=$1/test/fuzz found=$1/fuzz
shift
seconds=${FUZZ_SECONDS:-60}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
if [ $# -eq 0 ]; then
	mapfile -t all < <(ls "$here/corpus")
	set -- "${all[@]}"
fi

number=0 status=0
echo "1..$#"
for target in "$@"; do
	ok=ok
	number=$((number + 1))
	mkdir -p "$found/$target"
	options=(-max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$found/$target-")
	# Text that begins as JSON is mutated with its words.
	! grep -qlE '^[[{]' -r "$here/corpus/$target" || options+=(-dict="$here/json.dict")
	if ! "$programs/fuzz_$target" "${options[@]}" "$found/$target" "$here/corpus/$target" >"$found/$target.log" 2>&1; then
		ok="not ok" status=1
		tail -n 60 "$found/$target.log"
	fi
	echo "$ok $number - $target: $(sed -n 's/^#\([0-9]*\)\s*DONE.*/\1/p' "$found/$target.log" | tail -n 1) inputs in $seconds s break nothing"
done
exit "$status"
