#!/bin/bash
# Holds #include lines to src/layers: who may include whom, and which folder is the home of which foreign library.
# Prints one line for each include that breaks a rule; exits 1 when there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

# Foreign headers (extended regular expression) and the files that may include them.
HOMES='
sqlite3\.h                                          src/store/sqlite[a-z_]*\.c
libvirt/.*                                          src/vm/libvirt[a-z_]*\.[ch]
(netlink/.*|linux/(rtnetlink|netlink|devlink|if_link|pkt_sched|pkt_cls|tc_act/.*)\.h)  src/(nic|offload)/.*
rte_.*                                              src/(switch|offload|bench)/.*
'

find src -name '*.[ch]' -print0 | sort -z | xargs -0r awk -v homes="$HOMES" '
function fault(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; bad = 1 }

# "src/api/arm/x.c" is of folder "api" and of dialect "arm".
function folder_of(path, part) { split(path, part, "/"); return part[1] }
function dialect_of(path, part) { return split(path, part, "/") > 2 ? part[2] : "" }
function parent_of(path) { sub("/[^/]*$", "", path); return path }

function check_own(from, to, a, b) {
	a = folder_of(from); b = folder_of(to)
	if (system("test -e src/" to) != 0)
		return fault("\"" to "\" is not in src/; write includes from there")
	if (a != b && !(index(" " may[a] " ", " " b " ")))
		return fault("src/layers does not let " a " include " b " (\"" to "\")")
	if (a == "api" && dialect_of(from) && dialect_of(to) && dialect_of(from) != dialect_of(to))
		return fault("the dialect " dialect_of(from) " includes the dialect " dialect_of(to))
	if (to ~ /_priv\.h$/ && index(from, parent_of(to) "/") != 1)
		fault("\"" to "\" is private to src/" parent_of(to))
}

function check_foreign(header, i) {
	for (i = 1; i <= n_homes; i++)
		if (header ~ "^" pattern[i] "$" && FILENAME !~ "^" home[i] "$")
			fault("<" header "> belongs in " home[i])
}

BEGIN {
	while ((getline line < "src/layers") > 0)
		if (line !~ /^#/ && split(line, side, ":") == 2)
			may[side[1]] = side[2]
	n = split(homes, lines, "\n")
	for (i = 1; i <= n; i++)
		if (split(lines[i], word, " ") == 2) {
			pattern[++n_homes] = word[1]; home[n_homes] = word[2]
		}
}
FNR == 1 {
	here = substr(FILENAME, 5)
	if (!(folder_of(here) in may) && !(here in told)) {
		told[here] = 1
		fault("the folder " folder_of(here) " is not in src/layers")
	}
}
/^[ \t]*#[ \t]*include[ \t]*"/ { split($0, quoted, "\""); check_own(here, quoted[2]) }
/^[ \t]*#[ \t]*include[ \t]*</ { match($0, /<[^>]*>/); check_foreign(substr($0, RSTART + 1, RLENGTH - 2)) }
END { exit bad }
' || exit 1
