#!/bin/bash
# Builds this tree in a Debian 13 (`dist/setup.sh debian13`), with its gcc, DPDK 24.11 and libvirt, warnings as errors, and runs the unit
# tests there. Prints TAP. As root; what is mounted for it goes with its own namespaces.
#
#   test/debian13.sh      the build is kept in build-debian13
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=${SLUICE_DEBIAN13:-/var/cache/sluice/debian13}
BUILD=build-debian13

# shellcheck disable=SC1091
[ "$(. /etc/os-release && echo "$VERSION_ID")" = 12 ] || { echo "1..0 # SKIP this is no Debian 12: make check does the same here"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP must be root to change roots"; exit 0; }
[ -e "$ROOT/.complete" ] || { echo "1..0 # SKIP there is no Debian 13 in $ROOT: dist/setup.sh debian13"; exit 0; }

# inside COMMAND: in that root, in this tree.
inside() {
	unshare --mount --pid --fork --kill-child -- bash -ec '
		mount --make-rprivate /
		mount -t proc proc "$0/proc"
		mount --rbind /sys "$0/sys"
		mount --rbind /dev "$0/dev"
		mount -t tmpfs tmpfs "$0/run"
		mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
		mkdir -p "$0/src" "$0/run/netns"
		mount --bind . "$0/src"
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 chroot "$0" bash -c "cd /src && $1"' \
		"$ROOT" "$1" </dev/null 2>&1 | sed 's/^/# /'
}

failed=0
point() { # NUMBER PROMISE COMMAND
	echo "# $3"
	if inside "$3"; then echo "ok $1 - $2"; else echo "not ok $1 - $2"; failed=1; fi
}

echo 1..3
cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
point 1 "the set-up installs what a build and the tests need" "dist/setup.sh build run test"
point 2 "all of it builds there, without a warning" \
	"{ [ -e $BUILD/build.ninja ] || meson setup $BUILD -Dwerror=true; } && ninja -C $BUILD --quiet && pkg-config --modversion libdpdk"
point 3 "the unit tests pass there" "dist/run-tests.py --log $BUILD/test-logs unit@$BUILD"
exit "$failed"
