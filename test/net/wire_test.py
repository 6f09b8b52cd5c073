#!/usr/bin/python3
"""Frames built by scapy, byte for byte, through a real sluice-switch: what passes, how it looks then, and why the rest
does not.

    wire_test.py SLUICE-SWITCH        as root; prints TAP. TESTS=WORDS chooses by name

Guests are bare wires: their namespaces have no addresses, so nobody but this program answers.

    a 192.168.1.4, public 203.0.113.10, group g     b 192.168.1.5 (one subnet)     c 192.168.2.4, MTU 1400 (another)
    p fd00::4, q fd00::5 (one subnet), r fd00:0:0:1::4 (another)     out 203.0.113.1     host 169.254.169.254
"""
import contextlib
import copy
import signal
import socket
import struct
import sys
import time

from lab import GATEWAY_MAC, Lab, expect, mac_of, run_tests, wait_for

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import (ARP, BOOTP, DHCP, ESP, GRE, ICMP, IP, SCTP, TCP, UDP, VXLAN, Dot1AD, Dot1Q, Dot3, Ether,
                           ICMPv6ND_RA, IPOption_EOL, IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_SSRR, IPOption_Timestamp,
                           IPv6, Padding, Raw)
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)

OUT_MAC = "02:00:5e:00:00:01"
HOST_MAC = "02:00:5e:00:00:02"
PEER_MAC = "02:00:00:00:00:99"
BROADCAST = "ff:ff:ff:ff:ff:ff"
METADATA = "169.254.169.254"
GUESTS = ("a", "b", "c", "p", "q", "r")
IP_OF = {"a": "192.168.1.4", "b": "192.168.1.5", "c": "192.168.2.4", "p": "fd00::4", "q": "fd00::5",
         "r": "fd00:0:0:1::4", "out": "203.0.113.1"}
PUBLIC = "203.0.113.10"
PUBLIC_B = "203.0.113.11"
SHARED = "203.0.113.250"


def nic(name, subnet, group=None, public=None, host=None, mtu=1500):
    return {
        "uid": name, "name": name, "mac": mac_of(name), "network": "n", "subnet": subnet, "group": group, "mtu": mtu,
        "addresses": [{"ip": IP_OF[name], "public": public, "standard": False}], "host_address": host, "hostname": name,
        "attachments": [{"kind": "function", "interface": "sw-" + name}], "active": "function",
    }


def subnet(uid, prefix, gateway, dns=()):
    six = "6" if ":" in prefix else ""
    return {"uid": uid, "prefix" + six: prefix, "gateway" + six: gateway, "dns": list(dns), "group": None}


def side(ports=(), **what):
    return {"any": not what, "tags": [], "prefixes": [], "ports": [list(p) for p in ports], **what}


def rule(name, priority, direction, action, protocol, source=None, destination=None):
    return {"name": name, "direction": direction, "priority": priority, "protocol": protocol, "action": action,
            "source": source or side(), "destination": destination or side()}


# Group g: closed but for what a test of its own opens.
RULES = [
    rule("range", 100, "inbound", "allow", "tcp", destination=side([(1000, 2000)])),
    rule("friends", 110, "inbound", "allow", "udp", source=side(groups=[7]), destination=side([(53, 53)])),
    rule("tunnel", 120, "inbound", "allow", "udp", destination=side([(4789, 4789)])),
    rule("gre", 130, "inbound", "allow", 47),
    rule("closed", 200, "inbound", "deny", "any"),
    rule("no-telnet", 100, "outbound", "deny", "tcp", destination=side([(23, 23)])),
]

STATE = {
    "generation": 1,
    "outside": {"interface": "sw-out", "mac": OUT_MAC, "prefix": "203.0.113.0/24", "gateway": IP_OF["out"]},
    "host_port": {"interface": "sw-host", "mac": HOST_MAC, "prefix": "100.64.0.0/10"},
    "groups": [{"uid": "g", "name": "g", "revalidate": True, "rules": RULES}],
    "networks": [{
        "uid": "n", "vni": 4096, "prefixes": ["192.168.0.0/16", "fd00::/48"],
        "subnets": [subnet("s1", "192.168.1.0/24", "192.168.1.1"), subnet("s2", "192.168.2.0/24", "192.168.2.1"),
                    subnet("s6", "fd00::/64", "fd00::1", ["9.9.9.9", "2620:fe::fe"]), subnet("s7", "fd00:0:0:1::/64", "fd00:0:0:1::1")],
        "application_groups": [{"number": 7, "name": "friends", "members": [IP_OF["b"] + "/32"]}],
    }],
    "nics": [nic("a", "s1", "g", PUBLIC, "100.64.0.4"), nic("b", "s1", None, PUBLIC_B), nic("c", "s2", mtu=1400),
             nic("p", "s6"), nic("q", "s6"), nic("r", "s7", mtu=1400)],
}


