#!/bin/bash
# Makes netdevsim.ko for the lab's kernel. Debian builds it for no kernel; its source is in linux-source. It is Linux' own
# simulation of a NIC with an eswitch: devlink, its modes, representors of VFs.
#
#   netdevsim.sh KERNEL-DIR DIR
#
# KERNEL-DIR is what kernel.sh has filled. What is in DIR is kept while the kernel is the same. Downloads 150 MB and needs gcc,
# make and xz; nothing is installed.
set -euo pipefail
export LC_ALL=C
die() { printf 'lab: %s\n' "$*" >&2; exit 1; }
kernel=$(ls "${1:?}/extra/usr/lib/modules")
[ "$kernel" != "$(cat "${2:?}/kernel" 2>/dev/null)" ] || exit 0
version=${kernel%%-*}
series=${version%.*}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'lab: building netdevsim for %s\n' "$kernel" >&2
cd "$work"
apt-cache depends "linux-headers-$kernel" | sed -n 's/^ *|*Depends: \(linux-[hkc].*\)/\1/p' >parts # headers, kbuild, compiler
xargs apt-get -qq -o APT::Sandbox::User=root download "linux-source-$series" "linux-headers-$kernel" <parts >/dev/null ||
	die "cannot download the source of $kernel"
for package in linux-[hkc]*.deb; do dpkg-deb -x "$package" root; done
dpkg-deb --fsys-tarfile linux-source-*.deb | tar -xO --wildcards '*.tar.xz' | xz -dc |
	tar -x --strip-components=3 "linux-source-$series/drivers/net/netdevsim"
# It names its other half where it would be installed.
sed -i "s#/usr/src/#$work/root/usr/src/#" "root/usr/src/linux-headers-$kernel/Makefile"
make -s -C "root/usr/src/linux-headers-$kernel" "M=$work/netdevsim" CONFIG_NETDEVSIM=m modules >log 2>&1 || die "$(tail -5 log)"
strip --strip-debug netdevsim/netdevsim.ko
mkdir -p "$2"
cp netdevsim/netdevsim.ko "$2/"
echo "$kernel" >"$2/kernel"
