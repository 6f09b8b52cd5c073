#!/usr/bin/python3
"""A NIC whose function is on the physical network itself, past the host; the NIC's hardware is a Linux bridge.

    function_test.py SLUICE-SWITCH       as root; prints TAP. TESTS=WORDS chooses by name

    VLAN 100, the switch is the gateway:
        a 192.168.1.4       synthetic by vhost-user, or a function: a guest with net_failover's rules, in this program
        b 192.168.1.5       a neighbour on the same host, behind the switch
        c 192.168.2.4, d 192.168.1.6     have functions all the time
        k 192.168.1.9, 192.168.2.9       a machine on the wire
    host: metadata at 169.254.169.254

The bridge has a port for the wire (k), one for the switch (the PF), and one for each function. It knows the MACs of
functions, and that those of b, of the gateway, and of a while its function is away, are at the PF, as an agent programs
the hardware; from the PF it learns nothing.
"""
import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from lab import GATEWAY_MAC, Lab, Tap, expect, mac_of, rule, run, run_tests, wait_for
from tags import Tagger, ear, with_tag

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import ARP, BOOTP, DHCP, ICMP, IP, UDP, Dot1Q, Ether
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)

BROADCAST = "ff:ff:ff:ff:ff:ff"
WIRE_MAC = "02:00:00:00:03:01"
PORT_MAC = "02:00:00:00:01:01"
METADATA = "169.254.169.254"
A, B, C, D, K, K2, GATEWAY = ("192.168.1.4", "192.168.1.5", "192.168.2.4", "192.168.1.6", "192.168.1.9",
                              "192.168.2.9", "192.168.1.1")
TAG = b"\x81\x00\x00\x64"
CYCLES = 3


def nic(name, subnet, ip, host, attachments, active):
    return {"uid": name, "name": name, "mac": mac_of(name), "network": "n", "subnet": subnet, "group": "g",
            "mtu": 1500, "addresses": [{"ip": ip}], "host_address": host, "attachments": attachments, "active": active}


def state_of(folder):
    def on_wire(name):
        return [{"kind": "synthetic", "socket": f"{folder}/{name}.sock"}, {"kind": "function", "physical": True}]

    def subnet(uid, prefix, gateway):
        return {"uid": uid, "prefix": prefix, "gateway": gateway, "dns": [], "group": None}

    return {
        "generation": 1, "outside": None,
        "host_port": {"interface": "sw-host", "mac": "02:00:5e:00:00:02", "prefix": "100.64.0.0/10"},
        "physicals": [{"name": "physnet1", "interface": "phys", "mtu": 1500}],
        "groups": [{"uid": "g", "name": "g", "revalidate": True, "rules": [rule("all", 100, protocol="any")]}],
        "networks": [{"uid": "n", "vlan": {"physical": "physnet1", "id": 100}, "prefixes": ["192.168.0.0/16"],
                      "subnets": [subnet("s1", "192.168.1.0/24", GATEWAY), subnet("s2", "192.168.2.0/24", "192.168.2.1")]}],
        "nics": [
            nic("a", "s1", A, "100.64.0.4", on_wire("a"), "synthetic"),
            nic("b", "s1", B, "100.64.0.5", [{"kind": "function", "interface": "sw-b"}], "function"),
            nic("c", "s2", C, "100.64.0.6", on_wire("c"), "function"),
            nic("d", "s1", D, "100.64.0.7", on_wire("d"), "function"),
        ],
    }