class World(Lab):
    """The lab with one packet socket a wire, all of which are watched."""

    def build(self):
        self.wires = {}
        for name in GUESTS + ("out", "host"):
            self.namespace(name)
            self.wire("sw-" + name, name, mac_of(name) if name in GUESTS else None)
            self.wires[name] = self.raw(name)
        self.start_switch()
        self.control.call("apply", STATE)
        # A switch that adopts what was before it takes up no TCP connection in the middle.
        self.kill_switch(signal.SIGTERM)
        self.start_switch()
        ready = lambda: all(a["state"] == "ready" for n in self.control.call("nic.list") for a in n["attachments"])
        expect(wait_for(ready), "all interfaces are ready")
        self.pid = self.control.call("version")["pid"]
        for name in ("p", "q", "r"):  # each is told of its router soon after the start, and not again for minutes
            got = self.take(name, 5)
            expect(got and ICMPv6ND_RA in Ether(got), f"{name} is told of its router")
        self.drain()

    def send(self, wire, frame):
        self.wires[wire].send(bytes(frame))

    def take(self, wire, seconds):
        """The next frame that came to the wire, or None. Next hops that the switch asks for are told."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.wires[wire].settimeout(left)
            try:
                data, where = self.wires[wire].recvfrom(65536)
            except TimeoutError:
                return None
            if where[2] == socket.PACKET_OUTGOING:
                continue
            if wire in ("out", "host") and data[12:14] == b"\x08\x06" and data[20:22] == b"\x00\x01":
                asked = Ether(data)[ARP]
                if asked.psrc != asked.pdst:
                    self.send(wire, Ether(src=PEER_MAC, dst=asked.hwsrc) /
                              ARP(op=2, hwsrc=PEER_MAC, psrc=asked.pdst, hwdst=asked.hwsrc, pdst=asked.psrc))
                continue
            return data
        return None

    def drain(self):
        for wire in self.wires:
            while self.take(wire, 0.02) is not None:
                pass

    def passes(self, what, sender, frame, receiver, wanted):
        """The frame comes out of one wire exactly as wanted."""
        self.send(sender, frame)
        got = self.take(receiver, 2)
        expect(got is not None, f"{what}: nothing came to {receiver}")
        want = bytes(wanted)
        expect(got == want, f"{what}: {receiver} must get\n{Ether(want)!r}\n{want.hex()}\nand got\n{Ether(got)!r}\n{got.hex()}")

    def drops(self, what, sender, frame, reason, counted_for=None):
        """The frame is counted for the reason, once, and for no other: of the sender, or of whose rules refuse it."""
        whose = counted_for or (sender if sender in GUESTS else None)
        before = self.control.drops(whose)
        self.send(sender, frame)
        grown = lambda: {r: n - before.get(r, 0) for r, n in self.control.drops(whose).items() if n > before.get(r, 0)}
        wait_for(grown, 2)
        expect(grown() == {reason: 1}, f"{what}: must be counted as {reason}, and is as {grown()}")

    def quiet(self, wires=GUESTS + ("out", "host")):
        """Nothing came out that was not expected; and the switch lives."""
        for wire in wires:
            got = self.take(wire, 0.03)
            expect(got is None, f"{wire} got what nobody expected: {got and Ether(got)!r}")
        expect(self.switch.poll() is None, "the switch died: " + self.switch_log()[-2000:])
        expect(self.control.call("version")["pid"] == self.pid, "the switch is another process")


def eth(source, target):
    """Between neighbours: each other's MACs; elsewhere the gateway's."""
    return Ether(src=mac_of(source), dst=mac_of(target) if len(target) == 1 else target)


def ip(source, destination, **more):
    return IP(src=IP_OF.get(source, source), dst=IP_OF.get(destination, destination), **more)


def rebuilt(packet):
    """With lengths and checksums as scapy computes them."""
    return Ether(bytes(packet))


def to_out(packet, source=PUBLIC, ttl=63):
    """What leaves by the uplink."""
    return Ether(src=OUT_MAC, dst=PEER_MAC) / packet_with(packet, src=source, ttl=ttl)


def packet_with(packet, **fields):
    """A copy with other fields, its checksums left to scapy."""
    copy = packet.copy()
    for name, value in fields.items():
        setattr(copy, name, value)
    return copy


# ---- who may send ----


def test_spoof(w):
    good = ip("a", "b") / UDP(sport=1, dport=2)
    w.drops("another's MAC", "a", eth("b", "b") / good, "spoofed-mac")
    w.drops("a multicast MAC", "a", Ether(src="01:00:5e:00:00:01", dst=mac_of("b")) / good, "spoofed-mac")
    for source in ("192.168.1.5", "192.168.1.1", "203.0.113.10", "0.0.0.0", "255.255.255.255", "127.0.0.1", METADATA):
        w.drops(f"from {source}", "a", eth("a", "b") / ip(source, "b") / UDP(sport=1, dport=2), "spoofed-ip")
    w.drops("IPv6 of a NIC that has none", "a", eth("a", "b") / IPv6(src="fd00::9", dst="fd00::4") / UDP(), "spoofed-ip")
    w.drops("an offer", "a", eth("a", "b") / ip("a", "b") / UDP(sport=67, dport=68) / BOOTP(op=2), "dhcp-server")
    w.quiet()


def test_spoof_outside(w):
    for source in (IP_OF["b"], PUBLIC_B, METADATA, "168.63.129.16", "100.64.0.4", "127.0.0.1", "224.0.0.1", "0.0.0.0"):
        w.drops(f"from {source}", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / ip(source, PUBLIC) / TCP(dport=1000),
                "spoofed-outside", "a")
    frame = Ether(src=PEER_MAC, dst=OUT_MAC) / ip("out", "203.0.113.200") / TCP(dport=1000)
    w.drops("an address of nobody", "out", frame, "not-ours")
    frame = Ether(src=PEER_MAC, dst="02:00:5e:00:00:09") / ip("out", PUBLIC) / TCP(dport=1000)
    w.drops("another's MAC", "out", frame, "not-ours")
    w.quiet()


# ---- groups ----


def test_groups(w):
    def try_port(port, passes):
        frame = eth("b", "a") / ip("b", "a") / TCP(sport=4000 + port % 1000, dport=port)
        if passes:
            w.passes(f"port {port}", "b", frame, "a", frame)
        else:
            w.drops(f"port {port}", "b", frame, "denied-inbound", "a")

    for port, passes in ((999, False), (1000, True), (1500, True), (2000, True), (2001, False)):
        try_port(port, passes)
    for protocol, passes in ((47, True), (50, False), (132, False), (255, False)):
        frame = eth("b", "a") / ip("b", "a", proto=protocol) / Raw(b"payload")
        if passes:
            w.passes(f"protocol {protocol}", "b", frame, "a", frame)
        else:
            w.drops(f"protocol {protocol}", "b", frame, "denied-inbound", "a")
    w.drops("telnet", "a", eth("a", "b") / ip("a", "b") / TCP(dport=23), "denied-outbound")
    w.drops("ping", "b", eth("b", "a") / ip("b", "a") / ICMP(id=1), "denied-inbound", "a")
    w.quiet()


def test_application_group(w):
    """b is a member of the group that the rule names, c is not."""
    frame = eth("b", "a") / ip("b", "a") / UDP(sport=5, dport=53) / Raw(b"q")
    w.passes("a member", "b", frame, "a", frame)
    w.drops("a member, another port", "b", eth("b", "a") / ip("b", "a") / UDP(sport=5, dport=54), "denied-inbound", "a")
    w.drops("no member", "c", eth("c", GATEWAY_MAC) / ip("c", "a") / UDP(sport=5, dport=53), "denied-inbound", "a")
    w.quiet()


def test_stateful(w):
    ask = eth("a", "b") / ip("a", "b") / UDP(sport=700, dport=800) / Raw(b"q")
    answer = eth("b", "a") / ip("b", "a") / UDP(sport=800, dport=700) / Raw(b"r")
    w.drops("before it was asked", "b", answer, "denied-inbound", "a")
    w.passes("the question", "a", ask, "b", ask)
    w.passes("the answer", "b", answer, "a", answer)
    w.drops("another's answer", "b", eth("b", "a") / ip("b", "a") / UDP(sport=801, dport=700), "denied-inbound", "a")
    w.drops("TCP in the middle", "b", eth("b", "a") / ip("b", "a") / TCP(dport=1000, sport=9, flags="A"), "tcp-no-syn")
    w.drops("an echo's answer", "a", eth("a", "b") / ip("a", "b") / ICMP(type=0, id=9), "icmp-no-flow")
    ask = eth("a", "b") / ip("a", "b") / ICMP(type=8, id=10, seq=1) / Raw(b"echo")
    answer = eth("b", "a") / ip("b", "a") / ICMP(type=0, id=10, seq=1) / Raw(b"echo")
    w.passes("an echo", "a", ask, "b", ask)
    w.passes("its answer", "b", answer, "a", answer)
    w.quiet()


# ---- routing ----


def test_resets(w):
    """Of a connection from a to b, which offers windows that are scaled by 7."""
    there, back = eth("a", "b") / ip("a", "b"), eth("b", "a") / ip("b", "a")
    a_at, b_at, window = 0xfffffe00, 0x20000000, 65535 << 7

    def segment(flags, seq, ack=0, **more):
        forth = flags[0] == ">"
        tcp = TCP(sport=7000 if forth else 22, dport=22 if forth else 7000, flags=flags[1:], seq=seq & 0xffffffff,
                  ack=ack & 0xffffffff, **more)
        return (there if forth else back) / tcp

    def passes(what, flags, seq, ack=0, **more):
        frame = segment(flags, seq, ack, **more)
        w.passes(what, "a" if flags[0] == ">" else "b", frame, "b" if flags[0] == ">" else "a", frame)

    def drops(what, flags, seq, ack=0):
        w.drops(what, "a" if flags[0] == ">" else "b", segment(flags, seq, ack), "tcp-window")

    passes("SYN", ">S", a_at, options=[("MSS", 1460), ("NOP", None), ("WScale", 2)])
    drops("a refusal by who did not see the SYN", "<RA", 0, a_at + 0x10000000)
    passes("its answer", "<SA", b_at, a_at + 1, options=[("WScale", 7)])
    passes("established", ">A", a_at + 1, b_at + 1)
    drops("RST behind the window", ">R", a_at + window + 0x10000)
    drops("RST before the window", ">R", a_at - 0x10000)
    drops("RST behind a smaller window", "<R", b_at + 0x100000)
    passes("a blind SYN, which b will ask about", ">S", 4711)
    passes("a blind FIN, which b will refuse", ">FA", a_at + 0x40000000, b_at + 1)
    expect(w.control.call("flow.list", {"port": 7000})["flows"][0]["state"] == "established", "nothing of it is believed")
    passes("data", ">PA", a_at + 1, b_at + 1)
    passes("RST at the end of the window", ">R", a_at + window)
    expect(w.control.call("flow.list", {"port": 7000})["flows"][0]["state"] == "closed", "b's window is as large")
    passes("the same ports again", ">S", 815)
    w.quiet()


def test_routing(w):
    inner = ip("b", "c", tos=0x28, id=77, ttl=9) / UDP(sport=1, dport=2) / Raw(b"x" * 33)
    w.passes("between subnets", "b", eth("b", GATEWAY_MAC) / inner, "c",
             Ether(src=GATEWAY_MAC, dst=mac_of("c")) / packet_with(inner, ttl=8))
    back = ip("c", "b", ttl=64) / UDP(sport=2, dport=1)
    w.passes("and back", "c", eth("c", GATEWAY_MAC) / back, "b",
             Ether(src=GATEWAY_MAC, dst=mac_of("b")) / packet_with(back, ttl=63))
    for destination in ("224.0.0.1", "240.0.0.1", "127.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.1.1"):
        w.drops(f"to {destination}", "b", eth("b", GATEWAY_MAC) / ip("b", destination) / UDP(), "bad-destination")
    w.drops("a broadcast MAC", "b", Ether(src=mac_of("b"), dst=BROADCAST) / ip("b", "192.168.1.255") / UDP(sport=7, dport=9),
            "multicast")
    w.drops("no way out", "c", eth("c", GATEWAY_MAC) / ip("c", "8.8.8.8") / ICMP(type=17), "icmp-type")
    w.quiet()


def refused(w, what, sender, packet, reason, error, gateway="192.168.1.1"):
    """The packet is counted, and its sender is told by the gateway, quoting it."""
    w.drops(what, sender, eth(sender, GATEWAY_MAC) / packet, reason)
    got = w.take(sender, 2)
    quote = bytes(packet)[:548]
    want = bytes(Ether(src=GATEWAY_MAC, dst=mac_of(sender)) / IP(src=gateway, dst=IP_OF[sender], tos=0xc0, id=0, ttl=64) /
                 error / Raw(quote))
    expect(got == want, f"{what}: the error must be\n{want.hex()}\nand is\n{got and got.hex()}")


def test_refusals(w):
    udp = UDP(sport=1, dport=2) / Raw(b"x" * 700)
    refused(w, "a host that is not", "b", ip("b", "192.168.1.77") / udp, "no-destination", ICMP(type=3, code=1))
    refused(w, "the gateway's port", "b", ip("b", "192.168.1.1") / udp, "no-destination", ICMP(type=3, code=1))
    refused(w, "the last hop", "b", ip("b", "c", ttl=1) / udp, "ttl", ICMP(type=11, code=0))
    refused(w, "no hop at all", "b", ip("b", "c", ttl=0) / udp, "ttl", ICMP(type=11, code=0))
    refused(w, "no public address", "c", ip("c", "8.8.8.8") / udp, "no-public-address", ICMP(type=3, code=0), "192.168.2.1")
    refused(w, "no host address", "b", ip("b", METADATA) / udp, "no-host-port", ICMP(type=3, code=1))
    big = ip("b", "c", flags="DF") / UDP(sport=1, dport=3) / Raw(b"x" * 1400)
    refused(w, "too big", "b", big, "too-big", ICMP(type=3, code=4, nexthopmtu=1400))
    w.quiet()


# ---- translation ----


def test_translation(w):
    inside = ip("a", "out", ttl=64)
    payloads = {
        "TCP": TCP(sport=3000, dport=80, seq=5, options=[("MSS", 1460)]),
        "UDP": UDP(sport=3000, dport=53) / Raw(b"question"),
        "UDP of odd length": UDP(sport=3001, dport=53) / Raw(b"odd"),
        "an echo": ICMP(id=3000, seq=2) / Raw(b"ping"),
        "GRE": GRE() / Raw(b"tunnelled"),
        "SCTP": SCTP(sport=1, dport=2) / Raw(b"x"),
        "ESP": ESP(spi=1, seq=1, data=b"sealed"),
    }
    for what, payload in payloads.items():
        packet = rebuilt(eth("a", GATEWAY_MAC) / inside / payload)[IP]
        if SCTP in packet:  # its checksum is of the packet alone
            packet = IP(bytes(packet))
        want = to_out(inside / payload)
        w.passes(f"{what} out", "a", eth("a", GATEWAY_MAC) / packet, "out", want)
    silent = UDP(sport=3002, dport=53, chksum=0) / Raw(b"q")
    w.passes("UDP without a checksum", "a", eth("a", GATEWAY_MAC) / inside / silent, "out", to_out(inside / silent))
    answers = {
        "TCP": TCP(sport=80, dport=3000, flags="SA", ack=6),
        "UDP": UDP(sport=53, dport=3000) / Raw(b"answer"),
        "an echo": ICMP(type=0, id=3000, seq=2) / Raw(b"ping"),
        "GRE": GRE() / Raw(b"answer"),
    }
    for what, payload in answers.items():
        packet = ip("out", PUBLIC, ttl=50) / payload
        want = Ether(src=GATEWAY_MAC, dst=mac_of("a")) / packet_with(packet, dst=IP_OF["a"], ttl=49)
        w.passes(f"{what} back", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / packet, "a", want)
    w.quiet()


def leaves_shared(w, what, sender, packet):
    """It leaves by the shared address, as it is but for its port (ICMP: identifier); and what it would be then."""
    w.send(sender, eth(sender, GATEWAY_MAC) / packet)
    got = w.take("out", 2)
    expect(got is not None, f"{what}: nothing came out")
    seen, top = Ether(got), packet.payload
    port = seen[ICMP].id if ICMP in packet else seen.payload.payload.sport
    want = to_out(packet.copy(), source=SHARED)
    setattr(want.payload.payload, "id" if ICMP in packet else "sport", port)
    expect(got == bytes(want), f"{what}: must leave as\n{want!r}\n{bytes(want).hex()}\nand is\n{seen!r}\n{got.hex()}")
    return port, (top.id if ICMP in packet else top.sport)


@contextlib.contextmanager
def source_nat(w):
    """b and c share a public address."""
    state = copy.deepcopy(STATE)
    state["generation"] = w.control.call("state")["generation"] + 1
    state["networks"][0]["source_nat"] = {"addresses": [SHARED]}
    state["nics"][1]["addresses"][0]["public"] = None
    w.control.call("apply", state)
    w.drain()
    try:
        yield
    finally:
        w.control.call("apply", {**STATE, "generation": state["generation"] + 1})


def test_source_nat(w):
    questions = {
        "TCP": (TCP(sport=3000, dport=80, seq=5, options=[("MSS", 1460)]), lambda p: TCP(sport=80, dport=p, flags="SA", ack=6)),
        "UDP": (UDP(sport=3000, dport=53) / Raw(b"question"), lambda p: UDP(sport=53, dport=p) / Raw(b"answer")),
        "UDP of odd length": (UDP(sport=3001, dport=53) / Raw(b"odd"), lambda p: UDP(sport=53, dport=p) / Raw(b"answers")),
        "UDP without a checksum": (UDP(sport=3002, dport=53, chksum=0) / Raw(b"q"), lambda p: UDP(sport=53, dport=p, chksum=0)),
        "an echo": (ICMP(id=3000, seq=2) / Raw(b"ping"), lambda p: ICMP(type=0, id=p, seq=2) / Raw(b"ping")),
    }
    with source_nat(w):
        for what, (question, answer) in questions.items():
            ports = {sender: leaves_shared(w, f"{what} of {sender}", sender, ip(sender, "out", ttl=64) / question)
                     for sender in ("b", "c")}
            expect(ports["b"][0] == ports["b"][1], f"{what}: the first keeps its port")
            expect(ports["c"][0] != ports["b"][0] and ports["c"][0] >= 1024, f"{what}: the second has another: {ports}")
            for sender, (port, own) in ports.items():
                w.passes(f"{what} back to {sender}", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / ip("out", SHARED, ttl=50) / answer(port),
                         sender, Ether(src=GATEWAY_MAC, dst=mac_of(sender)) / ip("out", sender, ttl=49) / answer(own))
        from_out = lambda packet: Ether(src=PEER_MAC, dst=OUT_MAC) / packet
        w.drops("who was not asked", "out", from_out(ip("out", SHARED) / UDP(sport=54, dport=3000)), "shared-address")
        w.drops("a beginning", "out", from_out(ip("out", SHARED) / TCP(sport=80, dport=99)), "shared-address")
        w.drops("from inside", "b", eth("b", GATEWAY_MAC) / ip("b", SHARED) / UDP(sport=1, dport=3000), "shared-address")
        refused(w, "a protocol without ports", "b", IP(bytes(ip("b", "out") / ESP(spi=1, seq=1, data=b"x"))), "no-ports",
                ICMP(type=3, code=13))
        w.send("out", Ether(src=PEER_MAC, dst=BROADCAST) / ARP(op=1, hwsrc=PEER_MAC, psrc=IP_OF["out"], pdst=SHARED))
        answer = Ether(w.take("out", 2))
        expect(answer[ARP].op == 2 and answer[ARP].hwsrc == OUT_MAC and answer[ARP].psrc == SHARED, repr(answer))
        w.quiet()


def test_source_nat_errors(w):
    """An error about a packet with another port comes back about the packet with its own."""
    with source_nat(w):
        for payload in (UDP(sport=880, dport=881) / Raw(b"x" * 30), TCP(sport=880, dport=881), ICMP(id=880, seq=1) / Raw(b"x" * 9)):
            leaves_shared(w, "the first", "b", ip("b", "out") / payload)
            sent = ip("c", "out", id=9, flags="DF") / payload
            port, own = leaves_shared(w, "the packet", "c", sent)
            expect(port != own, "it has another port")
            seen = to_out(sent.copy(), source=SHARED)[IP]
            setattr(seen.payload, "id" if ICMP in seen else "sport", port)
            error = lambda source, to, ttl, quote: (ip(source, to, ttl=ttl) / ICMP(type=3, code=4, nexthopmtu=1300) /
                                                    Raw(bytes(quote)))
            w.passes("its error", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / error("198.51.100.9", SHARED, 40, seen), "c",
                     Ether(src=GATEWAY_MAC, dst=mac_of("c")) / error("198.51.100.9", "c", 39, packet_with(sent, ttl=63)))
        w.quiet()


def test_source_nat_fragments(w):
    """Ports go with the first fragment; the others have the address alone."""
    with source_nat(w):
        data = Raw(bytes(range(200)))
        leaves_shared(w, "the first", "b", ip("b", "out") / UDP(sport=70, dport=71) / data)
        port, _ = leaves_shared(w, "the second", "c", ip("c", "out") / UDP(sport=70, dport=71) / data)
        whole = bytes(rebuilt(Ether() / ip("c", "out") / UDP(sport=70, dport=71) / data)[UDP])
        seen = bytes(rebuilt(Ether() / ip(SHARED, "out") / UDP(sport=port, dport=71) / data)[UDP])
        header = ip("c", "out", proto=17, id=1001)
        for offset, end, more in ((0, 104, True), (104, 160, True), (160, 208, False)):
            w.passes(f"bytes {offset} to {end}", "c", eth("c", GATEWAY_MAC) / part(header, offset, whole[offset:end], more), "out",
                     Ether(src=OUT_MAC, dst=PEER_MAC) / part(header, offset, seen[offset:end], more, src=SHARED, ttl=63))
        w.quiet()


def test_from_outside(w):
    packet = ip("198.51.100.7", PUBLIC, ttl=50) / TCP(sport=9, dport=1000, seq=1)
    w.passes("to an open port", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / packet, "a",
             Ether(src=GATEWAY_MAC, dst=mac_of("a")) / packet_with(packet, dst=IP_OF["a"], ttl=49))
    answer = ip("a", "198.51.100.7") / TCP(sport=1000, dport=9, flags="SA")
    w.passes("and back by the gateway", "a", eth("a", GATEWAY_MAC) / answer, "out", to_out(answer))
    packet = ip("198.51.100.7", PUBLIC) / TCP(sport=9, dport=999)
    w.drops("to a closed one", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / packet, "denied-inbound", "a")
    packet = ip("b", PUBLIC, ttl=20) / TCP(sport=44, dport=1001)
    w.passes("a neighbour by the public address", "b", eth("b", GATEWAY_MAC) / packet, "a",
             Ether(src=GATEWAY_MAC, dst=mac_of("a")) / packet_with(packet, src=PUBLIC_B, dst=IP_OF["a"], ttl=19))
    w.quiet()


def test_bad_checksums(w):
    """A wrong IP checksum ends here. A wrong one of the transport is the receiver's: it stays as wrong as it was."""
    frame = eth("b", "c") / ip("b", "c", chksum=0x1234) / UDP(sport=90, dport=91)
    w.drops("IPv4", "b", frame, "checksum")
    frame = eth("a", "b") / ip("a", "b") / TCP(sport=90, dport=91, chksum=0x1234)
    w.passes("TCP", "a", frame, "b", frame)
    right = rebuilt(to_out(ip("a", "out") / UDP(sport=92, dport=91) / Raw(b"x")))
    sent = rebuilt(eth("a", GATEWAY_MAC) / ip("a", "out") / UDP(sport=92, dport=91) / Raw(b"x"))
    sent[UDP].chksum ^= 0x0100
    w.send("a", sent)
    got = w.take("out", 2)
    expect(got and Ether(got)[UDP].chksum != right[UDP].chksum, "a wrong UDP checksum does not become right")
    got = Ether(got)
    got[UDP].chksum = right[UDP].chksum
    expect(bytes(got) == bytes(right), "and nothing else differs")
    w.quiet()


