#!/bin/bash
# Makes Sluice's small Linux image from this machine's own Debian packages.
#
#   build.sh --store DIR --guest-tool FILE [--update] [--quiet]
#
# DIR/sluice-debianNN-HASH/ gets disk.qcow2 (ext4, no partitions), vmlinux and initrd.cpio for direct kernel
# boot, and manifest.json; src/vm/image.h says what the store promises. The id is printed. HASH stands for all
# that goes in: package versions, these files, the guest tool. So an image never changes under the disks that
# were made from it, and one that is there already is not built again. --update: update apt's lists first, so that
# newer packages make a new image.
#
# Nothing is mounted or installed: packages are downloaded as apt resolves them against an empty system, and
# unpacked; their maintainer scripts do not run. Needs root (owners of files), apt's lists, and the tools of `dist/setup.sh run`.
set -Eeuo pipefail
export LC_ALL=C
umask 022

here=$(cd "$(dirname "$0")" && pwd)
cache=${SLUICE_CACHE:-/var/cache/sluice}/image
disk_size=2G
store='' guest_tool='' update='' quiet=''

say() { [ -n "$quiet" ] || printf 'image: %s\n' "$*" >&2; }
die() { printf 'image: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
	case $1 in
	--store) store=${2:?}; shift ;;
	--guest-tool) guest_tool=${2:?}; shift ;;
	--update) update=1 ;;
	--quiet) quiet=1 ;;
	*) die "unknown argument '$1'; see the head of $0" ;;
	esac
	shift
done
if [ -z "$store" ] || [ -z "$guest_tool" ]; then die "--store and --guest-tool are needed"; fi
[ "$(id -u)" = 0 ] || die "run as root: the files of the image belong to root"
[ -x "$guest_tool" ] || die "$guest_tool is missing: build sluice-guest first"
for tool in apt-get dpkg-deb tar cpio xz zstd depmod modprobe mke2fs qemu-img sha256sum; do
	command -v "$tool" >/dev/null || die "$tool is missing; \`dist/setup.sh run\` installs it"
done
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "${ID:-unknown}${VERSION_ID:-}")

work=$(mktemp -d)
kernel_root=$work/kernel
# shellcheck source=dist/image/kernel.sh
. "$here/kernel.sh"
staging=''
# shellcheck disable=SC2317 # called by the trap
cleanup() { rm -rf "$work" ${staging:+"$staging"}; }
trap cleanup EXIT
trap 'die "line $LINENO of $0 failed"' ERR
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- packages ----

# apt against a made-up system in which nothing is installed but the packages marked "-NAME".
write_status() {
	local name
	sed -n 's/^-//p' "$here/packages" | while read -r name; do
		printf 'Package: %s\nStatus: install ok installed\nVersion: 9999:1\nArchitecture: amd64\n' "$name"
		printf 'Multi-Arch: foreign\nMaintainer: none\nDescription: not in the image\n\n'
	done >"$work/status"
}

apt_resolved() { # ARGUMENT...: apt-get install of the image's packages
	local kernel
	kernel=$(kernel_package)
	[ -n "$kernel" ] || return 1
	sed -e '/^[#-]/d' -e '/^$/d' -e "s/^KERNEL$/$kernel/" "$here/packages" |
		xargs apt-get -qq -y --no-install-recommends \
			-o Dir::State::status="$work/status" -o Dir::State::extended_states="$work/extended" \
			-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
			-o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@" install
}

# "FILE SIZE" of every package, in apt's order; it leaves out what is in its cache, so that one is an empty one.
resolve() {
	mkdir -p "$work/none/partial"
	apt_resolved -o Dir::Cache::archives="$work/none" --print-uris 2>"$work/apt.log" | sed -n "s/^'[^']*' \([^ ]*\.deb\) \([0-9]*\).*/\1 \2/p" \
		>"$work/packages"
	[ -s "$work/packages" ]
}

# What apt answers changes with its lists and configuration only, and takes it two seconds.
resolve_or_update() {
	local memory
	write_status
	memory=$cache/resolved-$({
		cat "$here/packages"
		find /var/lib/apt/lists /etc/apt -type f -printf '%p %s %T@\n' | sort
	} | sha256sum | cut -c1-16)
	if [ -s "$memory" ]; then
		cp "$memory" "$work/packages"
		return
	fi
	if ! resolve; then
		say "apt has no usable package lists; updating them"
		apt-get -qq update || true
		resolve || die "apt cannot resolve the image's packages: $(tail -n 3 "$work/apt.log" | tr '\n' ' ')"
		return # the lists are others now
	fi
	mkdir -p "$cache"
	rm -f "$cache"/resolved-*
	cp "$work/packages" "$memory.$$"
	mv "$memory.$$" "$memory"
}

