#!/usr/bin/python3
"""What senders leave to their devices, for real: TCP in frames of 64 KB, by the kernel's own stack.

    segmentation_test.py SLUICE-SWITCH       as root; prints TAP. TESTS=WORDS chooses by name

    a 192.168.1.4, p fd00::4  take and leave all that a veth can
    b 192.168.1.5, q fd00::5  the switch's end of their wires can cut nothing, and their own ends merge nothing
    c 192.168.2.4             has an MTU of 1400
    out 203.0.113.1           the gateway; a is 203.0.113.10 there
"""
import copy
import hashlib
import os
import socket
import struct
import sys
import threading
import time

from lab import ETH_P_ALL, Lab, expect, mac_of, rule, run, run_tests, wait_for

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import IP, TCP, Ether, Raw
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)

OUT_MAC = "02:00:5e:00:00:01"
PACKET_VNET_HDR = 15
NEEDS_CSUM = 1
GSO_TCPV4 = 1
SIZE = 8 << 20

GUESTS = {"a": ("s1", "192.168.1.4"), "b": ("s1", "192.168.1.5"), "c": ("s2", "192.168.2.4"),
          "p": ("s6", "fd00::4"), "q": ("s6", "fd00::5")}
PAIRS = (("a", "b"), ("p", "q"))  # over IPv4, over IPv6


def nic(name):
    subnet, ip = GUESTS[name]
    return {"uid": name, "name": name, "mac": mac_of(name), "network": "n", "subnet": subnet, "group": "g",
            "mtu": 1400 if name == "c" else 1500,
            "addresses": [{"ip": ip, "public": "203.0.113.10" if name == "a" else None, "standard": False}],
            "attachments": [{"kind": "function", "interface": "sw-" + name}], "active": "function"}


STATE = {
    "generation": 1,
    "outside": {"interface": "sw-out", "mac": OUT_MAC, "prefix": "203.0.113.0/24", "gateway": "203.0.113.1"},
    "groups": [{"uid": "g", "name": "g", "revalidate": True, "rules": [rule("all", 100, protocol="any")]}],
    "networks": [{"uid": "n", "vni": 1, "prefixes": ["192.168.0.0/16", "fd00::/64"], "subnets": [
        {"uid": f"s{i}", "prefix": f"192.168.{i}.0/24", "gateway": f"192.168.{i}.1", "dns": [], "group": None}
        for i in (1, 2)] + [{"uid": "s6", "prefix6": "fd00::/64", "gateway6": "fd00::1", "dns": [], "group": None}]}],
    "nics": [nic(name) for name in GUESTS],
}


