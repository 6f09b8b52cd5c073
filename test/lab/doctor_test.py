#!/usr/bin/python3
"""`sluice doctor` and `sluice host show` on real kernels with SR-IOV NICs: one that is well, and deliberately broken ones;
`sluice-guest doctor` on a VF.

    doctor_test.py SLUICE KERNEL-FOLDER SLUICE-GUEST      folder of kernel.sh
"""
import json
import os
import re
import subprocess
import sys

from machine import Machine, judge, plain
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from tap import Tap  # noqa: E402

SLUICE, KERNEL, GUEST = plain(sys.argv[1]), sys.argv[2], plain(sys.argv[3])
HERE = os.path.dirname(os.path.abspath(__file__))
PF, VFS = "0000:01:00.0", ["0000:01:10.0", "0000:01:10.2", "0000:01:10.4"]
# Of emulated processors and this small machine, not of SR-IOV.
APART = {"processor", "kvm", "hugepages", "qemu", "libvirt"}


def findings(machine, more=""):
    """What the doctor finds that is not well: {(check, subject): text}."""
    status, text = machine.try_run(f"{SLUICE} doctor --json {more}")
    answer = json.loads(text)
    assert status == (1 if answer["problems"] else 0), (status, answer["problems"])
    for finding in answer["findings"]:
        assert finding["level"] == "ok" or finding["remedy"], finding
        assert "firmware" not in (finding["remedy"] or ""), ("this is a virtual machine", finding)
    return {(finding["check"], finding["subject"]): f"{finding['level']}: {finding['text']}"
            for finding in answer["findings"] if finding["level"] != "ok" and finding["check"] not in APART}


def show(machine):
    return json.loads(machine.run(f"{SLUICE} host show --json"))


def load(machine, vfs):
    machine.run("modprobe igb && ip link set dev eth0 up && ip link set dev eth1 up && "
                "until grep -q 1 /sys/class/net/eth0/carrier; do sleep 0.1; done")
    if vfs:
        machine.run(f"echo {vfs} >/sys/bus/pci/devices/{PF}/sriov_numvfs")


def well():
    """A host whose NIC has VFs, seen before and after they are made."""
    with Machine(KERNEL) as machine:
        load(machine, 0)
        before = findings(machine)
        assert before == {("nic", PF): "note: eth0 can have 7 VFs, and has none",
                          ("nic", "0000:02:00.0"): "note: eth1 can have 7 VFs, and has none"}, before
        machine.run(f"echo 3 >/sys/bus/pci/devices/{PF}/sriov_numvfs")
        after = findings(machine)
        assert ("nic", PF) not in after, after
        pf = show(machine)[0]
        assert (pf["address"], pf["driver"], pf["interface"], pf["id"]) == (PF, "igb", "eth0", "8086:10c9"), pf
        assert (pf["num_vfs"], pf["total_vfs"], pf["traffic_classes"]) == (3, 7, None), pf
        assert [vf["address"] for vf in pf["vfs"]] == VFS, pf
        machine.run("ip link set dev eth0 vf 1 mac 00:0d:3a:00:00:07 vlan 100")
        pf = show(machine)[0]
        assert pf["vfs"][1]["mac"] == "00:0d:3a:00:00:07" and pf["vfs"][1]["vlan"] == {"id": 100, "priority": 0}, pf
        assert pf["vfs"][0]["vlan"]["id"] == 0 and pf["vfs"][0]["trust"] is False, pf
        groups = {vf["iommu_group"] for vf in pf["vfs"]}
        assert len(groups) == 3 and None not in groups, pf
        capabilities(machine, pf)


