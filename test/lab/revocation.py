#!/usr/bin/python3
"""What each step of a revocation is for: pings lost with all of them, and without one at a time. It measures, and tests nothing.

    revocation.py SLUICE SLUICE-GUEST KERNEL-FOLDER        ROUNDS=3: of each; prints a table

A VF of the lab is in the guest; then the agent is stopped in its place (SIGSTOP), and the steps are done by hand: deliveries of the
switch, device by libvirt, MACs on the PF. Pings of the guest come from the wire, whose frames the NIC itself brings to
the VF, and from this host, whose frames the switch delivers.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time

from host import STATE, Host, Pings, mac_of, prepare, show_logs
from machine import Machine, plain
from tap import wait_for

SOCKET = f"{STATE}/switch/switch.sock"
VIRSH = ["stdbuf", "-oL", "virsh", "-q", "-c", f"qemu+unix:///system?socket={STATE}/libvirt/run/libvirt-sock"]
NEAR = "10.9.0.9"
LEFT_S = 10  # for which a MAC is left on the PF
BUSY_S = 3  # for which a guest does not look at what it is asked
# What is done, in order: deliver both or synthetic, unplug (asks the guest), gone (waits for DEVICE_DELETED), move (the MAC from the VF to the PF's own
# filters), hear (it is the PF's too, and the VF's until libvirt or `move` clears it), leave (nobody clears it for LEFT_S), busy (as if the
# guest were, for BUSY_S).
ORDERS = {
    "as DESIGN has it": "deliver:both unplug gone move deliver:synthetic",
    f"as DESIGN has it, the guest busy for {BUSY_S} s": "deliver:both busy unplug gone move deliver:synthetic",
    "steered before the unplug": "move deliver:synthetic unplug gone",
    f"steered before the unplug, the guest busy for {BUSY_S} s": "move deliver:synthetic busy unplug gone",
    "heard by PF and VF before the unplug": "hear deliver:both unplug gone move deliver:synthetic",
    "without copies to both": "unplug gone move deliver:synthetic",
    "the MAC cleared when libvirt does": "deliver:both unplug gone hear deliver:synthetic",
    f"the MAC left on the PF, for {LEFT_S} s": "deliver:both unplug gone deliver:synthetic leave move",
}


class Hand:
    """In the lab's host: what the agent would do, step by step. Commands come on standard input, a line each."""

    def __init__(self, index):
        self.index, self.switch = index, socket.socket(socket.AF_UNIX)
        self.switch.connect(SOCKET)
        self.answers = self.switch.makefile()
        self.state = self.ask("state")
        self.domain = subprocess.run([*VIRSH, "list", "--name"], check=True, text=True, capture_output=True).stdout.split()[0]
        self.libvirt = subprocess.Popen([*VIRSH], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.events = subprocess.Popen([*VIRSH, "qemu-monitor-event", self.domain, "--event", "DEVICE_DELETED", "--loop"],
                                       stdout=subprocess.PIPE, text=True)
        xml = subprocess.run([*VIRSH, "dumpxml", self.domain], check=True, text=True, capture_output=True).stdout
        device = next(text for text in re.findall(r"<interface .*?</interface>", xml, re.S) if "type='hostdev'" in text)
        self.alias = re.search(r"<alias name='([^']*)'", device)[1]
        with open("/run/device.xml", "w", encoding="utf-8") as file:
            file.write(device)

    def ask(self, method, params=None):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params else {})}
        self.switch.sendall((json.dumps(request) + "\n").encode())
        answer = json.loads(self.answers.readline())
        assert "result" in answer, answer
        return answer["result"]

    def apply(self):
        self.state["generation"] += 1
        self.ask("apply", self.state)

    def nic(self):
        return next(nic for nic in self.state["nics"] if nic["mac"] == mac_of(0))

    def near(self):
        """A NIC of the same subnet whose guest is a namespace."""
        nic = dict(self.nic(), uid="near", name="near", mac="00:0d:3a:00:00:99", addresses=[{"ip": NEAR}], host_address="100.64.0.99",
                   attachments=[{"kind": "function", "interface": "sw-near"}], active="function")
        self.state["nics"].append(nic)
        self.apply()
        self.ip(f"bridge fdb replace {nic['mac']} dev eth0 self")

    def deliver(self, active):
        self.nic()["active"] = active
        self.apply()

    def unplug(self):
        self.libvirt.stdin.write(f"detach-device-alias {self.domain} {self.alias} --live\n")
        self.libvirt.stdin.flush()

    def gone(self):
        while self.alias not in self.events.stdout.readline():
            pass

    def ip(self, command):
        subprocess.run(command.split(), check=True)

    def hear(self):
        self.ip(f"bridge fdb replace {mac_of(0)} dev eth0 self")

    def move(self):
        self.ip(f"ip link set dev eth0 vf {self.index} mac 00:00:00:00:00:00")
        self.hear()

    def leave(self):
        """As if nobody cleared it: libvirt's own order ends before."""
        self.settle()
        self.ip(f"ip link set dev eth0 vf {self.index} mac {mac_of(0)}")
        time.sleep(LEFT_S)

    def busy(self):
        time.sleep(BUSY_S)

    def settle(self):
        """Until libvirt has given the VF back."""
        path = f"/sys/class/net/eth0/device/virtfn{self.index}/driver"
        while os.path.exists(path):
            time.sleep(0.02)

    def revoke(self, order):
        for step in order.split():
            name, _, value = step.partition(":")
            getattr(self, name)(*([value] if value else []))

    def restore(self):
        """In the right order, as far as the guest is heard on the function."""
        self.settle()
        self.ip(f"ip link set dev eth0 vf {self.index} mac 00:00:00:00:00:00")
        self.ip(f"bridge fdb del {mac_of(0)} dev eth0 self")
        self.deliver("both")
        self.libvirt.stdin.write(f"attach-device {self.domain} /run/device.xml --live\n")
        self.libvirt.stdin.flush()
        while not any(a.get("answered") for nic in self.ask("nic.list") if nic["uid"] == self.nic()["uid"] for a in nic["attachments"]):
            time.sleep(0.1)
        self.deliver("function")

    def serve(self):
        for line in sys.stdin:
            name, _, value = line.strip().partition(" ")
            getattr(self, name)(*([value] if value else []))
            with open("/run/done", "a", encoding="utf-8") as file:
                file.write(line)


