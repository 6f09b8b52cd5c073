#!/usr/bin/python3
"""A whole cloud on a host with SR-IOV NICs, driven by the real az: a virtual network on a VLAN, NICs that get a function, one
that must not, one whose guest applies the rules, and what becomes of connections when functions go and come.

    cloud_test.py SLUICE SLUICE-GUEST AZ KERNEL-FOLDER      CYCLES=20: revocations

The cloud runs in the lab's compute host, its machines within that one. az runs on this machine and reaches the controller by a
forwarded port.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

from lab import HERE, PF, STATE, VFS, VLAN, OUTSIDE, Connection, Lab, Losses, free_port, note, spread, wait_for
from machine import Machine, judge, plain
from tap import Tap

SLUICE, GUEST, AZ, KERNEL = [plain(path) for path in sys.argv[1:5]]
CYCLES = int(os.environ.get("CYCLES", "20"))


class Test:
    """Steps in order; each builds on those before."""

    def __init__(self, lab):
        self.lab, self.az = lab, lab.az

    def comes_up(self):
        self.lab.set_up()
        self.lab.start(f"{KERNEL}/images")
        status = self.lab.cli("status")
        assert "sriov" in status, status
        assert [row["state"] for row in self.lab.functions()] == ["free"] * VFS, self.lab.functions()

    def has_networks(self):
        lab = self.lab
        lab.cli("network", "physical", "add", "physnet1", "--vlans", "100-199", "--guest-enforcement")
        self.az("group", "create", "-n", "lab", "-l", "centralus")
        lab.ask("network", "vnet", "create", "-n", "wire", "--address-prefixes", "10.9.0.0/16", "--subnet-name", "s",
                "--subnet-prefixes", "10.9.0.0/24", "--tags", f"sluice-segment=vlan:physnet1:{VLAN}")
        note(lab.cli("network", "list"))

    def has_nics(self):
        """The group's rules: the default ones open the network to itself, and one closes the echo service."""
        lab = self.lab
        lab.ask("network", "nsg", "create", "-n", "guard")
        lab.ask("network", "nsg", "rule", "create", "--nsg-name", "guard", "-n", "no-echo", "--priority", "100", "--protocol", "Tcp",
                "--destination-port-ranges", "7", "--access", "Deny", "--direction", "Inbound")
        lab.nic_create("open")
        lab.nic_create("guarded", "--network-security-group", "guard")
        lab.nic_create("trusted", "--network-security-group", "guard", "--tags", "sluice-enforcement=guest")

    def open_is_accelerated(self):
        lab = self.lab
        lab.vm_create("open")
        lab.wait_state("open", "attached")
        row = lab.function("open")
        assert lab.on_pf(row["index"]) == (row["mac"], VLAN), (lab.on_pf(row["index"]), row)
        note(lab.cli("vf", "list"))
        note(lab.in_guest("open", "pair; lspci | grep igbvf; sluice-guest doctor"))
        lab.wait_status("open", path="vf", enforcement="hardware")

    def counts_by_it(self):
        """The packets are the function's: its own interface in the guest counts them."""
        count = "for p in /sys/class/net/*; do case $(readlink $p/device/driver) in */igbvf) cat $p/statistics/rx_packets;; esac; done"
        before = int(self.lab.in_guest("open", count))
        self.lab.out(f"ping -q -c 20 -i 0.1 -W 5 {self.lab.addresses['open']}")
        after = int(self.lab.in_guest("open", count))
        assert after >= before + 20, (before, after)
        note(f"packets that the guest's VF has received: {before}, and {after} after 20 pings")

    def is_answered_on_it(self):
        """DHCP and metadata, which the host answers, come back by the function."""
        note(self.lab.in_guest("open", "udhcpc -n -q -t 5 -i eth0 -s /etc/dhcp 2>&1 | tail -n 1"))
        document = self.lab.in_guest("open", "wget -q -O - --header 'Metadata: true' 'http://169.254.169.254/metadata/instance?api-version=2021-02-01'")
        assert json.loads(document)["compute"]["name"] == "open", document

    def cycles(self):
        lab, told = self.lab, {"revoke": [], "restore": []}
        connection, losses = Connection(lab, "open"), Losses(lab, "open")
        for _ in range(CYCLES):
            for action in told:
                losses.mark(action)
                told[action].append(json.loads(lab.cli("vf", action, "open", "--json")))
                time.sleep(1)
        gaps = losses.end()
        for action, took in told.items():
            lost, silences = zip(*gaps[action])
            note(f"{action}, {CYCLES} times: {spread([one['total_ms'] for one in took])} in all; the longest gap between two of ten pings "
                 f"a second: {spread(silences)}; pings lost: {sorted(lost)}")
        note(f"one TCP connection carried {connection.end()} lines in order, none lost, none twice")

    def guarded_is_not(self):
        lab = self.lab
        lab.vm_create("guarded")
        status = wait_for("the reason", 120, lambda: lab.acceleration("guarded").get("reason") and lab.acceleration("guarded"))
        note(json.dumps(status))
        assert status["path"] == "synthetic" and status["enforcement"] == "switch" and "security groups" in status["reason"], status
        assert lab.function("guarded")["reason"] == status["reason"], lab.function("guarded")
        assert lab.pings("guarded"), "the group allows ping"
        assert not lab.connects("guarded"), "the group forbids it"

    def reach_each_other(self):
        """On one host, a function and a virtio NIC; and by what is for all: who has an address is asked by broadcast."""
        lab = self.lab
        for one, other in (("open", "guarded"), ("guarded", "open")):
            lab.in_guest(one, f"ip neigh flush dev eth0; ping -c 5 -W 5 {lab.addresses[other]}")
            note(lab.in_guest(one, f"arping -b -f -c 3 -w 10 -I eth0 {OUTSIDE} | tail -n 2"))
            lab.out(f"busybox arping -b -f -c 3 -w 10 -I wire {lab.addresses[one]}")

    def trusted_is_accelerated(self):
        lab = self.lab
        lab.vm_create("trusted")
        lab.wait_state("trusted", "attached", 400)
        note(json.dumps(lab.wait_status("trusted", path="vf", enforcement="guest")))
        assert lab.pings("trusted"), "the group allows ping"
        assert not lab.connects("trusted"), "the guest lets in what it must not"
        note(lab.in_guest("trusted", "nft list table inet sluice | head -n 20"))

    def rule_ends_it(self):
        """A group on the open NIC: the function goes before the rule counts as applied."""
        lab = self.lab
        lab.ask("network", "nic", "update", "-n", "open", "--network-security-group", "guard")
        assert lab.function("open")["state"] != "attached", lab.function("open")
        lab.wait_status("open", path="synthetic", enforcement="switch")
        assert lab.pings("open"), "the group allows ping"
        assert not lab.connects("open"), "the group forbids it"
        lab.ask("network", "nic", "update", "-n", "open", "--network-security-group", "null")
        lab.wait_state("open", "attached")

    def come_back(self):
        """After the PF's driver: VFs as udev's unit makes them, and each NIC has one."""
        lab = self.lab
        note(lab.run(f"{SLUICE} host setup --boot"))
        lab.machine.try_run(f"{SLUICE} host undrain --state {STATE}")
        for nic in ("open", "trusted"):
            lab.wait_state(nic, "attached", 400)
            assert lab.pings(nic), f"no answer of {nic}"

    def drains(self):
        """The drivers of both PFs are unloaded and loaded while the machines run."""
        lab = self.lab
        connection = Connection(lab, "open")
        note(lab.cli("host", "drain"))
        lab.run("modprobe -r igb", seconds=120)
        assert lab.machine.try_run(f"test -e /sys/bus/pci/devices/{PF}/net")[0], "the driver is still there"
        lab.run("modprobe igb")
        lab.connect_out()
        self.come_back()
        note(f"one TCP connection carried {connection.end()} lines in order")

    def reloads(self):
        """Nobody drained the host: the driver waits until guests have let the functions go."""
        lab = self.lab
        connection = Connection(lab, "open")
        lab.run(f"(echo {PF} >/sys/bus/pci/drivers/igb/unbind; ls -l /proc/[0-9]*/fd 2>&1 | grep /dev/vfio/[0-9] >/run/unbound.fds; "
                "date >/run/unbound) >/dev/null 2>&1 &")
        wait_for("the driver is gone", 200, lambda: lab.machine.try_run("test -e /run/unbound")[0] == 0)
        note(lab.run("dmesg | grep vfio-pci | tail -n 4"))
        assert not lab.run("cat /run/unbound.fds"), "a guest has a function, and its PF has no driver"
        lab.run(f"echo {PF} >/sys/bus/pci/drivers/igb/bind")
        self.come_back()
        note(f"one TCP connection carried {connection.end()} lines in order")

    def ends(self):
        self.az("group", "delete", "-n", "lab", "-y")
        wait_for("all functions are free", 60, lambda: [row["state"] for row in self.lab.functions()] == ["free"] * VFS)
        assert self.lab.inventory() == self.lab.before, (self.lab.inventory(), self.lab.before)