# ---- host port ----


def test_host_port(w):
    ask = ip("a", METADATA) / TCP(sport=600, dport=80)
    w.passes("metadata is asked in the host address's name", "a", eth("a", GATEWAY_MAC) / ask, "host",
             Ether(src=HOST_MAC, dst=PEER_MAC) / packet_with(ask, src="100.64.0.4"))
    answer = ip(METADATA, "100.64.0.4") / TCP(sport=80, dport=600, flags="SA")
    w.passes("and answers", "host", Ether(src=PEER_MAC, dst=HOST_MAC) / answer, "a",
             Ether(src=GATEWAY_MAC, dst=mac_of("a")) / packet_with(answer, dst=IP_OF["a"]))
    probe = ip("100.64.0.1", "100.64.0.4") / TCP(sport=601, dport=22)
    w.passes("a probe passes groups, from the platform's address", "host", Ether(src=PEER_MAC, dst=HOST_MAC) / probe, "a",
             Ether(src=GATEWAY_MAC, dst=mac_of("a")) / packet_with(probe, src=METADATA, dst=IP_OF["a"]))
    w.drops("for nobody", "host", Ether(src=PEER_MAC, dst=HOST_MAC) / ip("100.64.0.1", "100.64.0.99") / TCP(), "not-ours")
    w.quiet()


