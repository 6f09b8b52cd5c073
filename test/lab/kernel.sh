#!/bin/bash
# Makes the lab's kernel: the machine's own Debian one, unpacked, and the initial RAM disk that starts it on the files
# of this machine.
#
#   kernel.sh DIR
#
# DIR gets vmlinux, initrd.cpio and extra/usr/lib/modules; what is there already is kept while the package and these files
# are the same. Needs root and what `dist/setup.sh lab` installs.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
die() { printf 'lab: %s\n' "$*" >&2; exit 1; }
kernel_root=${1:?}/extra
kernel_version=
# shellcheck source=dist/image/kernel.sh
. "$here/../../dist/image/kernel.sh"

# To reach the machine's files, by virtio-9p, and to lay changes over them.
start_modules="virtio_pci 9pnet_virtio 9p overlay"

make_initrd() { # FILE
	local folder=$work/initrd file
	mkdir -p "$folder"/{bin,dev,proc,sys,modules,below,extra,above,new}
	cp "$(command -v busybox)" "$folder/bin/busybox"
	ln -s busybox "$folder/bin/sh"
	for name in $start_modules; do module_files "$name"; done | awk '!seen[$0]++' | while read -r file; do
		copy_module "$file" "$folder/modules"
		basename "$file" | sed 's/\.[xz]*st*$//; s/\.ko.*/.ko/' >>"$folder/modules/list"
	done
	cp "$here/init" "$folder/init"
	(cd "$folder" && find . | cpio -o -H newc --quiet) >"$1"
}

package=$(kernel_package)
[ -n "$package" ] || die "apt knows no Debian kernel; run apt-get update"
mkdir -p "$(dirname "$1")"
exec 9>"$1.lock" # tests that run side by side make it once
flock 9
stamp=$1/stamp
want=$(apt-cache policy "$package" | sed -n 2,3p; cat "$0" "$here/init" "$here/../../dist/image/kernel.sh" | sha256sum)
[ "$want" != "$(cat "$stamp" 2>/dev/null)" ] || exit 0
printf 'lab: unpacking %s\n' "$package" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$1"
mkdir -p "$kernel_root/usr/lib"
ln -s usr/lib "$kernel_root/lib" # as on the machine below
chmod 0755 "$work" # apt's own user downloads
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package" >/dev/null) || die "cannot download $package"
dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb |
	tar -x -C "$kernel_root" --keep-directory-symlink --wildcards './boot/vmlinuz-*' '*/modules/*' --exclude='*/kernel/sound' \
		--exclude='*/drivers/gpu' --exclude='*/drivers/media' --exclude='*/net/wireless'
kernel_version=$(ls "$kernel_root/usr/lib/modules")
depmod -b "$kernel_root" "$kernel_version"
unpack_vmlinux "$kernel_root/boot/vmlinuz-$kernel_version" "$1/vmlinux"
rm -rf "${kernel_root:?}/boot"
make_initrd "$1/initrd.cpio"
echo "$want" >"$stamp"
