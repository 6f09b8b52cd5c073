#!/usr/bin/python3
"""Two real switches, the kernel as a machine and as a router, all on one physical network; guests are network namespaces.

    vlan_test.py SLUICE-SWITCH       as root; prints TAP. TESTS=WORDS chooses by name

    VLAN 100, the switches are the gateway:
        switch one: a 192.168.1.4, c 192.168.2.4; switch two: d 192.168.1.6, e 192.168.2.6
        k: 192.168.1.9 and 192.168.2.9
    VLAN 200, the gateway is r:    switch one: v 10.2.0.4    k: 10.2.0.9    r: 10.2.0.1, and behind it f, 198.51.100.7
    no tag:                        switch one: w 10.3.0.4    k: 10.3.0.9
    fabric: a bridge that joins them; the test sees and sends whole frames there

k and r have the kernel's own VLAN devices, or where it has none, taps whose frames this program tags.
"""
import os
import signal
import socket
import sys
import threading
import time

from lab import GATEWAY_MAC, Lab, expect, join, mac_of, rule, run, run_tests, wait_for
from tags import Tagger, ear, with_tag

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import ARP, ICMP, IP, UDP, Dot1AD, Dot1Q, Ether, IPv6, Raw
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)

BROADCAST = "ff:ff:ff:ff:ff:ff"
STRANGER = "02:00:00:00:00:55"
WIRES = {"one": "02:00:00:00:01:01", "two": "02:00:00:00:02:01", "k": "02:00:00:00:03:01", "r": "02:00:00:00:04:01"}
# name: switch, network, subnet, address, gateway
GUESTS = {
    "a": ("one", "n", "s1", "192.168.1.4", "192.168.1.1"), "c": ("one", "n", "s2", "192.168.2.4", "192.168.2.1"),
    "v": ("one", "m", "s3", "10.2.0.4", "10.2.0.1"), "w": ("one", "o", "s4", "10.3.0.4", "10.3.0.1"),
    "d": ("two", "n", "s1", "192.168.1.6", "192.168.1.1"), "e": ("two", "n", "s2", "192.168.2.6", "192.168.2.1"),
}
IP_OF = {name: guest[3] for name, guest in GUESTS.items()}
K, K2, K_V, K_W, ROUTER, FAR = "192.168.1.9", "192.168.2.9", "10.2.0.9", "10.3.0.9", "10.2.0.1", "198.51.100.7"


def subnet(uid, prefix, gateway, external=False):
    return {"uid": uid, "prefix": prefix, "gateway": gateway, "gateway_external": external, "dns": [], "group": None}


def state_of(switch):
    here = {name: guest for name, guest in GUESTS.items() if guest[0] == switch}
    return {
        "generation": 1, "outside": None, "host_port": None,
        "physicals": [{"name": "physnet1", "interface": "wire", "mtu": 1500}],
        "groups": [{"uid": "g", "name": "g", "revalidate": True, "rules": []}],
        "networks": [
            {"uid": "n", "vlan": {"physical": "physnet1", "id": 100}, "prefixes": ["192.168.0.0/16"],
             "subnets": [subnet("s1", "192.168.1.0/24", "192.168.1.1"), subnet("s2", "192.168.2.0/24", "192.168.2.1")]},
            {"uid": "m", "vlan": {"physical": "physnet1", "id": 200}, "prefixes": ["10.2.0.0/16"],
             "subnets": [subnet("s3", "10.2.0.0/24", ROUTER, True)]},
            {"uid": "o", "vlan": {"physical": "physnet1"}, "prefixes": ["10.3.0.0/16"],
             "subnets": [subnet("s4", "10.3.0.0/24", "10.3.0.1")]},
        ],
        "nics": [{"uid": name, "name": name, "mac": mac_of(name), "network": network, "subnet": in_subnet, "group": "g",
                  "mtu": 1500, "addresses": [{"ip": ip}], "active": "function",
                  "attachments": [{"kind": "function", "interface": "sw-" + name}]}
                 for name, (_, network, in_subnet, ip, _) in here.items()],
    }