# ---- ARP and DHCP ----


def test_arp(w):
    def ask(pdst, **more):
        return Ether(src=mac_of("a"), dst=BROADCAST) / ARP(**{"op": 1, "hwsrc": mac_of("a"), "psrc": IP_OF["a"],
                                                              "pdst": pdst, **more})

    for address, mac in (("192.168.1.1", GATEWAY_MAC), (IP_OF["b"], mac_of("b")), ("192.168.2.1", GATEWAY_MAC),
                         (IP_OF["c"], GATEWAY_MAC)):
        w.passes(address, "a", ask(address), "a", Ether(src=mac, dst=mac_of("a")) /
                 ARP(op=2, hwsrc=mac, psrc=address, hwdst=mac_of("a"), pdst=IP_OF["a"]))
    for address in ("192.168.1.77", IP_OF["a"], "203.0.113.1", "0.0.0.0", "255.255.255.255"):
        w.drops(f"for {address}", "a", ask(address), "arp-unanswered")
    w.drops("an answer", "a", ask(IP_OF["b"], op=2), "arp-unanswered")
    w.drops("RARP's operation", "a", ask("192.168.1.1", op=3), "arp-unanswered")
    w.drops("another's MAC", "a", ask("192.168.1.1", hwsrc=mac_of("b")), "spoofed-arp")
    w.drops("another's address", "a", ask("192.168.1.1", psrc=IP_OF["b"]), "spoofed-arp")
    for what, change in (("another hardware", {"hwtype": 6}), ("another protocol", {"ptype": 0x86dd}),
                         ("a long MAC", {"hwlen": 8}), ("no MAC", {"hwlen": 0}), ("a long address", {"plen": 16})):
        arp = bytearray(bytes(ask("192.168.1.1")))
        offset, size = {"hwtype": (14, 2), "ptype": (16, 2), "hwlen": (18, 1), "plen": (19, 1)}[next(iter(change))]
        arp[offset:offset + size] = next(iter(change.values())).to_bytes(size, "big")
        w.drops(what, "a", arp, "malformed")
    w.drops("half a message", "a", bytes(ask("192.168.1.1"))[:41], "truncated")
    asked = Ether(src=PEER_MAC, dst=BROADCAST) / ARP(op=1, hwsrc=PEER_MAC, psrc=IP_OF["out"], pdst=PUBLIC)
    w.passes("a public address, outside", "out", asked, "out", Ether(src=OUT_MAC, dst=PEER_MAC) /
             ARP(op=2, hwsrc=OUT_MAC, psrc=PUBLIC, hwdst=PEER_MAC, pdst=IP_OF["out"]))
    asked[ARP].pdst = "203.0.113.200"
    w.drops("nobody's, outside", "out", asked, "arp-unanswered")
    w.quiet()


