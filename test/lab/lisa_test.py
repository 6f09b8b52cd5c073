#!/usr/bin/python3
"""What guests with accelerated NICs must survive, as Microsoft's LISA names it: its suite `sriov`, here on the lab's igb.

    lisa_test.py SLUICE SLUICE-GUEST KERNEL-FOLDER

A point has the name of LISA's case. Where that copies a file to a second node, here the machine outside pings, and the guest's
counters tell the path: each ping and its answer must be on the VF, or on the standby while the guest has no VF. One TCP
connection lives through all that leaves the machine running.
"""
import itertools
import json
import os
import sys

from host import PCI, Host, Stream, mac_of, name_of, prepare, show_logs
from machine import Machine, judge, plain
from tap import Tap, note, wait_for

SLUICE, GUEST, KERNEL = [plain(path) for path in sys.argv[1:4]]
MAX = 7  # VFs of a port of an 82576; the other port is the machine outside
SERVICES = ("acpid", "sluice-guest", "nc", "httpd")
PINGS = 30  # of each NIC: more than the packets of one command in the guest
UNUSED = 90  # seconds in which a VF is taken from a guest that does not use it: 15 until it is asked, 15 to answer, and the unplug


def grown(old, new, counter):
    """How much a NIC's counter has, by the sides that it had and has."""
    return {side: new[side]["counters"][counter] - old[side]["counters"][counter] for side in ("primary", "standby")
            if old[side] and new[side]}


class Test:
    def __init__(self, host):
        self.host, self.stream, self.starts = host, None, 1

    # ---- what is looked at ----

    def nics(self):
        """The guest's, by number, as its own tool sees them, and addresses of the VFs on its bus that have a driver."""
        status = json.loads(self.host.in_guest("sluice-guest status --json || true"))
        found = {nic["mac"]: nic for nic in status["nics"]}
        return ([found[mac_of(number)] for number in range(self.host.nics)],
                {function["address"] for function in status["functions"] if function["driver"] == "igbvf"})

    def first(self):
        return self.nics()[0][0]

    def has_pairs(self):
        """As LISA's basic check: each NIC is paired with a VF, its driver is loaded, and the bus has as many."""
        nics, functions = self.nics()
        return len(functions) == len(nics) and functions == {nic["function"] for nic in nics} and all(
            nic["pairing"] == "net_failover" and nic["state"] == "working" for nic in nics)

    def basic(self):
        self.host.wait_attached()
        self.host.check_attached()
        wait_for("each NIC of the guest is paired with a VF", 60, self.has_pairs)

    def traffic(self, side="primary"):
        """Pings of every NIC come and go by the VF, or by the standby, and do not go by the other."""
        before, silent = self.nics()[0], self.host.silent(PINGS)
        assert not silent, f"no answer of {silent}"
        for old, new in zip(before, self.nics()[0]):
            received, sent = grown(old, new, "rx_packets"), grown(old, new, "tx_packets")
            assert min(received[side], sent[side]) >= PINGS, (side, received, sent)
            assert all(count < PINGS for other, count in sent.items() if other != side), (side, sent)

    def connection(self):
        self.basic()
        self.traffic()

    def interrupts_of(self, name):
        """{interrupt's name: how many there were}"""
        rows = [line.split() for line in self.host.in_guest(f"grep {name} /proc/interrupts").splitlines()]
        return {row[-1]: sum(map(int, itertools.takewhile(str.isdigit, row[1:]))) for row in rows}

    # ---- the points ----

    def services_state(self):
        host = self.host
        host.set_up()
        host.start()
        host.wait_guest()
        host.wait_attached()
        missing = host.in_guest(f"for name in {' '.join(SERVICES)}; do pidof $name >/dev/null || echo $name; done")
        assert not missing, missing
        failures = host.in_guest("dmesg | grep -E 'BUG:|Call Trace|Failed to rename' || true")
        assert not failures, failures
        note(host.in_guest("sluice-guest doctor"))
        self.stream = Stream(host)

    def interrupts_change(self):
        name = self.first()["primary"]["interface"]
        before = self.interrupts_of(name)
        assert not self.host.silent(PINGS)
        after = self.interrupts_of(name)
        note(f"{before} -> {after}")
        queues = [interrupt for interrupt in before if "-rx-" in interrupt or "-tx-" in interrupt]
        assert len(queues) == 2 and all(after[queue] >= before[queue] + PINGS for queue in queues), queues

    def disable_enable(self):
        for _ in range(2):
            self.host.cli("vf", "revoke", name_of(0))
            self.host.check_free()
            self.traffic("standby")
            self.host.cli("vf", "restore", name_of(0))
            self.basic()
        self.traffic()
        self.stream.check()

    def disable_enable_pci(self):
        self.host.in_guest(f"echo 1 >{PCI}/devices/{self.first()['function']}/remove; sleep 1; echo 1 >{PCI}/rescan")
        self.connection()
        self.stream.check()

    def disable_enable_on_guest(self):
        self.host.in_guest(f"ip link set dev {self.first()['primary']['interface']} down")
        self.host.wait_states({"detached": 1}, UNUSED)
        note(self.host.function()["reason"])
        self.traffic("standby")
        self.stream.check()
        self.host.cli("vf", "restore", name_of(0))
        self.connection()
        self.stream.check()

    def reload_modules(self):
        self.host.in_guest("rmmod igbvf && sleep 1 && modprobe igbvf")
        self.connection()
        self.stream.check()

    def starts_again(self):
        self.starts += 1
        self.host.wait_guest(self.starts, 600)
        self.basic()

    def stop_start(self):
        """It starts with as many NICs as it can have."""
        self.host.deallocate()
        self.host.follow(power="running", nics=MAX)
        self.starts_again()

    def reboot(self):
        self.host.in_guest("(sleep 1; reboot -f) >/dev/null 2>&1 &")
        self.starts_again()


def points(test):
    return (
        ("verify_services_state: in a guest with a VF", test.services_state),
        ("verify_sriov_basic, verify_sriov_single_vf_connection: the NIC is paired, and the VF carries its packets", test.connection),
        ("verify_sriov_interrupts_change: each queue of the VF has more of them", test.interrupts_change),
        ("verify_sriov_disable_enable: the operator takes the VF and gives it, twice", test.disable_enable),
        ("verify_sriov_disable_enable_pci: the guest removes the PCI device and finds it again", test.disable_enable_pci),
        ("verify_sriov_disable_enable_on_guest: the guest sets the VF down", test.disable_enable_on_guest),
        ("verify_sriov_reload_modules: the guest unloads the VF's driver and loads it", test.reload_modules),
        ("verify_sriov_add_max_nics, verify_sriov_provision_with_max_nics, "
         f"verify_sriov_provision_with_max_nics_stop_start_from_platform: all VFs are free, then {MAX} NICs have one each", test.stop_start),
        ("verify_sriov_max_vf_connection: each VF carries its NIC's packets", test.traffic),
        ("verify_sriov_provision_with_max_nics_reboot: the guest reboots with all VFs in it", test.reboot),
    )


def main():
    if not prepare(KERNEL, GUEST):
        return 0
    with Machine(KERNEL, memory_mib=3072) as machine:
        steps = points(Test(Host(machine, SLUICE, KERNEL, MAX, 1)))
        tap = Tap(len(steps))
        for name, step in steps:
            tap.point(name, step)
            if tap.failed:
                show_logs(machine)
                break
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