class World(Lab):
    def __init__(self, program):
        super().__init__(program, "offload")
        self.state = copy.deepcopy(STATE)

    def build(self):
        for name, (subnet, ip) in GUESTS.items():
            self.namespace(name)
            self.wire("sw-" + name, name, mac_of(name))
            if subnet == "s6":
                self.speak_ipv6(name, ip)
                continue
            self.address(name, ip + "/24")
            self.ip(name, "route", "add", "default", "via", f"192.168.{subnet[1:]}.1")
        for _, name in PAIRS:
            self.cut(name, "off")
            run("ip", "netns", "exec", f"{self.prefix}-{name}", "ethtool", "-K", "eth0", "gro", "off")
        self.namespace("out")
        self.wire("sw-out", "out")
        self.address("out", "203.0.113.1/24")
        self.start_switch()
        self.apply()

    def apply(self):
        self.state["generation"] += 1
        return self.control.call("apply", self.state)

    def cut(self, name, word):
        """Whether the switch's end of the guest's wire can cut: it says so by its features."""
        run("ip", "netns", "exec", f"{self.prefix}-switch", "ethtool", "-K", "sw-" + name, "tx", word, "tso", word)

    def speak_ipv6(self, name, address):
        """Neighbours are told: this test is not about how they are found."""
        run("ip", "netns", "exec", f"{self.prefix}-{name}", "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
        self.ip(name, "addr", "add", address + "/64", "dev", "eth0", "nodad")
        for other, (subnet, ip) in GUESTS.items():
            if subnet == "s6" and other != name:
                self.ip(name, "neigh", "add", ip, "lladdr", mac_of(other), "dev", "eth0", "nud", "permanent")

    def counters(self, name):
        return next(row for row in self.control.call("nic.list") if row["uid"] == name)["attachments"][0]


def digest_of(server, ret):
    """Takes one connection and reads it to its end."""
    digest = hashlib.sha256()
    s = server.accept()[0]
    s.settimeout(20)
    while chunk := s.recv(1 << 20):
        digest.update(chunk)
    s.close()
    ret.append(digest.digest())


def stream(w, sender, receiver, to, size=SIZE, during=None):
    """Bytes sent by TCP are those that arrive; returns MB/s."""
    data = os.urandom(1 << 20) * (size >> 20)
    got = []
    with w.inside(receiver):
        server = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    server.bind(("::" if ":" in to else "0.0.0.0", 7000))
    server.listen()
    server.settimeout(5)
    thread = threading.Thread(target=digest_of, args=(server, got), daemon=True)
    thread.start()
    with w.inside(sender):
        client = socket.socket(server.family)
    client.settimeout(20)
    client.connect((to, 7000))
    start = time.monotonic()
    if during:
        half = len(data) // 2
        client.sendall(data[:half])
        during()
        client.sendall(data[half:])
    else:
        client.sendall(data)
    client.close()
    thread.join(20)
    server.close()
    expect(got == [hashlib.sha256(data).digest()], f"what {sender} sent to {receiver} arrived whole")
    return size / 1e6 / (time.monotonic() - start)


def frame_size(before, after, way):
    """Mean bytes of the frames that a port received ("rx") or sent ("tx")."""
    return (after[way + "_bytes"] - before[way + "_bytes"]) / max(1, after[way + "_packets"] - before[way + "_packets"])


def measured(w, sender, receiver, to):
    """A stream; returns the mean frames from its sender and to its receiver."""
    before = {name: w.counters(name) for name in (sender, receiver) if name != "out"}
    speed = stream(w, sender, receiver, to)
    after = {name: w.counters(name) for name in before}
    sent = frame_size(before[sender], after[sender], "rx") if sender in before else 0
    got = frame_size(before[receiver], after[receiver], "tx") if receiver in before else 0
    print(f"# {sender} to {to}: {speed:.0f} MB/s, frames of {sent:.0f} bytes in and {got:.0f} out", flush=True)
    return sent, got


# ---- streams ----


def set_cut(w, receiver, word):
    """Tells the receiver's wire whether it can cut, and waits until the switch, which looks once a second, knows."""
    w.cut(receiver, word)
    sender = next(s for s, r in PAIRS if r == receiver)
    whole = word == "on"
    wait_for(lambda: (measured(w, sender, receiver, GUESTS[receiver][1])[1] > 1514) == whole, 20)


def test_whole(w):
    for sender, receiver in PAIRS:
        set_cut(w, receiver, "on")
        sent, got = measured(w, sender, receiver, GUESTS[receiver][1])
        expect(sent > 10000 and got > 10000, f"large frames all the way: {sent} {got}")


def test_cut(w):
    for sender, receiver in PAIRS:
        set_cut(w, receiver, "off")
        sent, got = measured(w, sender, receiver, GUESTS[receiver][1])
        expect(sent > 10000, f"large frames come: {sent}")
        expect(1400 < got <= 1514, f"and leave cut: {got}")


def frames_of(s, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        s.settimeout(max(0.01, end - time.monotonic()))
        try:
            data, address = s.recvfrom(70000)
        except TimeoutError:
            return
        if address[2] != socket.PACKET_OUTGOING:
            yield data


def is_right(data):
    """Both checksums, made anew by scapy. One's complement has two zeros; Linux writes TCP's as 0xffff where it
    completes a checksum itself (CSUM_MANGLED_0), scapy as 0."""
    frame = Ether(data)
    again = frame.copy()
    for layer in (IP, TCP):
        if layer in again:
            del again[layer].chksum
    again = Ether(bytes(again))
    if TCP in frame and {frame[TCP].chksum, again[TCP].chksum} == {0, 0xffff}:
        again[TCP].chksum = frame[TCP].chksum
    return bytes(again) == bytes(data)


def test_on_the_wire(w):
    """Each frame fits, and has the checksums that scapy would give it."""
    for sender, receiver in PAIRS:
        set_cut(w, receiver, "off")
        s = w.raw(receiver)
        s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        stream(w, sender, receiver, GUESTS[receiver][1], 1 << 20)
        seen = [data for data in frames_of(s, 0.5) if len(data) > 100]
        s.close()
        expect(len(seen) > 600, f"{len(seen)} segments")
        expect(max(map(len, seen)) <= 1514, "none is over the MTU")
        wrong = [data for data in seen if not is_right(data)]
        expect(not wrong, wrong and wrong[0].hex())


def test_outside(w):
    sent, _ = measured(w, "a", "out", "203.0.113.1")
    expect(sent > 10000, f"large frames go out: {sent}")
    _, got = measured(w, "out", "a", "203.0.113.10")
    expect(got > 10000, f"and come in: {got}")


def test_changes(w):
    """The receiver's wire loses and regains what it can while bytes flow."""
    for word in ("on", "off"):
        stream(w, "a", "b", GUESTS["b"][1], during=lambda word=word: w.cut("b", word))


# ---- sizes ----


def test_path_mtu(w):
    """c's MTU is smaller: TCP is told, and cuts for it."""
    before = w.counters("c")
    stream(w, "a", "c", GUESTS["c"][1])
    stream(w, "out", "a", "203.0.113.10")
    expect(w.control.drops("a").get("too-big", 0) > 0, "the path's MTU was told")
    expect(frame_size(before, w.counters("c"), "tx") > 5000, "then large frames went on")


def test_fragments(w):
    """The kernel puts together what the switch cut."""
    for size in (1380, 1472, 4000):
        expect(w.ping("a", GUESTS["c"][1], size=size, extra=("-M", "dont")), f"a ping of {size} bytes")
    with w.inside("c"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 7001))
    server.settimeout(2)
    client = w.udp("a")
    client.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
    for size in (1373, 1472, 9000):
        data = os.urandom(size)
        client.sendto(data, (GUESTS["c"][1], 7001))
        expect(server.recv(65536) == data, f"a datagram of {size} bytes")
    server.close()
    client.close()


# ---- lies ----


def send_claimed(w, frame, gso=GSO_TCPV4, size=1000, start=34, offset=16, flags=NEEDS_CSUM):
    """As a guest's driver: a frame with a header of its own making."""
    with w.inside("a"):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(263, PACKET_VNET_HDR, 1)  # SOL_PACKET
    s.bind(("eth0", ETH_P_ALL))
    s.send(struct.pack("=BBHHHH", flags, gso, 54, size, start, offset) + bytes(frame))
    s.close()


def test_lies(w):
    to_b = Ether(src=mac_of("a"), dst=mac_of("b")) / IP(src=GUESTS["a"][1], dst=GUESTS["b"][1])
    segments = to_b / TCP(sport=1, dport=2, flags="A") / Raw(b"x" * 9000)
    cases = [("one byte a segment", lambda: send_claimed(w, segments, size=1)),
             ("a SYN of several segments",
              lambda: send_claimed(w, to_b / TCP(sport=1, dport=2, flags="S") / Raw(b"x" * 9000)))]
    for what, lie in cases:
        before = w.control.drops("a").get("bad-offload", 0)
        lie()
        expect(wait_for(lambda b=before: w.control.drops("a").get("bad-offload", 0) > b, 2), what)
    expect(w.ping("a", GUESTS["b"][1]), "the switch goes on")
    stream(w, "a", "b", GUESTS["b"][1], 1 << 20)


TESTS = [
    ("64 KB go from guest to guest as they are", test_whole),
    ("a guest whose wire cuts nothing gets each segment", test_cut),
    ("each segment fits and has right checksums", test_on_the_wire),
    ("large frames go outside and come from there, translated", test_outside),
    ("a receiver may change its mind while bytes flow", test_changes),
    ("a smaller MTU on the way is told, and kept", test_path_mtu),
    ("packets that may be fragmented are, and arrive whole", test_fragments),
    ("a header that lies is counted, and nothing comes of it", test_lies),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