def points(test):
    return (
        ("a host is set up for functions, and a cloud runs on it", test.comes_up),
        ("a virtual network travels on a VLAN of a physical network", test.has_networks),
        ("NICs of it are made: open, guarded by a group, and with a guest that applies the group", test.has_nics),
        ("the open NIC gets a function, with its MAC and VLAN on the PF", test.open_is_accelerated),
        ("packets are counted by the function in the guest", test.counts_by_it),
        ("DHCP and metadata are answered on the function", test.is_answered_on_it),
        ("a connection outlives that the function goes and comes", test.cycles),
        ("the guarded NIC stays synthetic, with the reason, and its group holds", test.guarded_is_not),
        ("a function and a virtio NIC of one host reach each other, and broadcasts reach both", test.reach_each_other),
        ("the NIC whose guest applies the rules gets a function, and the rules hold", test.trusted_is_accelerated),
        ("a rule takes the function before it counts as applied", test.rule_ends_it),
        ("a drained host lets the PF's driver go, and gives functions again", test.drains),
        ("a driver that is taken from a PF in use waits for guests, and functions come back with it", test.reloads),
        ("when all is deleted the functions are as they were found", test.ends),
    )


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    if subprocess.run([AZ, "version"], capture_output=True, check=False).returncode:
        print("1..0 # SKIP az is not installed: dist/setup.sh clients")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    subprocess.run([f"{HERE}/guest.sh", KERNEL, GUEST], check=True)
    port, began = free_port(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Machine(KERNEL, memory_mib=5120, forward=port) as machine:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        lab = Lab(machine, SLUICE, AZ, folder, port)
        steps = points(Test(lab))
        tap = Tap(len(steps))
        for name, run in steps:
            tap.point(name, run)
        if tap.failed:
            note(lab.state_of_things())
    note(f"all in all {time.monotonic() - began:.0f} s")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