def capabilities(machine, pf):
    """What an 82576 tells of itself: its firmware, what igb takes of VFs, and nothing of what VFs have carried."""
    assert pf["firmware"] and pf["firmware"][0].isdigit(), pf
    assert not any("statistics" in vf for vf in pf["vfs"]), pf
    enforcement = pf["enforcement"]
    answers = {ability["name"]: ability["answer"] for ability in enforcement["abilities"]}
    assert enforcement["provider"] == "sriov" and answers == {
        "mac": "yes", "vlan": "yes", "spoofchk": "yes", "trust": "yes", "rate": "yes", "link": "no", "policy": "no",
        "tunnels": "no", "addresses": "no"}, enforcement
    assert [network["enforcer"] for network in enforcement["networks"]] == [None, "hardware", None], enforcement
    channels = pf["queues"]["combined"]
    assert list(pf["queues"]) == ["combined"] and 1 <= channels["count"] <= channels["max"], pf
    text = machine.run(f"{SLUICE} host show")
    assert re.search(rf"^eth0 +1 {VFS[1]} 00:0d:3a:00:00:07 +100 +0 on +off +none auto -$", text, re.M), text
    assert "enforces mac, vlan, spoofchk, trust, rate" in text and "not link: its driver, igb, does not take it" in text, text


def in_use():
    """VFs that this host's own network configuration takes, and one that is given to vfio."""
    with Machine(KERNEL) as machine:
        load(machine, 2)
        machine.run("modprobe igbvf; sleep 1; for i in /sys/class/net/*; do readlink $i/device/physfn >/dev/null && "
                    "ip link set dev $(basename $i) up; done; true")
        found = findings(machine)
        for vf in VFS[:2]:
            assert "this host uses the VF itself" in found.get(("vf", vf), ""), found
        machine.run(f"modprobe vfio-pci && echo vfio-pci >/sys/bus/pci/devices/{VFS[0]}/driver_override && "
                    f"echo {VFS[0]} >/sys/bus/pci/devices/{VFS[0]}/driver/unbind && echo {VFS[0]} >/sys/bus/pci/drivers_probe")
        found = findings(machine)
        assert ("vf", VFS[0]) not in found and ("vf", VFS[1]) in found, found
        vfs = show(machine)[0]["vfs"]
        assert [vf["driver"] for vf in vfs] == ["vfio-pci", "igbvf"], vfs
        assert vfs[0]["interface"] is None and vfs[1]["interface"], vfs
        assert [vf["queues"] for vf in vfs] == [None, {"rx": {"count": 1}, "tx": {"count": 1}}], vfs


def host_file():
    """A host that has not what its host file says: VFs, interfaces, drivers, devices."""
    with Machine(KERNEL) as machine:
        load(machine, 2)
        machine.run("printf '[physical a]\\ndevices=eth0\\nvfs=4\\n[physical b]\\ndevices=0000:02:00.0\\n' >/run/host.conf && "
                    "ip link set eth1 down")
        found = findings(machine, "--host-file /run/host.conf")
        assert "eth0 has 2 of the 4 VFs that the host file wants" in found.get(("vfs", PF), ""), found
        assert "problem: its interface eth1 is down" in found.get(("link", "0000:02:00.0"), ""), found
        machine.run("echo 0 >/sys/class/net/eth0/device/sriov_numvfs; sed -i s/4/0/ /run/host.conf; ip link set eth1 up; "
                    "modprobe igbvf; echo 1 >/sys/class/net/eth0/device/sriov_numvfs; until ls /sys/class/net | grep eth2; do sleep 0.2; done; "
                    "mkdir -p /etc/network && echo 'iface eth2 inet dhcp' >/etc/network/interfaces")
        found = findings(machine, "--host-file /run/host.conf")
        assert "ifupdown configures the VF's interface eth2" in found.get(("vf", VFS[0]), ""), found
        machine.run("modprobe vfio-pci; cd /sys/bus/pci; echo vfio-pci >devices/0000:02:00.0/driver_override; "
                    "echo 0000:02:00.0 >devices/0000:02:00.0/driver/unbind; echo 0000:02:00.0 >drivers_probe; "
                    "printf '[physical c]\\ndevices=eth7\\n' >>/run/host.conf")
        found = findings(machine, "--host-file /run/host.conf")
        assert "the PF is bound to vfio-pci" in found.get(("driver", "0000:02:00.0"), ""), found
        assert "its device eth7 is not there" in found.get(("hostfile", None), ""), found