class Side(Lab):
    """One switch with its guests."""

    def __init__(self, program, name):
        super().__init__(program, "vlan-" + name)
        self.name = name
        self.state = state_of(name)

    def build(self, fabric):
        for guest, (where, _, _, ip, gateway) in GUESTS.items():
            if where != self.name:
                continue
            self.namespace(guest)
            self.wire("sw-" + guest, guest, mac_of(guest))
            self.address(guest, ip + "/24")
            self.ip(guest, "route", "add", "default", "via", gateway)
        join(fabric, self.name, f"{self.prefix}-switch", "wire", WIRES[self.name])
        self.start_switch()
        self.apply()

    def apply(self):
        self.state["generation"] += 1
        return self.control.call("apply", self.state)

    def rules(self, *rules):
        self.state["groups"][0]["rules"] = list(rules)
        self.apply()

    def nic(self, name):
        return next(nic for nic in self.state["nics"] if nic["uid"] == name)


class World:
    def __init__(self, program):
        self.one, self.two = Side(program, "one"), Side(program, "two")
        self.spy = None
        self.taggers = []

    def build(self):
        one = self.one
        one.namespace("fabric")
        fabric = f"{one.prefix}-fabric"
        # A hub, which forgets at once who is where: the test's port sees every frame.
        one.ip("fabric", "link", "add", "bridge", "type", "bridge", "ageing_time", "0")
        # Where bridges have netfilter look at packets, it drops those that the test gets wrong.
        run("ip", "netns", "exec", fabric, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", check=False)
        one.ip("fabric", "link", "set", "bridge", "up")
        one.build(fabric)
        self.two.build(fabric)
        self.build_machine(fabric)
        self.build_router(fabric)
        run("ip", "-n", fabric, "link", "add", "tap0", "type", "veth", "peer", "name", "spy")
        for end in ("tap0", "spy"):
            one.ip("fabric", "link", "set", end, "up")
        one.ip("fabric", "link", "set", "tap0", "master", "bridge")
        self.listen()
        self.allow_all()

    def vlan(self, name, id_, *addresses):
        """A VLAN device on eth0: the kernel's own, or where it has none, a tap and a thread that tags."""
        device = f"eth0.{id_}"
        made = run("ip", "-n", f"{self.one.prefix}-{name}", "link", "add", "link", "eth0", "name", device, "type", "vlan",
                   "id", str(id_), check=False)
        if made.returncode:
            # Bytes alone pass a tap: nothing may be left to devices on the way there.
            run("ip", "netns", "exec", f"{self.one.prefix}-fabric", "ethtool", "-K", name, "tx", "off", "tso", "off", "gso",
                "off")
            self.taggers.append(Tagger(self.one, name, device, id_))
            self.one.ip(name, "link", "set", device, "address", WIRES[name])
        self.one.ip(name, "link", "set", device, "up")
        self.one.address(name, *addresses, device=device)

    def build_machine(self, fabric):
        self.one.namespace("k")
        join(fabric, "k", f"{self.one.prefix}-k", "eth0", WIRES["k"])
        self.one.address("k", K_W + "/24")
        self.vlan("k", 100, K + "/24", K2 + "/24")
        self.vlan("k", 200, K_V + "/24")

    def build_router(self, fabric):
        one = self.one
        one.namespace("r")
        one.namespace("f")
        join(fabric, "r", f"{one.prefix}-r", "eth0", WIRES["r"])
        self.vlan("r", 200, ROUTER + "/24")
        one.ip("r", "link", "add", "far", "type", "veth", "peer", "name", "eth0", "netns", f"{one.prefix}-f")
        one.ip("r", "link", "set", "far", "up")
        one.ip("f", "link", "set", "eth0", "up")
        one.address("r", "198.51.100.1/24", device="far")
        one.address("f", FAR + "/24")
        one.ip("f", "route", "add", "default", "via", "198.51.100.1")
        run("ip", "netns", "exec", f"{one.prefix}-r", "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def side(self, guest):
        return self.two if GUESTS.get(guest, ("one",))[0] == "two" else self.one

    def allow_all(self):
        for side in (self.one, self.two):
            side.rules(rule("all", 100, None, protocol="any"))

    def listen(self):
        """A fresh ear and mouth in the fabric: nothing from before is heard."""
        if self.spy:
            self.spy.close()
        self.spy = ear(self.one, "fabric", "spy")

    def hear(self, wanted, seconds=3.0):
        """The next frame of others that fits, as it was on the wire, or None."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.spy.settimeout(left)
            try:
                data, more, _, where = self.spy.recvmsg(65536, 100)
            except TimeoutError:
                return None
            if where[2] == socket.PACKET_OUTGOING:
                continue
            frame = Ether(with_tag(data, more))
            if wanted(frame):
                return frame
        return None

    def neighbour(self, name, ip):
        """The MAC that the kernel of that namespace has for the address."""
        words = self.side(name).ip(name, "neigh", "show", "to", ip).stdout.split()
        return words[words.index("lladdr") + 1] if "lladdr" in words else None

    def switch_log(self):
        return self.one.switch_log() + "-- two --\n" + self.two.switch_log()

    def close(self):
        for tagger in self.taggers:
            tagger.stop()
        if self.spy:
            self.spy.close()
        self.one.close()
        self.two.close()


# ---- the kernel as a neighbour ----

def test_ping(w):
    """All pairs, both ways; the first packets too."""
    for source, target in (("a", K), ("k", IP_OF["a"]), ("v", K_V), ("k", IP_OF["v"]), ("w", K_W), ("k", IP_OF["w"]),
                           ("a", IP_OF["d"]), ("d", IP_OF["a"]), ("k", IP_OF["d"]), ("a", IP_OF["c"])):
        expect(w.side(source).ping(source, target), f"{source} reaches {target}")


def test_macs(w):
    """Each knows the other by its own MAC, on whatever switch."""
    w.one.ping("k", IP_OF["a"])
    w.one.ping("a", IP_OF["d"])
    expect(w.neighbour("k", IP_OF["a"]) == mac_of("a"), "the machine knows a's MAC")
    expect(w.neighbour("a", K) == WIRES["k"], "a knows the machine's MAC")
    expect(w.neighbour("a", IP_OF["d"]) == mac_of("d"), "a knows d's MAC")
    expect(w.neighbour("d", IP_OF["a"]) == mac_of("a"), "d knows a's MAC")


def test_wire(w):
    """Scapy reads what is on the wire."""
    w.listen()
    for guest, to, id_ in (("a", K, 100), ("v", K_V, 200), ("w", K_W, None)):
        s = w.one.udp(guest)
        s.sendto(b"hello", (to, 5353))
        frame = w.hear(lambda f: UDP in f and f[UDP].dport == 5353)
        expect(frame, f"a frame of {guest}")
        expect((frame.src, frame.dst) == (mac_of(guest), WIRES["k"]), frame.summary())
        expect(frame[IP].ttl == 64 and bytes(frame[UDP].payload)[:5] == b"hello", frame.summary())
        expect((frame[Dot1Q].vlan if Dot1Q in frame else None) == id_, frame.summary())
        s.close()


def transfer(receiver, sender, size):
    """All of the bytes arrive, whole."""
    data = os.urandom(65536) * (size // 65536)
    got = bytearray()

    def take():
        while len(got) < len(data) and (part := receiver.recv(1 << 20)):
            got.extend(part)

    thread = threading.Thread(target=take)
    thread.start()
    sender.sendall(data)
    thread.join(30)
    expect(bytes(got) == data, f"{len(got)} of {len(data)} bytes arrive")


def test_bulk(w):
    """TCP both ways, whoever begins."""
    for client, server, address in (("a", "k", K), ("k", "a", IP_OF["a"]), ("v", "k", K_V), ("w", "k", K_W),
                                    ("a", "d", IP_OF["d"])):
        listener = w.side(server).listen(server, address, 7000)
        one = w.side(client).connect(client, address, 7000)
        expect(one, f"{client} connects to {server}")
        other = listener.accept()[0]
        other.settimeout(20)
        one.settimeout(20)
        transfer(other, one, 4 << 20)
        transfer(one, other, 4 << 20)
        for s in (one, other, listener):
            s.close()


def test_large(w):
    """Fragments follow their first, and sizes are whole: 1500 bytes fit beside the tag."""
    expect(w.one.ping("a", K, size=1472, extra=("-M", "do")), "1500 bytes, unfragmented, out")
    expect(w.one.ping("k", IP_OF["a"], size=1472, extra=("-M", "do")), "and in")
    expect(w.one.ping("a", K, size=4000) and w.one.ping("k", IP_OF["a"], size=4000), "fragments")


# ---- policy ----

def test_policy(w):
    """The receiver's group decides; the wire's machines are of the virtual network by their addresses."""
    w.one.rules(rule("web", 100, 80), rule("none", 200, None, "deny", "any"))
    listeners = [w.one.listen("a", IP_OF["a"], port) for port in (80, 81)]
    for source in ("k", "d"):
        expect(w.side(source).connect(source, IP_OF["a"], 80), f"{source} may reach port 80")
        expect(w.side(source).connect(source, IP_OF["a"], 81, 0.5) is None, f"{source} may not reach port 81")
    expect(w.one.control.drops("a").get("denied-inbound", 0) >= 2, "refused where the receiver is")
    expect(w.one.ping("a", K), "answers need no rule")
    for s in listeners:
        s.close()
    w.one.rules(rule("near", 100, 80, tags=["VirtualNetwork"]), rule("none", 200, None, "deny", "any"))
    listener = w.one.listen("v", IP_OF["v"], 80)
    expect(w.one.connect("k", IP_OF["v"], 80), "a machine of the network's prefixes is near")
    expect(w.one.connect("f", IP_OF["v"], 80, 0.5) is None, "one behind the router is not")
    listener.close()
    w.allow_all()


def test_revoked(w):
    """A rule that goes ends the connection."""
    listener = w.one.listen("a", IP_OF["a"], 80)
    client = w.one.connect("k", IP_OF["a"], 80)
    server = listener.accept()[0]
    client.sendall(b"1")
    expect(server.recv(1) == b"1", "while it is allowed")
    w.one.rules(rule("none", 200, None, "deny", "any"))
    client.sendall(b"2")
    server.settimeout(0.5)
    try:
        raise AssertionError(f"got {server.recv(1)}")
    except TimeoutError:
        pass
    w.allow_all()
    server.settimeout(10)
    expect(server.recv(1) == b"2", "and again")
    for s in (client, server, listener):
        s.close()


def test_apart(w):
    """One VLAN's machine is nobody in the other, also with a route that says otherwise."""
    w.one.ip("v", "route", "add", "192.168.1.0/24", "dev", "eth0")
    w.one.ip("k", "addr", "add", "192.168.1.8/32", "dev", "eth0.200")
    try:
        expect(not w.one.ping("v", IP_OF["a"]), "v does not reach a, which is on the same switch")
        expect(not w.one.ping("k", IP_OF["a"], extra=("-I", "eth0.200")), "nor does k from the other VLAN")
        expect(not w.one.ping("k", IP_OF["a"], extra=("-I", "eth0")), "nor from none")
    finally:
        w.one.ip("v", "route", "del", "192.168.1.0/24")
        w.one.ip("k", "addr", "del", "192.168.1.8/32", "dev", "eth0.200")


# ---- routers ----

def test_switch_gateway(w):
    """Between subnets of the VLAN: the sender's switch makes the hop, machines have a route of their own back."""
    expect(w.one.ping("a", "192.168.1.1"), "the gateway answers")
    w.listen()
    expect(w.one.ping("a", IP_OF["e"]), "to a NIC of the other switch")
    expect(w.two.ping("e", IP_OF["a"]), "and from it")
    expect(w.one.ping("a", K2), "to a machine")
    frame = w.hear(lambda f: ICMP in f and f[IP].dst == IP_OF["e"])
    expect(frame and (frame.src, frame.dst, frame[IP].ttl) == (mac_of("a"), mac_of("e"), 63), f"one hop: {frame!r}")
    listener = w.one.listen("k", K2, 7001)
    expect(w.one.connect("a", K2, 7001), "TCP")
    listener.close()


def test_external_gateway(w):
    """The router's answers are the router's."""
    expect(w.one.ping("v", ROUTER), "the router answers")
    expect(w.neighbour("v", ROUTER) == WIRES["r"], "with its own MAC")
    w.listen()
    expect(w.one.ping("v", FAR) and w.one.ping("f", IP_OF["v"]), "there and back through it")
    frame = w.hear(lambda f: ICMP in f and f[IP].dst == FAR)
    expect((frame.src, frame.dst, frame[IP].ttl) == (mac_of("v"), WIRES["r"], 64), "the switch makes no hop")
    listener = w.one.listen("f", FAR, 7002)
    client = w.one.connect("v", FAR, 7002)
    expect(client, "TCP")
    server = listener.accept()[0]
    transfer(server, client, 1 << 20)
    for s in (client, server, listener):
        s.close()
    done = run("ip", "netns", "exec", f"{w.one.prefix}-v", "ping", "-n", "-c", "1", "-t", "1", "-W", "1", FAR, check=False)
    expect(f"From {ROUTER}" in done.stdout, "its ICMP errors arrive: " + done.stdout)


# ---- ARP ----

def test_announced(w):
    """Machines learn that an address has come, guests that one has moved."""
    w.one.ip("k", "neigh", "replace", "192.168.1.40", "lladdr", STRANGER, "nud", "stale", "dev", "eth0.100")
    w.one.nic("a")["addresses"].append({"ip": "192.168.1.40"})
    w.one.apply()
    expect(wait_for(lambda: w.neighbour("k", "192.168.1.40") == mac_of("a")), "the machine has a's MAC")
    w.one.nic("a")["addresses"].pop()
    w.one.apply()
    for guest in ("a", "d"):
        w.side(guest).ping(guest, K)
        expect(w.neighbour(guest, K) == WIRES["k"], "known at its old place")
    time.sleep(1.1)  # the kernel takes no news of a neighbour within a second of the last (locktime)
    w.spy.send(bytes(Ether(src=STRANGER, dst=BROADCAST) / Dot1Q(vlan=100) /
                     ARP(op=1, hwsrc=STRANGER, psrc=K, hwdst="00:00:00:00:00:00", pdst=K)))
    for guest in ("a", "d"):
        expect(wait_for(lambda g=guest: w.neighbour(g, K) == STRANGER), f"{guest} knows the new place")
        w.side(guest).ip(guest, "neigh", "flush", "all")
    expect(w.one.ping("a", K), "and asks again")


def test_duplicate(w):
    """Who probes for a guest's address is told that it is taken (RFC 5227)."""
    w.listen()
    w.spy.send(bytes(Ether(src=STRANGER, dst=BROADCAST) / Dot1Q(vlan=100) /
                     ARP(op=1, hwsrc=STRANGER, psrc="0.0.0.0", pdst=IP_OF["a"])))
    frame = w.hear(lambda f: ARP in f and f[ARP].op == 2 and f.dst == STRANGER)
    expect(frame and frame[Dot1Q].vlan == 100, "an answer")
    expect((frame[ARP].hwsrc, frame[ARP].psrc) == (mac_of("a"), IP_OF["a"]), frame.summary())


# ---- frames by the byte ----

def to_a(tag=Dot1Q(vlan=100), source=STRANGER, ip="192.168.1.77", target="a"):
    frame = Ether(src=source, dst=mac_of(target))
    rest = IP(src=ip, dst=IP_OF[target]) / UDP(sport=9, dport=9999) / Raw(b"x" * 30)
    return frame / tag / rest if tag else frame / rest


def refusals():
    good = bytes(to_a())
    return [
        ("unknown-vlan", to_a(Dot1Q(vlan=101))),
        ("unknown-vlan", to_a(Dot1Q(vlan=4095))),
        ("unknown-mac", to_a(Dot1Q(vlan=200))),
        ("unknown-mac", to_a(None)),
        ("vlan", to_a(Dot1AD(vlan=100))),
        ("vlan", to_a(Dot1AD(vlan=100) / Dot1Q(vlan=100))),
        ("vlan", to_a(Dot1Q(vlan=100) / Dot1Q(vlan=100))),
        ("vlan", to_a(Dot1Q(vlan=100) / Dot1AD(vlan=100))),
        ("truncated", Raw(good[:30])),
        ("truncated", Raw(good[:-1])),
        ("spoofed-physical", to_a(source=mac_of("a"))),
        ("spoofed-physical", to_a(source=mac_of("c"))),
        ("spoofed-physical", to_a(source=GATEWAY_MAC)),
        ("spoofed-physical", to_a(ip=IP_OF["a"])),
        ("spoofed-physical", to_a(ip=IP_OF["c"])),
        ("spoofed-physical", to_a(ip="192.168.1.1")),
        ("spoofed-physical", to_a(ip="169.254.169.254")),
        ("spoofed-physical", to_a(ip="8.8.8.8")),
        ("spoofed-physical", Ether(src=STRANGER, dst=BROADCAST) / Dot1Q(vlan=100) /
         ARP(op=2, hwsrc=STRANGER, psrc=IP_OF["c"], pdst=IP_OF["c"])),
        ("multicast", Ether(src=STRANGER, dst=BROADCAST) / Dot1Q(vlan=100) /
         IP(src="192.168.1.77", dst="192.168.1.255") / UDP(sport=9, dport=9999) / Raw(b"x" * 30)),
        ("ipv6-physical", Ether(src=STRANGER, dst=mac_of("a")) / Dot1Q(vlan=100) / IPv6(src="fd00::9", dst="fd00::4") /
         UDP(sport=9, dport=9999) / Raw(b"x" * 30)),
    ]


def test_refused(w):
    """Frames by scapy that must not reach the guest, each for its reason."""
    guest = w.one.udp("a", port=9999)
    for reason, frame in refusals():
        before = w.one.control.drops()[reason]
        w.spy.send(bytes(frame))
        expect(wait_for(lambda r=reason, b=before: w.one.control.drops()[r] > b), f"{reason}: {frame.summary()}")
    guest.settimeout(0.2)
    try:
        raise AssertionError(f"the guest got {guest.recv(100)}")
    except TimeoutError:
        pass
    guest.settimeout(2)
    for tag in (Dot1Q(vlan=100), Dot1Q(vlan=100, prio=7), Dot1Q(vlan=100, id=1)):
        w.spy.send(bytes(to_a(tag)))
        expect(guest.recv(100) == b"x" * 30, "what is right arrives")


def test_priority(w):
    """A tag with the id 0 is a priority only: the frame is of the network without a tag."""
    guest = w.one.udp("w", port=9999)
    for tag in (None, Dot1Q(vlan=0, prio=5)):
        w.spy.send(bytes(to_a(tag, ip="10.3.0.77", target="w")))
        expect(guest.recv(100) == b"x" * 30, "it arrives")


# ---- operators ----

def test_seen(w):
    """Operators see where a flow goes, and how much the wire carries."""
    w.one.ping("a", K)
    rows = w.one.control.call("flow.list", {"nic": "a"})["flows"]
    expect(any("vlan 100 of physnet1" in row["actions"] for row in rows), rows)
    traced = w.one.control.call("trace", {"nic": "a", "packet": f"in tcp {K}:1 > {IP_OF['a']}:2 syn"})
    expect(traced["verdict"] == "forwarded", traced)
    expect(any("vlan 100 of physnet1" in step["text"] for step in traced["steps"]), traced)
    edges = w.one.control.call("edge.list")
    expect([(e["edge"], e["physical"], e["state"]) for e in edges] == [("physical", "physnet1", "ready")], edges)
    expect(edges[0]["rx_packets"] and edges[0]["tx_packets"], edges)
    for family in w.one.control.call("metrics"):
        if family["name"] in ("sluice_edge_rx_packets_total", "sluice_edge_tx_packets_total"):
            expect(any(s["labels"] == {"edge": "physical", "physical": "physnet1"} and s["value"] > 0
                       for s in family["samples"]), family)


def test_killed(w):
    """Connections over the wire outlive their switch."""
    pairs = []
    for client, server, address in (("a", "k", K), ("k", "a", IP_OF["a"]), ("v", "f", FAR), ("a", "k", K2)):
        listener = w.one.listen(server, address, 7100)
        one = w.one.connect(client, address, 7100)
        expect(one, f"{client} connects to {address}")
        other = listener.accept()[0]
        for s in (one, other):
            s.settimeout(20)
        pairs.append((one, other))
        listener.close()
    for _ in range(2):
        w.one.kill_switch(signal.SIGKILL)
        w.one.start_switch()
        for one, other in pairs:
            one.sendall(b"there")
            expect(other.recv(10) == b"there", "to")
            other.sendall(b"back")
            expect(one.recv(10) == b"back", "fro")


TESTS = [
    ("guests, machines and other switches' guests reach each other", test_ping),
    ("neighbours know each other by their own MACs", test_macs),
    ("an independent reader finds the tags right", test_wire),
    ("bytes cross whole, whoever begins", test_bulk),
    ("the wire's whole size can be used, and fragments cross", test_large),
    ("the receiver's group decides who may come from the wire", test_policy),
    ("a rule that goes ends a connection with a machine", test_revoked),
    ("VLANs are apart", test_apart),
    ("the switch routes between subnets of the VLAN", test_switch_gateway),
    ("a router on the wire is the gateway", test_external_gateway),
    ("addresses that come and move are announced", test_announced),
    ("a probe for a guest's address is answered", test_duplicate),
    ("what must not come by the wire is refused, each with its reason", test_refused),
    ("a priority is no VLAN", test_priority),
    ("flows, traces and metrics say what goes by the wire", test_seen),
    ("connections over the wire outlive a killed switch", test_killed),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