def test_dhcp(w):
    def request(*options, op=1, **more):
        chaddr = bytes.fromhex(mac_of("a").replace(":", ""))
        return (Ether(src=mac_of("a"), dst=BROADCAST) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) /
                BOOTP(**{"op": op, "chaddr": chaddr, "xid": 0x5555, **more}) / DHCP(options=[*options, "end"]))

    for kind, answer in (("discover", 2), ("request", 5)):
        w.send("a", request(("message-type", kind), ("requested_addr", IP_OF["a"])))
        got = w.take("a", 2)
        expect(got, f"{kind} is answered")
        bootp, options = Ether(got)[BOOTP], dict(o[:2] for o in Ether(got)[DHCP].options if isinstance(o, tuple))
        expect(bootp.yiaddr == IP_OF["a"] and bootp.xid == 0x5555 and options["message-type"] == answer, repr(bootp))
        expect(bytes(rebuilt(Ether(got))) == got and bootp.siaddr in ("0.0.0.0", "192.168.1.1"), "whole and right")
    bad_cookie = bytearray(bytes(request(("message-type", "discover"))))
    bad_cookie[14 + 20 + 8 + 236] ^= 1
    w.drops("another cookie", "a", bad_cookie, "dhcp-malformed")
    short = Ether(src=mac_of("a"), dst=BROADCAST) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
    w.drops("no message", "a", short / Raw(b"x" * 20), "dhcp-malformed")
    whole = bytes(request(("message-type", "discover")))[42:]
    w.drops("an option that ends beyond the message", "a", short / Raw(whole[:240] + b"\x35\xff\x01"), "dhcp-malformed")
    w.quiet()