class Bench:
    """On this machine: rounds, and the table of them."""

    def __init__(self, host):
        self.host, self.done = host, 0

    def begin(self):
        host = self.host
        host.set_up()
        host.start()
        host.wait_guest()
        host.wait_states({"attached": 1})
        index = host.function()["index"]
        host.run("ip netns add near && ip link add sw-near type veth peer name eth0 address 00:0d:3a:00:00:99 netns near && "
                 f"ip link set sw-near up && ip -n near addr add {NEAR}/24 dev eth0 && ip -n near link set eth0 up")
        host.run(f"kill -STOP {host.agent()}; mkfifo /run/commands; : >/run/done; "
                 f"({plain(__file__)} --hand {index} </run/commands >/run/hand.log 2>&1 &); (sleep infinity >/run/commands &)")
        self.tell("near")

    def tell(self, command, seconds=120):
        self.done += 1
        self.host.run(f"echo '{command}' >/run/commands")
        try:
            wait_for(command, seconds, lambda: int(self.host.run("wc -l </run/done")) >= self.done)
        except Exception as error:
            raise RuntimeError(f"{error}: {self.host.run('cat /run/hand.log')}") from error

    def round(self, order):
        """{whence: (pings lost, longest silence)}"""
        pings = {"wire": Pings(self.host), "host": Pings(self.host, "near")}
        time.sleep(3)
        for ping in pings.values():
            ping.mark("revoke")
        self.tell(f"revoke {order}")
        time.sleep(3)
        told = {whence: ping.end()[0][1:] for whence, ping in pings.items()}
        self.tell("restore")
        return told

    def run(self, rounds):
        print("| order | from the wire: pings lost | longest silence, s | from the host: pings lost | longest silence, s |\n|---|---|---|---|---|")
        for name, order in ORDERS.items():
            found = [self.round(order) for _ in range(rounds)]
            cells = []
            for whence in ("wire", "host"):
                lost, gaps = zip(*(one[whence] for one in found))
                cells += [", ".join(map(str, sorted(lost))), f"{statistics.median(gaps):.1f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    if sys.argv[1] == "--hand":
        return Hand(int(sys.argv[2])).serve()
    sluice, guest, kernel = [plain(path) for path in sys.argv[1:4]]
    if not prepare(kernel, guest):
        return 1
    with Machine(kernel, memory_mib=3072) as machine:
        bench = Bench(Host(machine, sluice, kernel, 1, 1))
        try:
            bench.begin()
            bench.run(int(os.environ.get("ROUNDS", "3")))
        except Exception:
            show_logs(machine)
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
