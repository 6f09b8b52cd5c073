# Debian's kernel, unpacked for machines that are started straight into it. Sourced: by build.sh, and by the lab's
# kernel.sh. Whoever sources it has a die() and has set $kernel_root, where the package's boot and usr/lib/modules lie, and
# $kernel_version.
# shellcheck shell=bash

# The name of the current linux-image package.
kernel_package() {
	apt-cache depends --important linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | sed -n 1p
}

# Unpacks the ELF kernel out of a bzImage: QEMU enters it by its PVH note at once, where a bzImage first has to
# decompress itself, which takes seconds on an emulated CPU. Offsets: Documentation/arch/x86/boot.rst.
unpack_vmlinux() { # BZIMAGE VMLINUX
	local sectors offset length magic start
	number() { od -An -t "$2" -j "$(($1))" -N "$3" "$bzimage" | tr -d ' '; }
	local bzimage=$1
	sectors=$(number 0x1f1 u1 1)
	[ "$sectors" != 0 ] || sectors=4
	offset=$(number 0x248 u4 4)
	length=$(number 0x24c u4 4)
	start=$(((sectors + 1) * 512 + offset))
	magic=$(number "$start" x1 4)
	case $magic in
	fd377a58) set -- "$2" xz -dc ;;
	28b52ffd) set -- "$2" zstd -dcq ;;
	1f8b*) set -- "$2" gzip -dc ;;
	*) die "the kernel is packed in a way that is not known (it starts with $magic)" ;;
	esac
	# The last four bytes are the unpacked size, added by the kernel's build.
	head -c "$((start + length - 4))" "$bzimage" | tail -c "+$((start + 1))" | "${@:2}" >"$1"
	[ "$(head -c 4 "$1" | od -An -c | tr -d ' ')" = '177ELF' ] || die "the unpacked kernel is no ELF file"
}

# module_files NAME: paths of a module and what it needs, in the order of loading; nothing when it is built in
module_files() {
	modprobe -d "$kernel_root" -S "$kernel_version" --show-depends "$1" 2>/dev/null |
		awk '$1 == "insmod" {print $2}'
}

copy_module() { # FILE TO-FOLDER; unpacked, since an emulated CPU is slow at it
	local name=${1##*/}
	case $name in
	*.xz) xz -dc "$1" >"$2/${name%.xz}" ;;
	*.zst) zstd -dcq "$1" >"$2/${name%.zst}" ;;
	*) cp "$1" "$2/$name" ;;
	esac
}
