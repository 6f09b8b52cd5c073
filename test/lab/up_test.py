#!/usr/bin/python3
"""`sluice up` on a host with physical networks, in the lab: where its parts run, what it tells of VFs, which MACs it hears,
and that nothing of it stays.

    up_test.py SLUICE KERNEL-FOLDER
"""
import json
import os
import subprocess
import sys

from machine import Machine, judge, plain
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import Tap, wait_for  # noqa: E402

SLUICE, KERNEL = plain(sys.argv[1]), sys.argv[2]
STATE, HOST_FILE = "/run/cloud", "/run/host.conf"
MAC, GATEWAY = "00:0d:3a:00:00:04", "12:34:56:78:9a:bc"
# What the host was told before its controller went away: a NIC in a VLAN, of a VM that is off.
GOAL = {
    "version": 1, "host": "host",
    "networks": [{"uid": "n", "name": "n", "physical": "physnet1", "vlan": 100, "prefixes": ["10.0.0.0/16"], "subnets": [
        {"uid": "s", "prefix": "10.0.1.0/24", "gateway": "10.0.1.1"}]}],
    "vms": [{"uid": "11111111-1111-4111-8111-111111111111", "name": "vm", "power": "stopped", "vcpus": 1, "memory_mib": 256}],
    "nics": [{"uid": "22222222-2222-4222-8222-222222222222", "name": "nic", "mac": MAC,
              "vm": "11111111-1111-4111-8111-111111111111", "network": "n", "subnet": "s", "host_address": "100.64.0.4",
              "accelerated": True, "primary": True, "addresses": [{"ip": "10.0.1.4"}]}],
}


class Test:
    def __init__(self, machine):
        self.machine = machine

    def start(self):
        """As a host of a controller's that is away: it needs no controller, which takes a minute to start here."""
        m = self.machine
        m.run(f"modprobe -a igb vfio-pci && for i in 0 1; do echo 2 >/sys/class/net/eth$i/device/sriov_numvfs; done && "
              f"mkdir -p {STATE}/tls {STATE}/agent && cd {STATE}/tls && openssl req -x509 -newkey ec -pkeyopt "
              "ec_paramgen_curve:P-256 -nodes -keyout host.key -out host.pem -days 9 -subj /CN=lab && cp host.pem ca.pem")
        m.run(f"printf '[physical physnet1]\\ndevices = 8086:10c9\\nvfs = 2\\n' >{HOST_FILE}; "
              f"cat >{STATE}/agent/goal.json <<'END'\n{json.dumps(GOAL)}\nEND")
        self.launch()
        wait_for("it is ready", 400, self.is_ready)
        links = m.run("ip -o link")
        assert "sl-out" in links and "sl-host" in links, links

    def launch(self):
        self.machine.run(f"{SLUICE} up --state {STATE} --controller https://127.0.0.1:1 --host-file {HOST_FILE} "
                         ">/run/up.log 2>&1 & echo $! >/run/up.pid")

    def is_ready(self):
        """Where the machine below is busy, its parts may take longer than the minute that they are given."""
        if "ready" in self.machine.run("cat /run/up.log"):
            return True
        if self.machine.try_run("kill -0 $(cat /run/up.pid)")[0]:
            self.launch()
        return False

    def beside(self):
        """The switch and the libvirt daemon, by their processes."""
        for name in ("sluice-switch", "libvirtd"):
            self.machine.run(f"for p in $(pidof {name}); do [ $(readlink /proc/$p/ns/net) = $(readlink /proc/self/ns/net) ] || "
                             "exit 1; done; pidof " + name)

    def lists(self):
        def free():
            functions = json.loads(self.machine.run(f"{SLUICE} vf list --json --state {STATE}"))
            return [f for f in functions if f["state"] == "free"]
        found = wait_for("the VFs are listed", 30, lambda: len(free()) == 4 and free())
        where = sorted((f["physical"], f["pf"], f["index"]) for f in found)
        assert where == [("physnet1", pf, n) for pf in ("eth0", "eth1") for n in (0, 1)], found

    def hears(self):
        """The first PF, by its filters; and the switch, by its port."""
        def heard():
            entries = self.machine.run("bridge fdb show dev eth0; ip -o -d link")
            return all(mac in entries for mac in (MAC, GATEWAY))
        wait_for("the PF hears the gateway and the NIC", 30, heard)
        edges = self.machine.run(
            "python3 -c 'import socket; s=socket.socket(socket.AF_UNIX); "
            f"s.connect(\"{STATE}/switch/switch.sock\"); "
            "s.sendall(b\"{\\\"jsonrpc\\\": \\\"2.0\\\", \\\"id\\\": 1, \\\"method\\\": \\\"edge.list\\\"}\\n\"); "
            "print(s.makefile().readline())'")
        edge = [e for e in json.loads(edges)["result"] if e.get("physical") == "physnet1"]
        assert edge and edge[0]["state"] == "ready", edges

    def refuses(self):
        status, text = self.machine.try_run(f"{SLUICE} up --state /run/other --host-file {HOST_FILE}")
        assert status and "is on the physical networks of" in text, text

    def leaves(self):
        m = self.machine
        m.run("kill -TERM $(cat /run/up.pid)")
        wait_for("it ends", 60, lambda: m.try_run("kill -0 $(cat /run/up.pid)")[0] != 0)
        links = m.run("ip -o link; ip netns")
        assert "sl-" not in links and "sluice" not in links, links


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    points = Tap(6)
    with Machine(KERNEL) as machine:
        test = Test(machine)
        points.point("a host with physical networks comes up", test.start)
        points.point("the switch and libvirt run beside the NICs' interfaces", test.beside)
        points.point("its VFs are listed, with where they are", test.lists)
        points.point("the host hears the gateway and the NICs of its VLANs", test.hears)
        points.point("another cloud cannot be on the same physical networks", test.refuses)
        points.point("at its end no interface and no namespace of it is left", test.leaves)
        if points.failed:
            print(machine.try_run(f"cat /run/up.log; tail -n 30 {STATE}/log/*.log; ip -d link; bridge fdb")[1])
    return 1 if points.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
