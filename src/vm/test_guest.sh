#!/bin/bash
# test_guest.sh DIR : makes DIR/vmlinuz and DIR/initrd.cpio, the smallest guest that the VM tests can talk to.
#
# Kernel and busybox come from this machine's Debian sources; they are unpacked, not installed. The guest loads its
# virtio drivers, prints GUEST-UP on the serial console and runs the lines that it reads there; it heeds the power
# button and reports a panic. Made once: a DIR that is there is kept.
set -euo pipefail
dir=$1
[ -e "$dir/vmlinuz" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
[ -n "$kernel" ] || { echo "linux-image-cloud-amd64 is in none of this machine's package lists" >&2; exit 1; }
apt-get -qq download "$kernel" busybox-static 2>&1
for deb in ./*.deb; do dpkg-deb -x "$deb" root; done
[ -d root/lib/modules ] || ln -s usr/lib root/lib
version=$(ls root/lib/modules)
depmod -b root "$version"
mkdir -p guest/{bin,proc,sys,dev,m,etc/acpi/PWRF,var/log,var/run} out
cp "$(find root -path '*bin/busybox' | head -n 1)" guest/bin/busybox
: >guest/modules
modprobe -d "$PWD/root" -S "$version" -a --show-depends \
	virtio_pci virtio_blk virtio_net button evdev pvpanic-mmio |
	awk '$1 == "insmod" {print $2}' | while read -r module; do
	name=$(basename "$module" .xz)
	[ -e "guest/m/$name" ] && continue
	case $module in *.xz) xz -dc "$module" >"guest/m/$name" ;; *) cp "$module" guest/m/ ;; esac
	echo "$name" >>guest/modules
done
printf '#!/bin/sh\npoweroff -f\n' >guest/etc/acpi/PWRF/00000080
cat >guest/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
while read -r module; do insmod "/m/$module"; done </modules
acpid
exec </dev/console >/dev/console 2>&1
echo GUEST-UP
while read -r line; do eval "$line"; done
INIT
chmod +x guest/init guest/etc/acpi/PWRF/00000080
(cd guest && find . | cpio -o -H newc --quiet) >out/initrd.cpio
cp "root/boot/vmlinuz-$version" out/vmlinuz
mkdir -p "$(dirname "$dir")"
rm -rf "$dir"
mv out "$dir"
