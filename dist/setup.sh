#!/bin/bash
# Installs what Sluice needs from the machine's own Debian package sources.
#
#   dist/setup.sh WHAT...      WHAT: build  run  lint  clang  test  lab  clients  az245  bench  debian13
#
# build    compilers and libraries
# run      QEMU 8 or newer, libvirt, what `sluice image build` packs, and the switch's user
# lint     formatter, checker of scripts
# clang    the second compiler, for `make check-all`
# test     what the test suites drive (scapy, nftables, ...)
# lab      what `make check-lab` starts its machines with: Debian 13's QEMU, and Open vSwitch, too (in folders of their own)
# clients  the real az: Debian 13's 2.74 (in a folder of its own on Debian 12)
# az245    Debian 12's own az 2.45, for `make check-clients`
# bench    Open vSwitch with DPDK, testpmd, and DPDK's driver headers, for `make bench-switch`
# debian13 a Debian 13 in a folder, for `make check-all` on Debian 12 (test/debian13.sh)
#
# Mirrors are never named here: suites that the machine does not list yet
# (backports, trixie) are taken from the URI that its own sources already use.
set -euo pipefail
# Folder that holds trixie's root with az in it (Debian 12 only).
SLUICE_AZ_ROOT=${SLUICE_AZ_ROOT:-/var/cache/sluice/az-trixie}
# Folder that holds trixie's QEMU, for the lab's machines (test/lab/machine.py says why).
SLUICE_LAB_QEMU=${SLUICE_LAB_QEMU:-/var/cache/sluice/lab-qemu}
# Folder that holds Open vSwitch, which the lab measures beside Sluice (test/lab/offload_test.py).
SLUICE_LAB_OVS=${SLUICE_LAB_OVS:-/var/cache/sluice/lab-ovs}
# Folder that holds a Debian 13 to build and test in (Debian 12 only).
SLUICE_DEBIAN13=${SLUICE_DEBIAN13:-/var/cache/sluice/debian13}
# Folder of DPDK's driver headers, one folder a version; test/peers/meson.build looks here.
DRIVER_HEADERS=/var/cache/sluice/dpdk-driver
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

