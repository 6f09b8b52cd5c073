#!/bin/bash
# Makes the image of the lab's guest, a machine within the machine, where each second of starting is a minute's part: the
# lab's kernel, entered at once, and an initial RAM disk with busybox, the drivers of both paths, and sluice-guest.
#
#   guest.sh DIR SLUICE-GUEST
#
# DIR is the folder that kernel.sh has filled; DIR/images becomes an image store (src/vm/image.h) with the image lab-guest.
# What is there already is kept while kernel, program and these files are the same.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
die() { printf 'lab: %s\n' "$*" >&2; exit 1; }
dir=${1:?} program=${2:?}
kernel_root=$dir/extra
kernel_version=$(ls "$kernel_root/usr/lib/modules")
image=$dir/images/lab-guest
# shellcheck source=dist/image/kernel.sh
. "$here/../../dist/image/kernel.sh"

# Loaded at the start, and found when the kernel asks for them.
start_modules="virtio_pci virtio_net igbvf button evdev"
more_modules="virtio_blk e1000e nf_tables nft_ct nft_limit nft_reject_inet"

add_modules() { # FOLDER
	local to=$1/lib/modules/$kernel_version name file
	mkdir -p "$to"
	for name in $start_modules $more_modules; do module_files "$name"; done | sort -u |
		while read -r file; do copy_module "$file" "$to"; done
	find "$to" -name '*.ko' -exec strip --strip-debug -R .BTF {} + # signatures and types take seconds to read here
	depmod -b "$1" "$kernel_version" 2>/dev/null # it misses the lists of what is built in
	for name in $start_modules; do module_files "$name"; done | awk '!seen[$0]++' | while read -r file; do
		file=${file##*/}
		echo "/lib/modules/$kernel_version/${file%%.*}.ko"
	done >"$1/modules"
}

# With the libraries that it is linked with.
add_program() { # FOLDER FILE
	cp "$2" "$1/bin"
	ldd "$2" | grep -o '/[^ ]*' | while read -r file; do
		mkdir -p "$1${file%/*}"
		cp -L "$file" "$1$file"
	done
}

make_initrd() { # FILE
	local folder=$work/initrd
	mkdir -p "$folder"/{bin,dev,proc,sys,lib,run,tmp,var/log,var/run}
	cp -r "$here/guest/." "$folder"
	cp "$(command -v busybox)" "$folder/bin/busybox"
	ln -s busybox "$folder/bin/sh"
	strip -o "$folder/bin/sluice-guest" "$program"
	add_program "$folder" "$(command -v nft)"
	add_modules "$folder"
	(cd "$folder" && find . | cpio -o -H newc --quiet -R 0:0) >"$1"
}

# rodata=off: a kernel that looks through all page tables for what is writable and executable takes ten seconds for it here.
write_manifest() { # FILE
	cat >"$1" <<-JSON
		{
		  "id": "lab-guest",
		  "description": "busybox with the drivers of both paths, for the lab",
		  "disk": "disk.qcow2",
		  "format": "qcow2",
		  "kernel": "vmlinux",
		  "initrd": "initrd.cpio",
		  "cmdline": "console=ttyS0 quiet nokaslr mitigations=off tsc=reliable no_timer_check clocksource=tsc random.trust_cpu=on cryptomgr.notests clearcpuid=erms,fsrm lsm= audit=0 rodata=off maxcpus=1",
		  "os": "linux",
		  "accelerated": true
		}
	JSON
}

exec 9>"$dir.lock" # as kernel.sh
flock 9
[ -x "$program" ] || die "$program is missing: build sluice-guest first"
want=$(cat "$dir/stamp"; { cat "$0" "$program"; tar -C "$here" --sort=name --mtime=@0 -c guest; } | sha256sum)
[ "$want" != "$(cat "$image/stamp" 2>/dev/null)" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$image"
mkdir -p "$image"
ln "$dir/vmlinux" "$image/vmlinux"
make_initrd "$image/initrd.cpio"
qemu-img create -q -f qcow2 "$image/disk.qcow2" 64M
write_manifest "$image/manifest.json"
echo "$want" >"$image/stamp"
