#!/usr/bin/python3
"""What each step of a revocation, and of a restoration, is for: pings lost with all of them, and with one changed at a time. It
measures, and tests nothing: `make bench-revocation`.

    revocation.py SLUICE SLUICE-GUEST KERNEL-FOLDER [revocation|restoration]        ROUNDS=3: of each; prints tables

A VF of the lab is in the guest; then the agent is stopped in its place (SIGSTOP), and the steps are done by hand: deliveries of the
switch, device by libvirt, MACs on the PF. Pings of the guest come from the wire, whose frames the NIC itself brings to
the VF, and from this host, whose frames the switch delivers.
"""
import json
import os
import re
import shlex
import socket
import statistics
import subprocess
import sys
import time

from host import STATE, Host, Pings, address_of, mac_of, prepare, show_logs
from machine import Machine, plain
from tap import wait_for

SOCKET = f"{STATE}/switch/switch.sock"
VIRSH = ["stdbuf", "-oL", "virsh", "-q", "-c", f"qemu+unix:///system?socket={STATE}/libvirt/run/libvirt-sock"]
NEAR, NEAR_MAC = "10.9.0.9", "00:0d:3a:00:00:99"
LEFT_S = 10  # for which a MAC is left on the PF
BUSY_S = 3  # for which a guest, a PF or libvirt does not do what it is asked
# Each is a list of steps, which are methods of Hand.
REVOKE = "deliver:both unplug gone move deliver:synthetic"
REVOCATIONS = (
    ("as it is done: deliver to both, unplug, the MAC cleared on the PF when the guest has let go, deliver to the standby", REVOKE),
    (f"the same, the guest busy for {BUSY_S} s", "deliver:both busy unplug gone move deliver:synthetic"),
    ("steered to the standby before the unplug", "move deliver:synthetic unplug gone"),
    (f"the same, the guest busy for {BUSY_S} s", "move deliver:synthetic busy unplug gone"),
    ("without copies to both", "unplug gone move deliver:synthetic"),
    ("the MAC cleared only when libvirt does", "deliver:both unplug gone hear deliver:synthetic"),
    (f"the MAC left on the PF for {LEFT_S} s", "deliver:both unplug gone deliver:synthetic leave move"),
    ("the MAC given to the PF, too, before the unplug", "hear deliver:both unplug gone move deliver:synthetic"),
)
RESTORE = "unhear deliver:both plug answered deliver:function"
RESTORATIONS = (
    ("as it is done: the host stops hearing the MAC, deliver to both, plug, deliver to the VF when the guest answers by it", RESTORE),
    (f"the same, the guest's driver {BUSY_S} s late", "late unhear deliver:both plug answered deliver:function"),
    ("steered to the VF when it is plugged", "unhear deliver:both plug plugged deliver:function"),
    (f"the same, the guest's driver {BUSY_S} s late", "late unhear deliver:both plug plugged deliver:function"),
    ("steered to the VF before the plug", "unhear deliver:function plug"),
    ("without copies to both: steered to the VF when the guest says that it has it", "unhear plug up deliver:function"),
    (f"the host, asked first, stops hearing the MAC {BUSY_S} s later", "busy unhear deliver:both plug answered deliver:function"),
    ("the same, copies to both from before", "deliver:both busy unhear plug answered deliver:function"),
    (f"the VF given the MAC at once, the plug {BUSY_S} s later", "unhear give deliver:both busy plug answered deliver:function"),
    ("the host hears the MAC until the guest answers by the VF", "deliver:both plug answered unhear deliver:function"),
)
# In the namespace `out`: a line for each frame of the host's NIC to the guest's that is on the wire.
SNIFF = f"""
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("eth1", 0))
ends = bytes.fromhex("{(mac_of(0) + NEAR_MAC).replace(":", "")}")
while True:
    if wire.recv(2048)[:12] == ends:
        print("copy", flush=True)
"""