download() {
	mkdir -p "$cache/archives/partial"
	# Two builds at a time would write the same files.
	exec 9>"$cache/lock"
	flock 9
	apt_resolved -o Dir::Cache::archives="$cache/archives" --download-only >"$work/apt.log" 2>&1 ||
		die "downloading failed: $(tail -n 3 "$work/apt.log" | tr '\n' ' ')"
	# What no current image needs is dropped.
	find "$cache/archives" -maxdepth 1 -name '*.deb' -printf '%f\n' | while read -r file; do
		grep -qF "$file " "$work/packages" || rm -f "$cache/archives/$file"
	done
}

# ---- what it is made from ----

inputs_hash() {
	{
		echo "$release $disk_size"
		cat "$work/packages"
		(cd "$here" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
		(cd "$here" && find . -type f -perm -u+x | sort)
		sha256sum <"$guest_tool"
	} | sha256sum | cut -c1-10
}

# ---- root file system ----

unpack_packages() {
	local root=$1 file _ junk='usr/share/doc usr/share/man usr/share/locale usr/share/info usr/share/lintian
		usr/share/bash-completion usr/share/bug usr/share/zoneinfo usr/share/gcc usr/share/gdb
		usr/lib/x86_64-linux-gnu/gconv usr/lib/systemd lib/systemd etc/init.d etc/default etc/cron.d
		var/cache var/lib/dpkg'
	local excludes=()
	for _ in $junk; do
		excludes+=(--exclude="./$_")
	done
	# One folder of programs, so that everything is on every PATH; libraries as Debian merges them.
	mkdir -p "$root"/usr/{bin,lib,lib64} "$root"/{dev,proc,sys,run,tmp,root,home,mnt,etc,var/log,var/lib/sluice-image}
	ln -s usr/bin "$root/bin"
	ln -s usr/bin "$root/sbin"
	ln -s bin "$root/usr/sbin"
	ln -s usr/lib "$root/lib"
	ln -s usr/lib64 "$root/lib64"
	# With sbin merged, a package's sbin/NAME -> /bin/NAME would replace bin/NAME, which comes before it.
	while read -r file _; do
		case $file in linux-image-*) continue ;; esac
		dpkg-deb --fsys-tarfile "$cache/archives/$file" |
			tar -x -C "$root" --keep-directory-symlink --skip-old-files "${excludes[@]}"
	done <"$work/packages"
}

