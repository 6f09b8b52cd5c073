#!/usr/bin/python3
"""`sluice host setup` on a real kernel and real igb ports: VFs made, kept and taken away again.

    setup_test.py SLUICE KERNEL-FOLDER      of kernel.sh
"""
import json
import os
import subprocess
import sys

from machine import Machine, judge, plain
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import Tap  # noqa: E402

SLUICE, KERNEL = plain(sys.argv[1]), sys.argv[2]
PF, OTHER, VF = "0000:01:00.0", "0000:02:00.0", "0000:01:10.0"
DEVICES = "/sys/bus/pci/devices"
# What setup may write to, and what of it is compared.
FILES = "/etc/default/grub.d /etc/modules-load.d /etc/udev/rules.d /etc/systemd/system /etc/systemd/network /etc/sysctl.d"
RULES, UNIT = "/etc/udev/rules.d/70-sluice-vfs.rules", "/etc/systemd/system/sluice-vfs.service"
# GRUB's own program, which this machine need not have.
GRUB = ("mkdir -p /etc/default && echo GRUB_DEFAULT=0 >/etc/default/grub && "
        "printf '#!/bin/sh\\necho ran >>/run/update-grub\\n' >/usr/local/sbin/update-grub && chmod +x /usr/local/sbin/update-grub")