class Hand:
    """In the lab's host: what the agent would do, step by step. Commands come on standard input, a line each."""

    def __init__(self, index):
        self.index, self.plugs, self.switch = index, 0, socket.socket(socket.AF_UNIX)
        self.switch.connect(SOCKET)
        self.answers = self.switch.makefile()
        self.state = self.ask("state")
        self.domain = subprocess.run([*VIRSH, "list", "--name"], check=True, text=True, capture_output=True).stdout.split()[0]
        self.libvirt = subprocess.Popen([*VIRSH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
        nic = dict(self.nic(), uid="near", name="near", mac=NEAR_MAC, addresses=[{"ip": NEAR}], host_address="100.64.0.99",
                   attachments=[{"kind": "function", "interface": "sw-near"}], active="function")
        self.state["nics"].append(nic)
        self.apply()
        self.ip(f"bridge fdb replace {nic['mac']} dev eth0 self")

    def tell_libvirt(self, command):
        self.libvirt.stdin.write(f"{command}\n")
        self.libvirt.stdin.flush()

    def in_guest(self, command):
        """What it printed, sent from the wire; nothing where it is not heard."""
        return subprocess.run(["ip", "netns", "exec", "out", "timeout", "5", "busybox", "wget", "-q", "-O", "-", "--post-data", command,
                               f"http://{address_of(0)}:8080/cgi-bin/run"], stdout=subprocess.PIPE, text=True, check=False).stdout

    # ---- steps ----

    def deliver(self, active):
        """To both, synthetic or function."""
        self.nic()["active"] = active
        self.apply()

    def unplug(self):
        """Asks the guest."""
        self.tell_libvirt(f"detach-device-alias {self.domain} {self.alias} --live")

    def gone(self):
        """Waits for DEVICE_DELETED."""
        while self.alias not in self.events.stdout.readline():
            pass

    def ip(self, command):
        subprocess.run(command.split(), check=True)

    def hear(self):
        """The MAC is the PF's too, and the VF's until libvirt or `move` clears it."""
        self.ip(f"bridge fdb replace {mac_of(0)} dev eth0 self")

    def unhear(self):
        self.ip(f"bridge fdb del {mac_of(0)} dev eth0 self")

    def give(self):
        """To the VF, before libvirt does."""
        self.ip(f"ip link set dev eth0 vf {self.index} mac {mac_of(0)}")

    def move(self):
        """The MAC, from the VF to the PF's own filters."""
        self.ip(f"ip link set dev eth0 vf {self.index} mac 00:00:00:00:00:00")
        self.hear()

    def leave(self):
        """As if nobody cleared it: libvirt's own order ends before."""
        self.settle()
        self.give()
        time.sleep(LEFT_S)

    def busy(self):
        """As if somebody were."""
        time.sleep(BUSY_S)

    def late(self):
        """The guest has no driver for the VF, and loads it later."""
        self.in_guest(f"rmmod igbvf; (sleep {BUSY_S}; modprobe igbvf) >/dev/null 2>&1 &")

    def plug(self):
        self.plugs += 1
        self.tell_libvirt(f"attach-device {self.domain} /run/device.xml --live\necho plugged {self.plugs}.")

    def plugged(self):
        """Libvirt says so."""
        while f"plugged {self.plugs}." not in self.libvirt.stdout.readline():
            pass

    def answered(self):
        """The guest, to the switch, by the VF."""
        while not any(a.get("answered") for nic in self.ask("nic.list") if nic["uid"] == self.nic()["uid"] for a in nic["attachments"]):
            time.sleep(0.1)

    def up(self):
        """The guest says so of its VF."""
        while "1" not in self.in_guest("cat /sys/bus/pci/drivers/igbvf/*/net/*/carrier").split():
            time.sleep(0.2)

    def settle(self):
        """Until libvirt has given the VF back."""
        path = f"/sys/class/net/eth0/device/virtfn{self.index}/driver"
        while os.path.exists(path):
            time.sleep(0.02)

    def serve(self):
        for line in sys.stdin:
            for step in line.split():
                name, _, value = step.partition(":")
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
        host.run(f"ip netns add near && ip link add sw-near type veth peer name eth0 address {NEAR_MAC} netns near && "
                 f"ip link set sw-near up && ip -n near addr add {NEAR}/24 dev eth0 && ip -n near link set eth0 up")
        host.run(f"kill -STOP {host.agent()}; mkfifo /run/commands; : >/run/done; "
                 f"({plain(__file__)} --hand {index} </run/commands >/run/hand.log 2>&1 &); (sleep infinity >/run/commands &)")
        host.run(f"ip -n out link set eth1 promisc on && (ip netns exec out python3 -c {shlex.quote(SNIFF)} >/run/copies 2>&1 &)")
        self.tell("near")

    def tell(self, steps, seconds=120):
        self.done += 1
        self.host.run(f"echo '{steps}' >/run/commands")
        try:
            wait_for(steps, seconds, lambda: int(self.host.run("wc -l </run/done")) >= self.done)
        except Exception as error:
            raise RuntimeError(f"{error}: {self.host.run('cat /run/hand.log')}") from error

    def copies(self):
        return int(self.host.run("wc -l </run/copies"))

    def measure(self, steps, end):
        """{whence: (pings lost, longest silence)} from before the steps to after the end, and the frames to the guest on the wire."""
        pings, copies = {"wire": Pings(self.host), "host": Pings(self.host, "near")}, self.copies()
        time.sleep(3)
        for ping in pings.values():
            ping.mark("change")
        self.tell(steps)
        if end:
            self.tell(end)
        time.sleep(3)
        return {whence: ping.end()[0][1:] for whence, ping in pings.items()}, self.copies() - copies

    def revoke(self, steps):
        found = self.measure(steps, None)
        self.tell(f"settle move {RESTORE}")
        return found

    def restore(self, steps):
        self.tell(f"{REVOKE} settle move")
        return self.measure(steps, "up")

    def run(self, change, orders, rounds):
        print(f"\n| {change} | from the wire: pings lost | longest silence, s | from the host: pings lost | longest silence, s | "
              "frames on the wire |\n|---|---|---|---|---|---|", flush=True)
        for name, steps in orders:
            found = [getattr(self, change)(steps) for _ in range(rounds)]
            cells = []
            for whence in ("wire", "host"):
                lost, gaps = zip(*(one[whence] for one, _ in found))
                cells += [", ".join(map(str, sorted(lost))), f"{statistics.median(gaps):.1f}"]
            cells.append(", ".join(map(str, sorted(copies for _, copies in found))))
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
            for name, change, orders in (("revocation", "revoke", REVOCATIONS), ("restoration", "restore", RESTORATIONS)):
                if not sys.argv[4:] or name in sys.argv[4:]:
                    bench.run(change, orders, int(os.environ.get("ROUNDS", "3")))
        except Exception:
            show_logs(machine)
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