[ -r /etc/os-release ] || die "this is no Debian machine: /etc/os-release is missing"
# shellcheck disable=SC1091
. /etc/os-release
case ${ID:-}:${VERSION_ID:-} in
debian:12 | debian:13) ;;
*) die "Debian 12 or 13 is needed, this is ${PRETTY_NAME:-unknown}" ;;
esac
# The URI under which this machine gets Debian's main archive.
mirror() {
	{
		awk '/^URIs:/ {u = $2} /^Suites:/ {if ($2 == "'"$VERSION_CODENAME"'") print u}' \
			/etc/apt/sources.list.d/*.sources
		awk '$1 == "deb" {for (i = 2; i < NF; i++) if ($(i + 1) == "'"$VERSION_CODENAME"'") print $i}' \
			/etc/apt/sources.list /etc/apt/sources.list.d/*.list
	} 2>/dev/null | sed -n 1p || true # a list file that does not exist is no error
}

updated=
update() {
	[ "$(id -u)" = 0 ] || die "run as root: packages are missing and must be installed"
	[ -z "$updated" ] || return 0
	say "fetching package lists"
	apt-get -qq update || say "apt-get update failed; trying with the lists at hand"
	updated=1
}

# install [-t SUITE] PACKAGE...: installs what is missing, quietly; asks apt only then.
install() {
	local target=() missing=() p
	if [ "$1" = -t ]; then target=(-t "$2"); shift 2; fi
	for p; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	update
	say "installing ${missing[*]}"
	apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "${target[@]}" install "${missing[@]}" >/dev/null
}

add_backports() {
	local file=/etc/apt/sources.list.d/sluice-backports.sources uri
	grep -rqs "$VERSION_CODENAME-backports" /etc/apt/sources.list /etc/apt/sources.list.d && return 0
	uri=$(mirror)
	[ -n "$uri" ] || die "no apt source for $VERSION_CODENAME found; add one and run this again"
	cat >"$file" <<-SRC
		Types: deb
		URIs: $uri
		Suites: $VERSION_CODENAME-backports
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SRC
	updated=
}

qemu_major() { qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p'; }

setup_build() {
	install gcc libc6-dev make meson ninja-build pkg-config libglib2.0-dev libsoup-3.0-dev \
		libjansson-dev libsqlite3-dev libvirt-dev libnl-3-dev libnl-genl-3-dev libnl-route-3-dev \
		libdpdk-dev libssl-dev libjwt-dev libsmartcols-dev glib-networking
}

setup_run() {
	if [ "$(qemu_major || true)" = "" ] || [ "$(qemu_major)" -lt 8 ]; then
		local suite=()
		[ "$VERSION_ID" = 12 ] && { add_backports; suite=(-t "$VERSION_CODENAME-backports"); }
		update
		say "installing QEMU ${suite[*]}"
		apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "${suite[@]}" \
			install qemu-system-x86 qemu-utils >/dev/null
	fi
	install libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients iproute2 ethtool \
		e2fsprogs zstd xz-utils cpio kmod openssh-client debian-archive-keyring
	getent passwd sluice-switch >/dev/null || switch_user
}

switch_user() {
	[ "$(id -u)" = 0 ] || die "run as root: the switch's user is missing and must be made"
	say "making the user sluice-switch"
	useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin sluice-switch
}

setup_lint() { install clang-format shellcheck python3; }

setup_clang() { install clang libclang-rt-dev; }

setup_test() {
	install python3 curl jq openssl nftables iputils-ping iperf3 netcat-openbsd tcpdump procps \
		python3-scapy libasan8 libubsan1 dpdk-dev ethtool iproute2 isc-dhcp-client
}

setup_lab() {
	setup_run
	install python3 busybox-static pciutils iproute2 iputils-ping systemd udev nftables
	[ -e "$SLUICE_LAB_QEMU/.complete" ] || lab_qemu
	# Measured when it is there: the lab does not need it.
	[ -e "$SLUICE_LAB_OVS/.complete" ] || (lab_ovs) || say "the lab goes without Open vSwitch"
}

lab_qemu() {
	unpack trixie "$SLUICE_LAB_QEMU" --variant=extract --include=qemu-system-x86 --aptopt='APT::Install-Recommends "false"'
	cat >"$SLUICE_LAB_QEMU/qemu" <<-SCRIPT
		#!/bin/sh
		exec $SLUICE_LAB_QEMU/usr/lib64/ld-linux-x86-64.so.2 --library-path $SLUICE_LAB_QEMU/usr/lib/x86_64-linux-gnu \\
			$SLUICE_LAB_QEMU/usr/bin/qemu-system-x86_64 -L $SLUICE_LAB_QEMU/usr/share/qemu -L $SLUICE_LAB_QEMU/usr/share/seabios "\$@"
	SCRIPT
	chmod 755 "$SLUICE_LAB_QEMU/qemu"
	touch "$SLUICE_LAB_QEMU/.complete"
}

# Only unpacked, so that no service of it starts on this machine. Its programs run in the lab's, by the folder's own loader.
lab_ovs() {
	local root=$SLUICE_LAB_OVS program
	unpack "$VERSION_CODENAME" "$root" --variant=extract --include=openvswitch-switch \
		--aptopt='APT::Install-Recommends "false"'
	[ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
	mkdir "$root/programs"
	for program in "$root"/usr/bin/{ovs-appctl,ovs-vsctl,ovsdb-tool} "$root"/usr/sbin/ovsdb-server \
		"$root"/usr/lib/openvswitch-switch/ovs-vswitchd; do
		cat >"$root/programs/${program##*/}" <<-SCRIPT
			#!/bin/sh
			libraries=lib/x86_64-linux-gnu
			exec $root/\$libraries/ld-linux-x86-64.so.2 --library-path $root/\$libraries:$root/usr/\$libraries $program "\$@"
		SCRIPT
	done
	chmod 755 "$root"/programs/* && touch "$root/.complete"
}

# unpack RELEASE FOLDER OPTION...: makes a folder with the release's packages, as mmdebstrap's options say.
unpack() {
	local release=$1 folder=$2 uri
	shift 2
	install mmdebstrap debian-archive-keyring ca-certificates
	uri=$(mirror)
	say "unpacking $release's packages into $folder"
	rm -rf "$folder.new"
	mkdir -p "$(dirname "$folder")"
	mmdebstrap --mode=root "$@" "$release" "$folder.new" \
		"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $release main" >"$folder.log" 2>&1 ||
		die "fetching $release's packages failed; the last lines of $folder.log say why"
	rm -rf "$folder"
	mv "$folder.new" "$folder"
}

# Debian 12: a folder with trixie's az and its own Python and C library, unpacked and compiled (about 30 s), not
# a system: nothing of it is configured, and it runs by its own loader beside the machine's programs, in any
# user's shell, with no chroot. dist/az calls it.
setup_clients() {
	if [ "$VERSION_ID" = 13 ]; then
		PYTHONWARNINGS=ignore install azure-cli # it is compiled as it is installed, with warnings of no use to anyone
		return
	fi
	[ -e "$SLUICE_AZ_ROOT/.complete-2" ] && return
	local log=$SLUICE_AZ_ROOT.log
	unpack trixie "$SLUICE_AZ_ROOT" --variant=extract --include=azure-cli
	az_python "$SLUICE_AZ_ROOT"
	say "compiling az"
	"$SLUICE_AZ_ROOT/usr/bin/python3" -m compileall -q -j "$(nproc)" \
		-x '/azure/(?!(cli|common|core|profiles|mgmt/(compute|core|network|resource))/)|/(numpy|pandas|nltk|tests?)/' \
		"$SLUICE_AZ_ROOT/usr/lib/python3/dist-packages" "$SLUICE_AZ_ROOT"/usr/lib/python3.* >>"$log" 2>&1 ||
		say "some modules did not compile (see $log): az works, and starts slower"
	touch "$SLUICE_AZ_ROOT/.complete-2"
}

# Makes the folder's python3 start by the folder's own loader; sys.executable names it, so children do too.
az_python() {
	local root=$1 python
	python=$(readlink -f "$root/usr/bin/python3")
	rm "$root/usr/bin/python3"
	cat >"$root/usr/bin/python3" <<-SCRIPT
		#!/bin/sh
		exec $root/usr/lib64/ld-linux-x86-64.so.2 --library-path $root/usr/lib/x86_64-linux-gnu \\
			--argv0 "\$0" $python "\$@"
	SCRIPT
	chmod 755 "$root/usr/bin/python3"
}

setup_az245() { [ "$VERSION_ID" = 13 ] || install azure-cli; }

# A root with what builds and tests Sluice, as its own set-up installs it there. Services are not to start in it.
setup_debian13() {
	[ "$VERSION_ID" = 12 ] || return 0
	[ ! -e "$SLUICE_DEBIAN13/.complete" ] || return 0
	unpack trixie "$SLUICE_DEBIAN13" --variant=minbase --include=ca-certificates,debian-archive-keyring,make,python3
	printf '#!/bin/sh\nexit 101\n' >"$SLUICE_DEBIAN13/usr/sbin/policy-rc.d"
	chmod 755 "$SLUICE_DEBIAN13/usr/sbin/policy-rc.d"
	touch "$SLUICE_DEBIAN13/.complete"
}

setup_bench() {
	install openvswitch-switch-dpdk dpdk dpdk-dev libdpdk-dev pkg-config util-linux xz-utils
	local folder
	folder=$DRIVER_HEADERS/$(pkg-config --modversion libdpdk)
	[ -d "$folder" ] || driver_headers "$folder"
}

# libdpdk-dev leaves out the headers that a driver needs: they are taken from the source package of that very version.
driver_headers() {
	local folder=$1 version temp
	version=$(dpkg-query -W -f '${source:Version}' libdpdk-dev)
	[ "$(id -u)" = 0 ] || die "run as root: DPDK's driver headers are missing and must be fetched"
	say "fetching the driver headers of DPDK $version"
	temp=$(mktemp -d)
	mkdir -p "$temp/lists/partial" "$temp/sources"
	source_entries "$temp/sources"
	local apt=(apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$temp/sources"
		-o Dir::State::lists="$temp/lists" -o APT::Sandbox::User=root)
	"${apt[@]}" update
	say "downloading DPDK's source package"
	(cd "$temp" && "${apt[@]}" source --download-only "dpdk=$version" >/dev/null)
	tar -C "$temp" --wildcards -xf "$temp"/dpdk_*.orig.tar.* '*/ethdev_driver.h' '*/ethdev_vdev.h' '*/dev_driver.h' \
		'*/bus_driver.h' '*/bus_vdev_driver.h'
	mkdir -p "$folder.new"
	find "$temp" -name '*.h' -exec cp -t "$folder.new" {} +
	mv "$folder.new" "$folder"
	rm -rf "$temp"
}

# Writes the machine's own entries for this Debian to a folder, asked for source packages.
source_entries() {
	local folder=$1 file
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -e "$file" ] || continue
		awk -v RS= -v ORS='\n\n' '/(^|\n)Suites: *'"$VERSION_CODENAME"'/' "$file" |
			sed 's/^Types:.*/Types: deb-src/' >>"$folder/debian.sources"
	done
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -n "s/^deb \(.* ${VERSION_CODENAME}[^ ]* .*\)/deb-src \1/p" >"$folder/debian.list" || true # there may be no such files
}

[ $# -gt 0 ] || set -- build run
for what; do
	declare -F "setup_$what" >/dev/null || die "unknown part '$what'; parts: build run lint clang test lab clients az245 bench debian13"
	"setup_$what"
done