class Test:
    def __init__(self, machine):
        self.machine = machine
        machine.run(f"modprobe igb && mkdir -p {FILES} /etc/sluice && {GRUB}")
        self.found = None

    def host_file(self, text):
        self.machine.run(f"cat >/etc/sluice/host.conf <<'END'\n{text}\nEND")

    def setup(self, action, status=0):
        """The steps: {(kind, object): step}."""
        got, text = self.machine.try_run(f"{SLUICE} host setup --{action} --json 2>/dev/null")
        assert got == status, (got, text)
        return {(step["kind"], step["object"]): step for step in json.loads(text)}

    def states(self, action, status=0):
        return {step["state"] for step in self.setup(action, status).values()}

    def vfs(self, pf=PF):
        return int(self.machine.run(f"cat {DEVICES}/{pf}/sriov_numvfs"))

    def snapshot(self):
        """Files, and what the kernel has of both ports."""
        return self.machine.run(
            f"find {FILES} -type f -exec md5sum {{}} + | sort; cd {DEVICES}; grep . {PF}/sriov_numvfs {PF}/sriov_drivers_autoprobe "
            f"{OTHER}/sriov_numvfs; cat /proc/sys/vm/nr_hugepages; ip -o link show eth0 | grep -o '<.*>' | grep -ow UP || echo down")

    def names_nothing(self):
        m = self.machine
        self.host_file("[physical physnet1]\ndevices = ens7\nvfs = 3")
        for action in ("plan", "apply"):
            status, text = m.try_run(f"{SLUICE} host setup --{action}")
            assert status == 1 and "physical network physnet1: its device ens7 is not there; this host has eth0" in text, text
        self.host_file("[physical physnet1]\ndevices = eth0\nvfs = 8")
        status, text = m.try_run(f"{SLUICE} host setup --apply")
        assert status == 1 and "eth0 can have 7 VFs, and 8 are wanted" in text, text
        self.host_file("[physical physnet1]\ndevices = eth0\nvfs = 3\nmode = switchdev")
        status, text = m.try_run(f"{SLUICE} host setup --apply")
        assert status == 1 and "the NIC or its driver has no eswitch (devlink shows none)" in text, text
        text = m.try_run(f"{SLUICE} doctor")[1]
        assert f"switchdev mode of eth0 (driver igb), and cannot have it: pci/{PF} shows no eswitch: No such device" in text, text
        assert self.vfs() == 0 and m.try_run(f"test -e {RULES}")[0], "nothing is done when one step is blocked"

    def plans(self):
        self.found = self.snapshot()
        self.host_file("[physical physnet1]\ndevices = eth0\nvfs = 3\n[physical physnet2]\ndevices = 0000:02:00.0\n[memory]\nhugepages = 8")
        steps = self.setup("plan")
        assert {step["state"] for step in steps.values()} == {"to do"}, steps
        assert (steps["vfs", PF]["now"], steps["vfs", PF]["wanted"]) == ("0", "3"), steps
        assert ("vfs", OTHER) not in steps and steps["link", OTHER]["wanted"] == "up", steps
        assert self.snapshot() == self.found

    def applies(self):
        m = self.machine
        assert self.states("apply") == {"done"}
        assert self.vfs() == 3
        m.run(f"for i in 0 1 2; do test -e {DEVICES}/{PF}/virtfn$i/iommu_group && ! test -e {DEVICES}/{PF}/virtfn$i/driver || exit 1; done")
        m.run("grep -qx vfio-pci /etc/modules-load.d/sluice.conf && test -d /sys/bus/pci/drivers/vfio-pci")
        m.run("ip -o link show eth0 | grep -qw UP && ip -o link show eth1 | grep -qw UP && test $(cat /proc/sys/vm/nr_hugepages) = 8")
        grub = m.run("GRUB_CMDLINE_LINUX_DEFAULT=quiet; . /etc/default/grub.d/50-sluice.cfg; echo $GRUB_CMDLINE_LINUX_DEFAULT")
        assert grub == "quiet intel_iommu=on iommu=pt\n", grub
        assert m.run("cat /run/update-grub") == "ran\n"

    def repeats(self):
        assert self.states("apply") == {"is so"} and self.states("plan") == {"is so"}
        assert self.machine.run("cat /run/update-grub") == "ran\n"

    def is_understood(self):
        """By systemd and udev themselves."""
        m = self.machine
        status, text = m.try_run(f"systemd-analyze verify --man=no {UNIT}")
        assert status == 0 and "sluice-vfs" not in text, text
        pf = m.run("udevadm test --action=add /sys/class/net/eth0 2>&1")
        assert "SYSTEMD_WANTS=sluice-vfs.service" in pf and "NM_UNMANAGED" not in pf, pf
        m.run(f"modprobe igbvf && echo igbvf >{DEVICES}/{VF}/driver_override && echo {VF} >/sys/bus/pci/drivers_probe")
        netdev = m.run(f"ls {DEVICES}/{VF}/net").strip()
        vf = m.run(f"udevadm test --action=add /sys/class/net/{netdev} 2>&1")
        assert "NM_UNMANAGED=1" in vf and "SLUICE_VF=1" in vf and "SYSTEMD_WANTS" not in vf, vf

    def keeps_used(self):
        """A VF whose interface is up, and one that a program has by vfio."""
        m = self.machine
        netdev = m.run(f"ls {DEVICES}/{VF}/net").strip()
        m.run(f"ip link set {netdev} up")
        self.host_file("[physical physnet1]\ndevices = eth0\nvfs = 5")
        problem = self.setup("apply", 1)["vfs", PF]["problem"]
        assert f"VF 0 ({VF}) is up, as {netdev}" in problem, problem
        m.run(f"ip link set {netdev} down && echo {VF} >{DEVICES}/{VF}/driver/unbind && "
              f"echo vfio-pci >{DEVICES}/{VF}/driver_override && echo {VF} >/sys/bus/pci/drivers_probe")
        m.run(f"sleep 1000 3<>/dev/vfio/$(basename $(readlink {DEVICES}/{VF}/iommu_group)) & echo $! >/run/user.pid; "
              "until grep -qx sleep /proc/$(cat /run/user.pid)/comm; do sleep 0.1; done")
        problem = self.setup("apply", 1)["vfs", PF]["problem"]
        assert f"VF 0 ({VF}) is open in sleep (process" in problem, problem
        assert self.vfs() == 3
        step = self.setup("revert", 1)["vfs", PF]
        assert step["state"] == "failed" and "is open in sleep (process" in step["problem"], step
        assert self.vfs() == 3

    def reverts(self):
        self.machine.run("kill $(cat /run/user.pid)")
        assert self.setup("revert")["vfs", PF]["state"] == "undone"
        assert self.snapshot() == self.found, (self.snapshot(), self.found)

    def boots(self):
        """A driver that is loaded anew makes no VFs by itself; what the unit starts does."""
        m = self.machine
        self.host_file("[physical physnet1]\ndevices = 8086:10c9\nvfs = 2")
        assert self.states("apply") == {"done"}
        m.run("rmmod igb && modprobe igb")
        assert (self.vfs(), self.vfs(OTHER)) == (0, 0)
        m.run(m.run(f"sed -n 's/^ExecStart=//p' {UNIT}"))
        assert (self.vfs(), self.vfs(OTHER)) == (2, 2)
        assert self.states("plan") == {"is so"}
        assert self.states("revert") == {"undone"} and (self.vfs(), self.vfs(OTHER)) == (0, 0)


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    with Machine(KERNEL, line="intel_iommu=on") as machine:
        test, tap = Test(machine), Tap(8)
        tap.point("a device that is not there and more VFs than the NIC can have are refused, and nothing is done", test.names_nothing)
        tap.point("a plan tells what would be done, and changes nothing", test.plans)
        tap.point("an apply makes the VFs, with IOMMU groups and no driver, and all files", test.applies)
        tap.point("a second apply has nothing to do", test.repeats)
        tap.point("udev asks for the unit when a PF comes, systemd accepts it, and VFs are marked as not to be managed", test.is_understood)
        tap.point("VFs in use keep their number, with the user's name, at an apply and at a revert", test.keeps_used)
        tap.point("a revert leaves the machine as found", test.reverts)
        tap.point("VFs are made again when the driver was loaded anew", test.boots)
        return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