# ---- ICMP errors of others ----


def test_icmp_errors(w):
    """A router's error about a translated packet reaches its sender, about the packet as it was sent."""
    sent = rebuilt(eth("a", GATEWAY_MAC) / ip("a", "out", id=9, flags="DF") / UDP(sport=880, dport=881) / Raw(b"x" * 30))[IP]
    seen = IP(bytes(to_out(sent)[IP]))
    del seen.chksum, seen[UDP].chksum
    seen = IP(bytes(seen))
    w.passes("the packet", "a", eth("a", GATEWAY_MAC) / sent, "out", Ether(src=OUT_MAC, dst=PEER_MAC) / seen)
    quoted = sent.copy()
    quoted.ttl = 63
    del quoted.chksum
    router = lambda quote, **more: (Ether(src=PEER_MAC, dst=OUT_MAC) / ip("198.51.100.9", PUBLIC, ttl=40) /
                                    ICMP(**{"type": 3, "code": 4, "nexthopmtu": 1300, **more}) / Raw(bytes(quote)))
    want = (Ether(src=GATEWAY_MAC, dst=mac_of("a")) / ip("198.51.100.9", "a", ttl=39) /
            ICMP(type=3, code=4, nexthopmtu=1300) / Raw(bytes(quoted)))
    w.passes("its error", "out", router(seen), "a", want)
    dying = router(seen)
    dying[IP].ttl = 1
    w.drops("its last hop", "out", dying, "ttl", "a")
    w.drops("about nothing", "out", router(IP(bytes(packet_with(seen, id=9))[:20]) / Raw(b"\x00" * 8)), "icmp-no-flow", "a")
    w.drops("with half a quotation", "out", router(bytes(seen)[:24]), "icmp-no-flow", "a")
    w.drops("about an error", "out", router(ip(PUBLIC, "out") / ICMP(type=3) / Raw(bytes(seen)[:28])), "icmp-no-flow", "a")
    wrong = router(seen)
    wrong[ICMP].chksum = 1
    w.drops("with a wrong checksum", "out", wrong, "icmp-no-flow", "a")
    w.drops("a redirect", "out", router(seen, type=5, code=1), "icmp-type")
    w.drops("a source quench", "out", router(seen, type=4, code=0), "icmp-type")
    w.quiet()


# ---- fragments ----


