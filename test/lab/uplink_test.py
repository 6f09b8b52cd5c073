#!/usr/bin/python3
"""A physical NIC as the switch's uplink, in the lab: an igb port bound to vfio-pci, by DPDK's own driver, on one wire with
another port that the kernel has and that is the outside.

    uplink_test.py SLUICE-SWITCH KERNEL-FOLDER
"""
import os
import subprocess
import sys

from machine import Machine, judge, plain
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import Tap, wait_for  # noqa: E402

SWITCH, KERNEL = plain(sys.argv[1]), sys.argv[2]
DEVICE, SOCKET = "0000:02:00.0", "/run/switch.sock"
MAC = "00:0d:3a:00:00:04"
ANY = {"any": True, "tags": [], "prefixes": [], "ports": []}
STATE = {
    "generation": 1,
    "outside": {"device": DEVICE, "mac": "02:00:5e:00:00:01", "prefix": "203.0.113.0/24", "gateway": "203.0.113.1"},
    "networks": [{"uid": "n", "vni": 1, "prefixes": ["192.168.0.0/16"], "subnets": [
        {"uid": "s", "prefix": "192.168.1.0/24", "gateway": "192.168.1.1", "dns": [], "group": None}]}],
    "groups": [{"uid": "g", "name": "g", "revalidate": True, "rules": [
        {"name": "tcp", "direction": "inbound", "priority": 100, "protocol": "tcp", "action": "allow", "source": ANY,
         "destination": {**ANY, "ports": [[7000, 7000]]}}]}],
    "nics": [{"uid": "a", "name": "a", "mac": MAC, "network": "n", "subnet": "s", "group": "g", "mtu": 1500,
              "addresses": [{"ip": "192.168.1.4", "public": "203.0.113.10", "standard": True}], "hostname": "a",
              "attachments": [{"kind": "function", "interface": "sw-a"}], "active": "function"}],
}
BYTES = 3000000
SERVE = (f"python3 -c 'import socket; l=socket.create_server((\"\",PORT)); c=l.accept()[0]; n=0\nwhile n<{BYTES}: n+=len(c.recv(65536))\n"
         f"c.sendall(b\"y\"*{BYTES}); c.close()'")
SEND = (f"python3 -c 'import socket; c=socket.create_connection((\"TO\",PORT),20); c.sendall(b\"x\"*{BYTES}); n=0\n"
        f"while n<{BYTES}:\n d=c.recv(65536)\n assert d\n n+=len(d)\nprint(n)'")


class Test:
    def __init__(self, machine):
        self.machine = machine

    def refuses(self):
        """While the kernel's driver has it."""
        status, text = self.machine.try_run(f"{SWITCH} --socket {SOCKET} --pci {DEVICE} -m 128")
        assert status == 1 and "is bound to igb" in text and "vfio-pci" in text, text

    def takes(self):
        m = self.machine
        m.run(f"cd /sys/bus/pci && echo vfio-pci >devices/{DEVICE}/driver_override && echo {DEVICE} >devices/{DEVICE}/driver/unbind && "
              f"echo {DEVICE} >drivers_probe")
        m.run(f"({SWITCH} --socket {SOCKET} --pci {DEVICE} -m 128 >/run/log 2>&1 &)")
        wait_for("the switch's socket", 30, lambda: m.try_run(f"test -S {SOCKET}")[0] == 0)
        m.rpc(SOCKET, "apply", STATE)
        wait_for("the device", 10, lambda: [edge["state"] for edge in m.rpc(SOCKET, "edge.list") if edge["edge"] == "outside"] == ["ready"])

    def pings(self):
        self.machine.run("ip netns exec a ping -c 3 -i 0.3 203.0.113.1")
        status, _ = self.machine.try_run("ping -c 2 -W 1 203.0.113.10")
        assert status, "ICMP from outside is not allowed"

    def carries(self):
        m = self.machine
        for where, to, port in (("ip netns exec a", "203.0.113.10", 7000), ("", "203.0.113.1", 7001)):
            other = "" if where else "ip netns exec a"
            m.run(f"({where} {SERVE.replace('PORT', str(port))} &) ; sleep 2")
            got = m.run(f"{other} {SEND.replace('PORT', str(port)).replace('TO', to)}", seconds=60)
            assert int(got) == BYTES, got


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    with Machine(KERNEL, memory_mib=3072) as machine:
        machine.run("echo 128 >/proc/sys/vm/nr_hugepages && mount -t hugetlbfs huge /dev/hugepages && "
                    "modprobe -a igb vfio-pci veth && ip addr add 203.0.113.1/24 dev eth0 && ip link set eth0 up")
        machine.run(f"ip netns add a && ip link add sw-a type veth peer name eth0 netns a && ip -n a link set eth0 address {MAC} up && "
                    "ip -n a addr add 192.168.1.4/24 dev eth0 && ip -n a route add default via 192.168.1.1 && ip link set sw-a up")
        test, tap = Test(machine), Tap(4)
        tap.point("a device that the kernel's driver has is refused, with the remedy", test.refuses)
        tap.point("one that is bound to vfio-pci is taken as the uplink", test.takes)
        tap.point("a NIC reaches the outside by it, translated, and policy holds", test.pings)
        tap.point("TCP carries megabytes whole, both ways", test.carries)
        return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