def no_room():
    """Firmware that left VFs no addresses, and a kernel that must not move the others'. Seen before VFs are asked for, and after."""
    with Machine(KERNEL, line="intel_iommu=on iommu=pt pci=realloc=off", crowded=True) as machine:
        load(machine, 0)
        found = findings(machine)
        assert "too little address space for its VFs" in found.get(("mmio", PF), "") and "failed to assign" in found["mmio", PF], found
        assert ("mmio", "0000:02:00.0") not in found, found
        status, text = machine.try_run(f"echo 1 >/sys/bus/pci/devices/{PF}/sriov_numvfs")
        assert status and "Cannot allocate memory" in text, text
        machine.run(f"dmesg | grep '{PF}: not enough MMIO resources for SR-IOV'") # which the doctor would know too


def room_is_made():
    """The same firmware, and a kernel as Debian builds it: it gives out all addresses anew."""
    with Machine(KERNEL, crowded=True) as machine:
        load(machine, 1)
        assert ("mmio", PF) not in findings(machine), findings(machine)


def no_iommu():
    """Firmware that describes no IOMMU."""
    with Machine(KERNEL, iommu=False) as machine:
        load(machine, 1)
        found = findings(machine)
        assert "the firmware describes no IOMMU" in found.get(("iommu", None), ""), found


def iommu_off():
    """An IOMMU that the kernel's command line turns off."""
    with Machine(KERNEL, line="intel_iommu=off") as machine:
        load(machine, 1)
        found = findings(machine)
        assert "intel_iommu=off" in found.get(("iommu", None), ""), found


def no_vfio():
    """A kernel without vfio: its modules are not there."""
    with Machine(KERNEL) as machine:
        machine.run("cd /lib/modules/$(uname -r) && rm -r kernel/drivers/vfio && sed -i /vfio/d modules.dep") # depmod takes half a minute
        found = findings(machine)
        assert "no vfio-pci" in found.get(("vfio", None), ""), found


def guest():
    """A VF as a guest sees it: without driver, down, up. The machine stands in for a guest, as its VF is on its own bus."""
    with Machine(KERNEL) as machine:
        def found():
            status, text = machine.try_run(f"{GUEST} doctor --json")
            answer = json.loads(text)
            assert status == (1 if answer["problems"] else 0), text
            return {finding["check"]: (finding["level"], finding["text"], finding["remedy"]) for finding in answer["findings"]}

        load(machine, 1)
        level, text, remedy = found()["driver"]
        assert level == "problem" and "82576 Virtual Function" in text and remedy.startswith("modprobe igbvf"), (text, remedy)
        machine.run("mv /lib/modules/$(uname -r)/modules.dep /run")
        level, text, remedy = found()["driver"]
        assert level == "problem" and "the kernel has no driver" in text and "igbvf" in remedy, (text, remedy)
        machine.run("mv /run/modules.dep /lib/modules/$(uname -r)/; modprobe igbvf; until test -e /sys/class/net/eth2; do sleep 0.2; done")
        level, text, remedy = found()["link"]
        assert (level, text, remedy) == ("problem", "it is down", "ip link set eth2 up"), (level, text, remedy)
        machine.run("ip link set eth2 up; until grep -q 1 /sys/class/net/eth2/carrier; do sleep 0.2; done; sleep 2")
        is_up = found()
        assert is_up["driver"][0] == is_up["interrupts"][0] == is_up["queues"][0] == "ok" and "link" not in is_up, is_up


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    tap = Tap(9, chained=False)
    tap.point("a host that is well has no problem, and its VFs are listed with their groups", well)
    tap.point("VFs that the host itself uses are problems, and one that vfio has is none", in_use)
    tap.point("a host that is not as its host file says is told in which way", host_file)
    tap.point("VFs that will find no addresses are told before they are made, and after", no_room)
    tap.point("VFs for which the kernel itself makes room are no problem", room_is_made)
    tap.point("firmware without an IOMMU is found", no_iommu)
    tap.point("an IOMMU that the kernel's line turns off is found", iommu_off)
    tap.point("a kernel without vfio is found", no_vfio)
    tap.point("in a guest a VF without driver, or down, is told, and one that works is seen to", guest)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