# Own files over the packages', whoever owns and however umask left them in the source tree.
add_own_files() {
	local root=$1 applet
	tar -C "$here/rootfs" --owner=0 --group=0 --mode='u=rwX,go=rX' -c . |
		tar -x -C "$root" --keep-directory-symlink --no-overwrite-dir
	install -m 0755 "$guest_tool" "$root/usr/bin/sluice-guest"
	install -d -m 0755 "$root/etc/dropbear" "$root/etc/sudoers.d"
	ln -s /run/resolv.conf "$root/etc/resolv.conf" # written at each lease
	for applet in $("$root/usr/bin/busybox" --list); do
		[ -e "$root/usr/bin/$applet" ] || [ -L "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
	done
	ln -sf busybox "$root/usr/bin/sh" # dash's place
	check_programs "$root"
	chmod 0640 "$root/etc/shadow"
	chgrp 42 "$root/etc/shadow"
	chmod 0700 "$root/root"
	chmod 1777 "$root/tmp"
	printf 'NAME="Sluice image"\nPRETTY_NAME="Sluice image %s of %s packages"\nID=sluice\nID_LIKE=debian\n' \
		"$id" "$release" >"$root/etc/os-release"
}

# A link that leads nowhere is a program that nobody can run.
check_programs() {
	local broken
	# shellcheck disable=SC2016 # for the inner shell
	broken=$(chroot "$1" /usr/bin/busybox sh -c 'for path in /usr/bin/*; do [ -e "$path" ] || echo "$path"; done')
	[ -z "$broken" ] || die "links in the image lead nowhere: $(echo "$broken" | tr '\n' ' ')"
}

# ---- kernel ----

unpack_kernel() { # sets $kernel_version, $kernel_package_file
	local excludes=() dir
	for dir in drivers/gpu drivers/media drivers/staging drivers/infiniband drivers/usb drivers/net/wireless \
		drivers/iio drivers/scsi/q* drivers/scsi/lpfc sound; do
		excludes+=(--exclude="*/kernel/$dir")
	done
	kernel_package_file=$(sed -n 's/^\(linux-image-[^ ]*\) .*/\1/p' "$work/packages")
	mkdir -p "$kernel_root/usr/lib"
	ln -s usr/lib "$kernel_root/lib"
	dpkg-deb --fsys-tarfile "$cache/archives/$kernel_package_file" |
		tar -x -C "$kernel_root" --keep-directory-symlink --wildcards "${excludes[@]}" \
			'./boot/vmlinuz-*' './lib/modules/*' './usr/lib/modules/*' 2>/dev/null || true
	kernel_version=$(ls "$kernel_root/usr/lib/modules")
	[ -e "$kernel_root/boot/vmlinuz-$kernel_version" ] ||
		die "$kernel_package_file has no kernel or no modules where they are expected"
	depmod -b "$kernel_root" "$kernel_version"
}

add_modules() { # ROOT
	local folder=$1/usr/lib/modules/$kernel_version name file
	mkdir -p "$folder/kernel"
	sed -e '/^#/d' -e 's/^!//' "$here/modules" | while read -r name; do module_files "$name"; done | sort -u |
		while read -r file; do copy_module "$file" "$folder/kernel"; done
	cp "$kernel_root/usr/lib/modules/$kernel_version"/modules.{builtin,builtin.modinfo,order} "$folder/"
	for name in virtio_net net_failover e1000e; do
		[ -e "$folder/kernel/$name.ko" ] || die "$kernel_package_file has no $name: no pairs could be made"
	done
	depmod -b "$1" "$kernel_version"
}

make_initrd() { # ROOT OUT
	local folder=$work/initrd name file
	mkdir -p "$folder"/{bin,dev,proc,disk,modules}
	cp "$1/usr/bin/busybox" "$folder/bin/"
	ln -s busybox "$folder/bin/sh"
	install -m 0755 "$here/initrd/init" "$folder/init"
	sed -n 's/^!//p' "$here/modules" | while read -r name; do module_files "$name"; done | awk '!seen[$0]++' |
		while read -r file; do
			copy_module "$file" "$folder/modules"
			basename "$file" | sed 's/\.ko\..*/.ko/'
		done >"$folder/modules/list"
	find "$folder" -exec touch -h -d "@$epoch" {} +
	(cd "$folder" && find . | sort | cpio -o -H newc --quiet --reproducible -R 0:0) >"$2"
}

# ---- disk and manifest ----

make_disk() { # ROOT OUT
	local uuid
	uuid=$(echo "$id" | sha256sum | sed 's/\(........\)\(....\).\(...\).\(...\)\(............\).*/\1-\2-4\3-8\4-\5/')
	find "$1" -exec touch -h -d "@$epoch" {} +
	E2FSPROGS_FAKE_TIME=$epoch mke2fs -q -F -t ext4 -L sluice-root -U "$uuid" -m 1 -N 65536 -J size=16 \
		-E "hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0,nodiscard" \
		-d "$1" "$work/disk.raw" "$disk_size" >/dev/null
	qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$2"
}

write_manifest() { # FOLDER
	local description="Small Linux of $release packages under busybox init, kernel $kernel_version"
	cat >"$1/manifest.json" <<-JSON
		{
		  "id": "$id",
		  "description": "$description",
		  "disk": "disk.qcow2",
		  "format": "qcow2",
		  "kernel": "vmlinux",
		  "initrd": "initrd.cpio",
		  "cmdline": "console=ttyS0 quiet root=/dev/vda random.trust_cpu=on cryptomgr.notests",
		  "cmdline_tcg": "nokaslr mitigations=off tsc=reliable no_timer_check clocksource=tsc nohz=off",
		  "os": "linux",
		  "accelerated": true,
		  "built_from": "${kernel_package_file%_amd64.deb}",
		  "version": "1.0.$(date -u -d "@$epoch" +%Y%m%d)"
		}
	JSON
}

build() {
	local root=$work/root
	say "getting $(wc -l <"$work/packages") packages"
	download
	# Dates in the image are the kernel package's, so that the same inputs make the same files.
	unpack_kernel
	epoch=$(stat -c %Y "$kernel_root/boot/vmlinuz-$kernel_version")
	say "unpacking them, with Linux $kernel_version"
	unpack_packages "$root"
	add_own_files "$root"
	add_modules "$root"
	mkdir -p "$store"
	staging=$(mktemp -d "$store/.$id.XXXXXX")
	chmod 0755 "$staging"
	say "making kernel, initial RAM disk and disk"
	unpack_vmlinux "$kernel_root/boot/vmlinuz-$kernel_version" "$staging/vmlinux"
	make_initrd "$root" "$staging/initrd.cpio"
	make_disk "$root" "$staging/disk.qcow2"
	write_manifest "$staging"
	sync -f "$staging"
	publish
}

# One rename; another build of the same image may have been faster.
publish() {
	if ! mv -T "$staging" "$store/$id" 2>/dev/null; then
		[ -e "$store/$id/manifest.json" ] || die "$store/$id is in the way and is no image; remove it"
	fi
}

[ -z "$update" ] || apt-get -qq update || say "apt-get update failed; going on with the lists at hand"
resolve_or_update
id=sluice-$release-$(inputs_hash)
if [ ! -e "$store/$id/manifest.json" ]; then
	build
	say "made $id, $(du -shL "$store/$id" | cut -f1) on disk, in $SECONDS s"
else
	say "$id is made from these inputs already"
fi
echo "$id"