def part(packet, offset, data, more, **fields):
    """A fragment of `packet` (an IP header) with these bytes of its payload."""
    return packet_with(packet, frag=offset // 8, flags="MF" if more else 0, **fields) / Raw(data)


def test_fragments(w):
    whole = bytes(rebuilt(Ether() / ip("a", "out") / UDP(sport=70, dport=71) / Raw(bytes(range(200))))[UDP])
    seen = bytes(to_out(ip("a", "out") / UDP(sport=70, dport=71) / Raw(bytes(range(200))))[UDP])
    header = ip("a", "out", proto=17, id=1001)
    w.drops("a later one first", "a", eth("a", GATEWAY_MAC) / part(header, 104, whole[104:], False), "fragment")
    for offset, end, more in ((0, 104, True), (104, 160, True), (160, 208, False), (96, 120, True), (104, 160, True)):
        w.passes(f"bytes {offset} to {end}", "a", eth("a", GATEWAY_MAC) / part(header, offset, whole[offset:end], more), "out",
                 Ether(src=OUT_MAC, dst=PEER_MAC) / part(header, offset, seen[offset:end], more, src=PUBLIC, ttl=63))
    w.drops("of another packet", "a", eth("a", GATEWAY_MAC) / part(packet_with(header, id=1002), 104, whole[104:], False),
            "fragment")
    w.quiet()


def test_evil_fragments(w):
    syn = bytes(rebuilt(Ether() / ip("b", "a") / TCP(sport=72, dport=1003) / Raw(b"x" * 40))[TCP])
    header = ip("b", "a", proto=6, id=1100)
    w.drops("a first one that hides its flags", "b", eth("b", "a") / part(header, 0, syn[:8], True), "fragment-tiny")
    w.passes("a first one with a header", "b", eth("b", "a") / part(header, 0, syn[:24], True), "a",
             eth("b", "a") / part(header, 0, syn[:24], True))
    w.drops("one over its flags", "b", eth("b", "a") / part(header, 8, syn[8:24], True), "fragment-tiny")
    w.drops("one over its urgent pointer", "b", eth("b", "a") / part(header, 16, syn[16:24], True), "fragment-tiny")
    last = part(packet_with(header), 65528, b"x" * 8, False)
    w.drops("one past the end of the largest packet", "b", eth("b", "a") / last, "malformed")
    w.drops("UDP that hides its ports", "b", eth("b", "a") / part(ip("b", "a", proto=17, id=1101), 0, b"\x00" * 4, True),
            "fragment-tiny")
    closed = ip("b", "a", proto=17, id=1102)
    w.drops("a first one that policy denies", "b", eth("b", "a") / part(closed, 0, struct.pack("!HHHH", 1, 2, 100, 0), True),
            "denied-inbound", "a")
    w.drops("and what follows it", "b", eth("b", "a") / part(closed, 8, b"x" * 16, False), "fragment")
    echo = part(ip("b", "192.168.1.1", proto=1, id=1103), 0, bytes(ICMP(id=7) / Raw(b"x" * 16)), True)
    w.drops("a gateway's echo in parts", "b", eth("b", GATEWAY_MAC) / echo, "no-destination")
    expect(Ether(w.take("b", 2))[ICMP].type == 3, "its error")
    w.drops("and what follows it", "b", eth("b", GATEWAY_MAC) / part(ip("b", "192.168.1.1", proto=1, id=1103), 24, b"x", False),
            "fragment")
    w.quiet()


# ---- frames that are not what they say ----


def test_truncated(w):
    """Every length of a good frame that is too short for it."""
    whole = bytes(eth("b", "a") / ip("b", "a") / TCP(sport=80, dport=1004))
    for length in range(14, len(whole)):
        w.drops(f"{length} bytes of {len(whole)}", "b", whole[:length], "truncated")
    whole = bytes(eth("p", "q") / IPv6(src=IP_OF["p"], dst=IP_OF["q"]) / UDP(sport=1, dport=2))
    for length in range(14, len(whole)):
        w.drops(f"{length} bytes of {len(whole)}", "p", whole[:length], "truncated")
    w.quiet()


def test_overlong(w):
    """Bytes after the packet are the frame's padding, and no part of it; a packet longer than its frame is none."""
    packet = ip("b", "a") / TCP(sport=81, dport=1005)
    for extra in (1, 6, 100):
        frame = eth("b", "a") / packet / Padding(b"\xee" * extra)
        w.passes(f"{extra} bytes after it", "b", frame, "a", frame)
    w.drops("a total length beyond the frame", "b", eth("b", "a") / ip("b", "a", len=1000) / TCP(dport=1005), "truncated")
    w.drops("the largest of all", "b", eth("b", "a") / ip("b", "a", len=65535) / TCP(dport=1005), "truncated")
    w.drops("IPv6 beyond the frame", "p", eth("p", "q") / IPv6(src=IP_OF["p"], dst=IP_OF["q"], plen=65535) / UDP(), "truncated")
    full = ip("b", "a") / TCP(sport=82, dport=1005) / Raw(b"x" * 1460)
    w.passes("exactly the MTU", "b", eth("b", "a") / full, "a", eth("b", "a") / full)
    w.quiet()


def test_absurd_ipv4(w):
    tcp = TCP(sport=83, dport=1006)
    cases = {
        "version 5": ip("b", "a", version=5) / tcp,
        "version 0": ip("b", "a", version=0) / tcp,
        "version 6": ip("b", "a", version=6) / tcp,
        "a header of 4 words": ip("b", "a", ihl=4) / tcp,
        "no header": ip("b", "a", ihl=0) / tcp,
        "a header beyond the packet": ip("b", "a", ihl=15) / tcp,
        "a total length less than the header": ip("b", "a", len=19) / tcp,
        "a TCP header of 4 words": ip("b", "a") / TCP(sport=83, dport=1006, dataofs=4),
        "a TCP header beyond the packet": ip("b", "a") / TCP(sport=83, dport=1006, dataofs=15),
        "a UDP length of 7": ip("b", "a") / UDP(sport=1, dport=53, len=7),
        "a UDP length beyond the packet": ip("b", "a") / UDP(sport=1, dport=53, len=9),
        "ICMPv6 in IPv4": ip("b", "a", proto=58) / Raw(b"\x80\x00" + b"\x00" * 6),
        "an option without a length": ip("b", "a", ihl=6, options=[]) / Raw(b"\x01\x01\x01\x44") / tcp,
        "an option of length 0": ip("b", "a", ihl=6) / Raw(b"\x44\x00\x00\x00") / tcp,
        "an option of length 1": ip("b", "a", ihl=6) / Raw(b"\x07\x01\x00\x00") / tcp,
        "an option beyond the header": ip("b", "a", ihl=6) / Raw(b"\x07\x27\x04\x00") / tcp,
    }
    for what, packet in cases.items():
        w.drops(what, "b", eth("b", "a") / packet, "malformed")
    for what, option in (("loose", IPOption_LSRR(routers=["192.168.2.4"])), ("strict", IPOption_SSRR(routers=["192.168.2.4"]))):
        w.drops(f"{what} source routing", "b", eth("b", "a") / ip("b", "a", options=[option]) / tcp, "source-route")
    hidden = [IPOption_NOP(), IPOption_LSRR(routers=["192.168.2.4"])]
    w.drops("source routing after padding", "b", eth("b", "a") / ip("b", "a", options=hidden) / tcp, "source-route")
    for what, option in (("NOPs", [IPOption_NOP()] * 40), ("a route record", [IPOption_RR(routers=["0.0.0.0"])]),
                         ("a timestamp", [IPOption_Timestamp()]), ("an end and what follows", [IPOption_EOL()])):
        frame = eth("b", "a") / ip("b", "a", options=option) / tcp
        w.passes(what, "b", frame, "a", frame)
    w.drops("to itself, from itself", "b", eth("b", "b") / ip("b", "b") / TCP(sport=5, dport=5), "tuple-in-use")
    w.drops("all flags", "b", eth("b", "a") / ip("b", "a") / TCP(sport=85, dport=1006, flags=0xff), "tcp-no-syn")
    w.drops("no flags", "b", eth("b", "a") / ip("b", "a") / TCP(sport=85, dport=1006, flags=0), "tcp-no-syn")
    w.drops("SYN and FIN", "b", eth("b", "a") / ip("b", "a") / TCP(sport=85, dport=1006, flags="SF"), "tcp-no-syn")
    for kind in (1, 2, 7, 9, 10, 40, 255):
        w.drops(f"ICMP type {kind}", "b", eth("b", "c") / ip("b", "c") / ICMP(type=kind), "icmp-type")
    w.quiet()


def test_link_layer(w):
    good = ip("b", "a") / TCP(sport=86, dport=1007)
    for what, frame in (("a tag", eth("b", "a") / Dot1Q(vlan=5) / good), ("priority alone", eth("b", "a") / Dot1Q(vlan=0) / good),
                        ("two tags", eth("b", "a") / Dot1AD(vlan=5) / Dot1Q(vlan=6) / good)):
        w.drops(what, "b", frame, "vlan")
    for kind in (0x88cc, 0x8847, 0x8863, 0x0801, 0xffff, 0x86dc, 0x0600):
        w.drops(f"type {kind:#06x}", "b", Ether(src=mac_of("b"), dst=mac_of("a"), type=kind) / Raw(b"x" * 50), "ethertype")
    w.drops("802.3", "b", Dot3(src=mac_of("b"), dst=mac_of("a")) / Raw(b"\x42\x42\x03" + b"x" * 40), "ethertype")
    w.quiet()


def test_vxlan(w):
    """Only the underlay is a tunnel's. Elsewhere VXLAN is UDP, and what is in it is never looked at."""
    inner = Ether(src=mac_of("c"), dst=mac_of("b")) / ip("c", "b") / TCP(dport=22)
    packet = ip("a", "out") / UDP(sport=5000, dport=4789) / VXLAN(vni=4096) / inner
    w.passes("from a NIC", "a", eth("a", GATEWAY_MAC) / packet, "out", to_out(packet))
    packet = ip("198.51.100.7", PUBLIC, ttl=9) / UDP(sport=5001, dport=4789) / VXLAN(vni=4096) / inner
    w.passes("from outside", "out", Ether(src=PEER_MAC, dst=OUT_MAC) / packet, "a",
             Ether(src=GATEWAY_MAC, dst=mac_of("a")) / packet_with(packet, dst=IP_OF["a"], ttl=8))
    w.quiet()


TESTS = [
    ("a NIC sends as itself only", test_spoof),
    ("the outside sends as the outside only, to addresses that are there", test_spoof_outside),
    ("ports and protocols are told apart at their edges", test_groups),
    ("a rule that names an application group is for its members", test_application_group),
    ("answers pass once they are asked for", test_stateful),
    ("nobody resets a connection who does not see it", test_resets),
    ("a packet is routed by one hop, and to unicast addresses only", test_routing),
    ("who is refused is told by the gateway, with what was refused", test_refusals),
    ("every protocol is translated out and back with right checksums", test_translation),
    ("NICs without a public address share one, each by ports of its own", test_source_nat),
    ("errors about another port come back with the sender's", test_source_nat_errors),
    ("fragments share an address, too", test_source_nat_fragments),
    ("the outside and neighbours come by the public address", test_from_outside),
    ("wrong checksums are not mended", test_bad_checksums),
    ("the host port translates both ways", test_host_port),
    ("ARP is answered by the byte, and refused by reason", test_arp),
    ("DHCP is answered, and what is none refused", test_dhcp),
    ("others' ICMP errors follow their connection, with what they quote", test_icmp_errors),
    ("fragments follow their first, in any order after it", test_fragments),
    ("fragments that hide or overwrite headers are dropped", test_evil_fragments),
    ("frames that end early are dropped at every length", test_truncated),
    ("frames that go on are padded, packets that claim more are dropped", test_overlong),
    ("absurd IPv4 headers are dropped by name, unusual ones pass", test_absurd_ipv4),
    ("tags and other protocols are dropped by name", test_link_layer),
    ("VXLAN is UDP but on the underlay", test_vxlan),
]


def isolated(test):
    """What a test leaves on the wires is not the next one's."""
    def run(world):
        try:
            test(world)
        finally:
            world.drain()
    return run


def main(tests):
    return run_tests(lambda: World(sys.argv[1:], "swire"), tests, isolated)


if __name__ == "__main__":
    sys.exit(main(TESTS))