class Failover(threading.Thread):
    """A guest's net_failover: eth0 is a tap. It sends by the function while there is one, else by the standby, and while
    there is one, it drops what comes by the standby."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.function = ear(lab, "a", "function")
        self.standby = lab.raw("a", "standby")
        self.standby.settimeout(None)
        self.has_function = False
        with lab.inside("a"):
            self.tap = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.tap, 0x400454ca, struct.pack("16sH22x", b"eth0", 0x1002))  # TUNSETIFF: TAP, NO_PI
        self.end, self.ended = os.pipe()
        self.start()

    def run(self):
        while True:
            ready = select.select([self.tap, self.function, self.standby, self.end], [], [])[0]
            if self.end in ready:
                return
            # Nobody is there for a while, or a link is down.
            with contextlib.suppress(OSError):
                if self.tap in ready:
                    self.send(os.read(self.tap, 65536))
            with contextlib.suppress(OSError):
                if self.function in ready:
                    self.from_function(*self.function.recvmsg(65536, 100))
            with contextlib.suppress(OSError):
                if self.standby in ready:
                    self.from_standby(*self.standby.recvfrom(65536))

    def send(self, data):
        if self.has_function:
            self.function.send(data[:12] + TAG + data[12:])
        else:
            self.standby.send(data)

    def from_function(self, data, more, _, where):
        data = with_tag(data, more)
        if self.has_function and where[2] != socket.PACKET_OUTGOING and data[12:16] == TAG:
            os.write(self.tap, data[:12] + data[16:])

    def from_standby(self, data, where):
        if not self.has_function and where[2] != socket.PACKET_OUTGOING:
            os.write(self.tap, data)

    def stop(self):
        os.write(self.ended, b"x")
        self.join()
        for fd in (self.tap, self.end, self.ended):
            os.close(fd)
        self.function.close()
        self.standby.close()


class World(Lab):
    def __init__(self, program):
        super().__init__(program, "func")
        self.state = state_of(self.folder)
        self.threads = []
        self.guest = None

    # ---- the hardware ----

    def port(self, name, namespace, device, mac, learns=True):
        """A port of the bridge, and what is behind it."""
        fabric, other = f"{self.prefix}-fabric", f"{self.prefix}-{namespace}"
        run("ip", "-n", fabric, "link", "add", name, "type", "veth", "peer", "name", device, "address", mac, "netns", other)
        for where, what in ((fabric, name), (other, device)):
            # Bytes alone pass this test's hands: nothing may be left to devices on the way.
            run("ip", "netns", "exec", where, "ethtool", "-K", what, "tx", "off", "tso", "off", "gso", "off")
            run("ip", "-n", where, "link", "set", what, "up")
        run("ip", "-n", fabric, "link", "set", name, "master", "bridge")
        if not learns:
            run("bridge", "-n", fabric, "link", "set", "dev", name, "learning", "off")

    def filter(self, mac, port):
        """The hardware brings that MAC's frames to that port."""
        run("bridge", "-n", f"{self.prefix}-fabric", "fdb", "replace", mac, "dev", port, "master", "static")

    def build_hardware(self):
        self.namespace("fabric")
        fabric = f"{self.prefix}-fabric"
        self.ip("fabric", "link", "add", "bridge", "type", "bridge")
        run("ip", "netns", "exec", fabric, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", check=False)
        self.ip("fabric", "link", "set", "bridge", "up")
        self.port("pf", "switch", "phys", PORT_MAC, learns=False)
        for name in "acdk":
            self.namespace(name)
        self.port("wire", "k", "eth0", WIRE_MAC)
        for name in "acd":
            self.port("vf-" + name, name, "function", mac_of(name))
        for mac, port in ((GATEWAY_MAC, "pf"), (mac_of("b"), "pf"), (PORT_MAC, "pf"), (mac_of("a"), "pf"),
                          (mac_of("c"), "vf-c"), (mac_of("d"), "vf-d")):
            self.filter(mac, port)
        self.ip("fabric", "link", "set", "vf-a", "down")

    def plug(self):
        """The function comes: from now on the hardware and the guest use it."""
        self.ip("fabric", "link", "set", "vf-a", "up")
        self.filter(mac_of("a"), "vf-a")
        self.guest.has_function = True

    def unplug(self):
        self.guest.has_function = False
        self.filter(mac_of("a"), "pf")
        self.ip("fabric", "link", "set", "vf-a", "down")

    # ---- machines and guests ----

    def build_machines(self):
        for name, device, mac, addresses in (("k", "eth0", WIRE_MAC, (K, K2)), ("c", "function", mac_of("c"), (C,)),
                                             ("d", "function", mac_of("d"), (D,))):
            self.threads.append(Tagger(self, name, "vlan", 100, device))
            self.ip(name, "link", "set", "vlan", "address", mac)
            self.ip(name, "link", "set", "vlan", "up")
            self.address(name, *(ip + "/24" for ip in addresses), device="vlan")
        self.ip("c", "route", "add", "default", "via", "192.168.2.1")
        self.ip("d", "route", "add", "default", "via", GATEWAY)
        self.namespace("b")
        self.wire("sw-b", "b", mac_of("b"))
        self.address("b", B + "/24")
        self.ip("b", "route", "add", "default", "via", GATEWAY)
        self.namespace("host")
        self.wire("sw-host", "host")
        self.address("host", METADATA + "/32", routes=["100.64.0.0/10"])

    def build_guest(self):
        """Its standby is a virtio device of DPDK's with a veth pair behind it."""
        program = run("sh", "-c", "command -v dpdk-testpmd", check=False).stdout.strip()
        if not program:
            raise Tap.Skip("dpdk-testpmd is not installed (dist/setup.sh test)")
        self.namespace("pmd")
        pmd = f"{self.prefix}-pmd"
        self.ip("a", "link", "add", "standby", "type", "veth", "peer", "name", "pmd0", "netns", pmd)
        for where, what in (("a", "standby"), ("pmd", "pmd0")):
            run("ip", "netns", "exec", f"{self.prefix}-{where}", "ethtool", "-K", what, "tx", "off", "tso", "off")
            self.ip(where, "link", "set", what, "up")
        self.guest = Failover(self)
        self.threads.append(self.guest)
        self.ip("a", "link", "set", "eth0", "address", mac_of("a"))
        self.ip("a", "link", "set", "eth0", "up")
        self.address("a", A + "/24")
        self.ip("a", "route", "add", "default", "via", GATEWAY)
        self.start(
            "ip", "netns", "exec", pmd, program, "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
            f"--file-prefix={pmd}", "--lcores=0@(0-1),1@(0-1)", "--no-shconf",
            f"--vdev=net_virtio_user0,path={self.folder}/a.sock,server=1,queues=1,mac={mac_of('a')}",
            "--vdev=net_af_packet0,iface=pmd0", "--", "--forward-mode=io", "--auto-start", "--no-mlockall",
            "--total-num-mbufs=2048", "--stats-period=1", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def build(self):
        self.build_hardware()
        self.build_machines()
        self.start_switch("--workers", "2")
        self.apply()
        self.build_guest()
        expect(wait_for(lambda: self.attachment("synthetic")["state"] == "ready", 15), "the guest's rings are set up")
        expect(wait_for(lambda: self.ping("a", GATEWAY), 10), "the guest has a synthetic path")

    def close(self):
        for thread in self.threads:
            thread.stop()
        super().close()

    # ---- the switch ----

    def apply(self):
        self.state["generation"] += 1
        return self.control.call("apply", self.state)

    def active(self, name, word):
        next(nic for nic in self.state["nics"] if nic["uid"] == name)["active"] = word
        self.apply()

    def activate(self, word):
        self.active("a", word)

    def row(self, name):
        return next(row for row in self.control.call("nic.list") if row["uid"] == name)

    def attachment(self, kind, name="a"):
        return next(row for row in self.row(name)["attachments"] if row["kind"] == kind)

    # ---- the order that agents keep ----

    def restore(self):
        self.activate("both")
        expect(not self.attachment("function")["answered"], "nobody has answered by a function that is not there")
        self.plug()
        expect(wait_for(lambda: self.attachment("function")["answered"], 3), "a sign of life by the function")
        self.activate("function")

    def revoke(self):
        self.activate("both")
        self.unplug()
        self.activate("synthetic")


def pings(w, source, to):
    """(answers, duplicates) of five quick pings."""
    text = run("ip", "netns", "exec", f"{w.prefix}-{source}", "ping", "-n", "-q", "-c", "5", "-i", "0.02", "-W", "1", to,
               check=False).stdout
    duplicates = re.search(r"\+(\d+) duplicates", text)
    return int(re.search(r"(\d+) received", text)[1]), int(duplicates[1]) if duplicates else 0


def expect_all_reach(w, what):
    """Everybody reaches everybody, and nobody is told twice."""
    for source, target in (("a", B), ("b", A), ("a", K), ("k", A), ("a", C), ("c", A), ("a", D), ("d", A), ("b", K),
                           ("k", B), ("b", D), ("d", B), ("c", B), ("d", C), ("a", GATEWAY), ("c", "192.168.2.1"),
                           ("a", K2)):
        w.ping(source, target)  # ARP is not counted
        got = [pings(w, source, target)]
        if got[0] != (5, 0):  # once, the machine may have been too busy for one
            got.append(pings(w, source, target))
        expect(got[-1] == (5, 0) and got[0][1] == 0, f"{what}: {source} reaches {target} once a ping: {got}")


def test_synthetic(w):
    expect_all_reach(w, "synthetic")
    expect(w.attachment("function")["tx_packets"] == 0, "nothing was for a's function")


def test_function(w):
    w.restore()
    row = w.attachment("function")
    expect(row["state"] == "ready" and row["physical"] == "physnet1", row)
    expect_all_reach(w, "by its function")
    expect(w.attachment("function")["rx_packets"] > 20 and w.attachment("function")["tx_packets"] > 20, "counted")


def test_past(w):
    """What is between the function and the wire is none of the switch's."""
    s = w.udp("k", K, 5353)
    w.udp("a").sendto(b"x", (K, 5353))
    expect(s.recv(10) == b"x", "it arrives")
    flows = w.control.call("flow.list", {"address": K, "port": 5353})["flows"]
    expect(flows == [], f"no flow: {flows}")


def heard(s, wanted, seconds=0.5):
    """Frames of others within that time that fit, tags and all."""
    end = time.monotonic() + seconds
    frames = []
    while (left := end - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            data, more, _, where = s.recvmsg(65536, 100)
        except TimeoutError:
            break
        frame = Ether(with_tag(data, more))
        if where[2] != socket.PACKET_OUTGOING and wanted(frame):
            frames.append(frame)
    return frames


DEVICES = {"a": "eth0", "b": "eth0", "c": "vlan", "d": "vlan", "k": "vlan"}


def ears(w):
    return {name: ear(w, name, device) for name, device in DEVICES.items()}


def test_arp(w):
    """Each knows the others by their own MACs, and each question has one answer."""
    for source, target, mac in (("a", B, mac_of("b")), ("b", A, mac_of("a")), ("a", K, WIRE_MAC), ("k", A, mac_of("a")),
                                ("a", GATEWAY, GATEWAY_MAC), ("d", A, mac_of("a")), ("k", B, mac_of("b"))):
        w.ip(source, "neigh", "flush", "all")
        s = ear(w, source, DEVICES[source])
        expect(w.ping(source, target), f"{source} reaches {target}")
        answers = heard(s, lambda f: ARP in f and f[ARP].op == 2 and f[ARP].psrc == target)
        expect([f[ARP].hwsrc for f in answers] == [mac], f"{source} asks for {target}: {answers}")
        s.close()


def test_broadcasts(w):
    """An announcement reaches everybody else once, whoever makes it, and never its maker."""
    addresses = {"a": A, "b": B, "k": K}
    for maker, ip in addresses.items():
        mac = WIRE_MAC if maker == "k" else mac_of(maker)
        all_ears = ears(w)
        mouth = w.raw(maker, DEVICES[maker])
        mouth.send(bytes(Ether(src=mac, dst=BROADCAST) / ARP(op=1, hwsrc=mac, psrc=ip, pdst=ip)))
        for name, s in all_ears.items():
            got = heard(s, lambda f: ARP in f and f[ARP].psrc == ip and f[ARP].pdst == ip)
            # Between NICs of the switch none is needed: they know each other by the switch's answers.
            most = 0 if name == maker else 1
            expect(len(got) == most, f"{maker}'s announcement comes to {name} {len(got)} times")
            s.close()
        mouth.close()


def test_dhcp(w):
    """The switch answers by the function, and to it alone."""
    all_ears = ears(w)
    mouth = w.raw("a")
    mac = bytes.fromhex(mac_of("a").replace(":", ""))
    mouth.send(bytes(Ether(src=mac_of("a"), dst=BROADCAST) / IP(src="0.0.0.0", dst="255.255.255.255") /
                     UDP(sport=68, dport=67) / BOOTP(chaddr=mac, flags=0x8000) / DHCP(options=[("message-type", 1), "end"])))
    for name, s in all_ears.items():
        offers = heard(s, lambda f: BOOTP in f and f[BOOTP].op == 2)
        expect([f[BOOTP].yiaddr for f in offers] == ([A] if name == "a" else []), f"{name} hears {offers}")
        s.close()
    mouth.close()


def test_metadata(w):
    """By the host port, with the NIC's own source address there."""
    listener = w.listen("host", METADATA, 80)
    for name, identity in (("a", "100.64.0.4"), ("c", "100.64.0.6")):
        client = w.connect(name, METADATA, 80)
        expect(client, f"{name} reaches its metadata")
        server, (source, _) = listener.accept()
        expect(source == identity, f"{name} is {source} there")
        client.sendall(b"GET")
        expect(server.recv(3) == b"GET", "and speaks to it")
        client.close()
        server.close()
    listener.close()


def test_spoofed(w):
    """What a function may not send is refused as any NIC's; what is on its way on the wire stays there."""
    before = w.control.drops("a")
    mouth = w.raw("a")
    mouth.send(bytes(Ether(src=mac_of("a"), dst=mac_of("b")) / IP(src="192.168.1.77", dst=B) / UDP(sport=1, dport=2)))
    grown = lambda reason: w.control.drops("a").get(reason, 0) > before.get(reason, 0)
    expect(wait_for(lambda: grown("spoofed-ip"), 2), "another's address")
    # The bridge floods what it does not know: the switch sees it, and brings it nowhere.
    s = ear(w, "k", "vlan")
    mouth.send(bytes(Ether(src=mac_of("a"), dst="02:00:00:00:00:77") / IP(src=A, dst="192.168.1.77") /
                     UDP(sport=1, dport=4242)))
    expect(wait_for(lambda: grown("on-wire"), 2), "to somebody on the wire")
    copies = heard(s, lambda f: UDP in f and f[UDP].dport == 4242)
    expect(len(copies) == 1, f"it is on the wire once: {copies}")
    s.close()
    mouth.close()


def test_both(w):
    """While both are active and the guest has its function, and while it has lost it: nothing comes twice."""
    w.activate("both")
    expect_all_reach(w, "both, with the function")
    w.unplug()
    expect_all_reach(w, "both, without it")
    w.activate("synthetic")
    expect_all_reach(w, "synthetic again")
    w.restore()


def test_sign_of_life(w):
    """A guest that says nothing of its own is heard soon after its function came."""
    w.revoke()
    time.sleep(0.3)
    w.activate("both")
    time.sleep(1)
    expect(not w.attachment("function")["answered"], "nothing comes by a function that is away")
    # Somebody on the wire says what the guest would: its frames are counted, and no answer.
    before = w.attachment("function")["rx_packets"]
    mouth = w.raw("d", "function")
    forged = Ether(src=mac_of("a"), dst=GATEWAY_MAC) / Dot1Q(vlan=100)
    mouth.send(bytes(forged / ARP(op=2, hwsrc=mac_of("a"), psrc=A, hwdst=GATEWAY_MAC, pdst=GATEWAY)))
    mouth.send(bytes(forged / IP(src=A, dst=GATEWAY) / ICMP(type=0) / bytes(8)))
    mouth.close()
    expect(wait_for(lambda: w.attachment("function")["rx_packets"] == before + 2, 2), "the forged frames are seen")
    expect(not w.attachment("function")["answered"], "they are no answers")
    w.filter(mac_of("a"), "pf")  # which the bridge has learnt elsewhere
    begin = time.monotonic()
    w.plug()
    expect(wait_for(lambda: w.attachment("function")["answered"], 2), "it is heard")
    took = time.monotonic() - begin
    print(f"# after {took * 1000:.0f} ms", flush=True)
    expect(took < 1, f"soon: {took}")
    w.activate("function")


class Stream(threading.Thread):
    """A TCP connection whose client sends numbers and whose server sends them back, one after the other."""

    def __init__(self, w, client, server, address, port):
        super().__init__(daemon=True)
        listener = w.listen(server, address, port)
        self.name = f"{client} to {server}"
        self.client = w.connect(client, address, port)
        expect(self.client, f"{self.name} connects")
        self.server = listener.accept()[0]
        listener.close()
        for s in (self.client, self.server):
            s.settimeout(20)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rounds, self.longest, self.over, self.why = 0, 0.0, False, None
        self.start()

    def run(self):
        try:
            while not self.over:
                begin = time.monotonic()
                word = struct.pack("!I", self.rounds)
                for sender, receiver in ((self.client, self.server), (self.server, self.client)):
                    sender.sendall(word)
                    if receiver.recv(4, socket.MSG_WAITALL) != word:
                        raise OSError("another word")
                self.longest = max(self.longest, time.monotonic() - begin)
                self.rounds += 1
                time.sleep(0.005)
        except OSError as why:
            self.why = why

    def finish(self):
        self.over = True
        self.join()
        self.client.close()
        self.server.close()
        expect(self.why is None and self.rounds > 50, f"{self.name}: {self.why} after {self.rounds} rounds")


def idle(w, port=7900):
    """A connection that began past the switch, and says nothing until it is asked."""
    listener = w.listen("k", K, port)
    client = w.connect("a", K, port)
    server = listener.accept()[0]
    listener.close()
    return client, server


def test_cycles(w):
    """Revoked and restored under traffic: no connection is lost."""
    quiet = idle(w)
    streams = [Stream(w, client, server, address, 7800 + i) for i, (client, server, address) in enumerate(
        (("a", "k", K), ("k", "a", A), ("a", "b", B), ("b", "a", A), ("a", "d", D), ("c", "a", A)))]
    ping = w.start("ip", "netns", "exec", f"{w.prefix}-a", "ping", "-n", "-q", "-i", "0.02", K, stdout=subprocess.PIPE,
                   text=True)
    for _ in range(CYCLES):
        w.revoke()
        time.sleep(0.5)
        w.restore()
        time.sleep(0.5)
    w.revoke()
    # It is the machine that speaks first, to a guest that the switch has never seen it with.
    quiet[1].sendall(b"there")
    quiet[0].settimeout(5)
    expect(quiet[0].recv(5) == b"there", "a connection that was idle from before lives")
    for s in quiet:
        s.close()
    ping.send_signal(signal.SIGINT)
    text = ping.communicate(timeout=10)[0]
    for stream in streams:
        stream.finish()
        print(f"# {stream.name}: {stream.rounds} rounds, the longest of {stream.longest * 1000:.0f} ms", flush=True)
    print("# ping:", text.strip().splitlines()[-2], flush=True)
    expect("duplicates" not in text, text)
    w.restore()


def learnt_at(w, mac):
    """The port where the bridge upstream has learnt the MAC."""
    text = run("bridge", "-n", f"{w.prefix}-fabric", "fdb", "show", "br", "upstream").stdout
    found = re.search(rf"{mac} dev (\S+) master", text)
    return found and found[1]


@contextlib.contextmanager
def two_uplinks(w):
    """c's function is of another NIC than the switch's port: both, and k, are at a bridge that learns."""
    w.ip("fabric", "link", "add", "upstream", "type", "bridge")
    w.ip("fabric", "link", "add", "uplink", "type", "veth", "peer", "name", "up-pf")
    for name, bridge in (("uplink", "bridge"), ("up-pf", "upstream"), ("wire", "upstream"), ("vf-c", "upstream")):
        w.ip("fabric", "link", "set", name, "master", bridge)
    for name in ("upstream", "uplink", "up-pf"):
        w.ip("fabric", "link", "set", name, "up")
    try:
        yield
    finally:
        for name in ("wire", "vf-c"):
            w.ip("fabric", "link", "set", name, "master", "bridge")
        for name in ("uplink", "upstream"):
            w.ip("fabric", "link", "del", name)
        w.filter(mac_of("c"), "vf-c")
        w.active("c", "function")


def test_upstream(w):
    """A guest that only receives is found at the switch's port when its function, of another NIC, is taken."""
    with two_uplinks(w), contextlib.closing(ear(w, "switch", "phys")) as port:
        expect(w.ping("c", K2), "c reaches the wire by its function")
        expect(learnt_at(w, mac_of("c")) == "vf-c", "the bridge has learnt c's MAC at the function's NIC")
        w.active("c", "both")
        expect(learnt_at(w, mac_of("c")) == "vf-c", "as long as the function may be in use it stays there")
        w.filter(mac_of("c"), "pf")  # the agent: the host hears what comes for it from now on
        w.active("c", "synthetic")
        expect(wait_for(lambda: learnt_at(w, mac_of("c")) == "up-pf", 2), "the bridge learns it at the switch's port")
        w.udp("k", K2, 5354).sendto(b"x", (C, 5354))
        got = heard(port, lambda frame: frame.dst == mac_of("c") and frame.src == WIRE_MAC)
        expect(got, "what is for c comes to the switch")


def test_killed(w):
    """A switch that is killed takes no connection of its NICs' with it."""
    streams = [Stream(w, client, server, address, 7850 + i) for i, (client, server, address) in enumerate(
        (("a", "k", K), ("a", "b", B), ("c", "a", A)))]
    time.sleep(0.3)
    w.kill_switch()
    w.start_switch("--workers", "2")
    time.sleep(1)
    for stream in streams:
        stream.finish()


TESTS = [
    ("a NIC that may have a function is reached without one", test_synthetic),
    ("everybody reaches a function past the host, and it them", test_function),
    ("what is between a function and the wire does not touch the switch", test_past),
    ("each question on the wire has one answer", test_arp),
    ("announcements reach everybody once", test_broadcasts),
    ("a function has its address from the switch", test_dhcp),
    ("a function has its metadata", test_metadata),
    ("a function is held to its NIC's addresses", test_spoofed),
    ("nothing comes twice while both are active", test_both),
    ("an idle guest is heard at once when its function comes", test_sign_of_life),
    ("no connection is lost when functions go and come", test_cycles),
    ("bridges learn that a function of another NIC is not there any more", test_upstream),
    ("no connection is lost with the switch", test_killed),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
