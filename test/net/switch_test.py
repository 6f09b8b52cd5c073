#!/usr/bin/python3
"""The switch seen from outside: real processes, namespaces as guests, packets built by scapy.

    switch_test.py SLUICE-SWITCH        as root; prints TAP. SEED=N replays, TESTS=WORDS chooses by name

Guests are network namespaces, each behind one veth pair that is a `function` attachment of its NIC:

    a 192.168.1.4  b 192.168.1.5 (one subnet)  c 192.168.2.4 (another)      network one
    x 192.168.1.4  y 192.168.1.5 (the same prefixes)                        network two
    out 203.0.113.1: the gateway and all the world       host: metadata at 169.254.169.254
"""
import copy
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from lab import GATEWAY_MAC, Fault, Lab, Tap, run, run_tests, wait_for

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import (ARP, BOOTP, DHCP, ICMP, IP, TCP, UDP, Dot1Q, Ether, ICMPerror, IPOption_LSRR, IPv6, Raw,
                           TCPerror, fragment, fuzz)
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)

OUT_MAC = "02:00:5e:00:00:01"
HOST_MAC = "02:00:5e:00:00:02"
METADATA = "169.254.169.254"


def mac_of(name):
    return "00:0d:3a:00:00:%02x" % ord(name[0])


def nic(name, network, subnet, ip, public=None, host=None, group=None):
    return {
        "uid": name, "name": "nic-" + name, "mac": mac_of(name), "network": network, "subnet": subnet,
        "group": group, "mtu": 1500, "addresses": [{"ip": ip, "public": public, "standard": True}],
        "host_address": host, "hostname": "vm-" + name,
        "attachments": [{"kind": "function", "interface": "sw-" + name}], "active": "function",
    }


def subnet(uid, prefix, gateway, group=None):
    return {"uid": uid, "prefix": prefix, "gateway": gateway, "dns": ["9.9.9.9"], "group": group}


def rule(name, priority, port, source="Internet", direction="inbound", action="allow", protocol="tcp"):
    return {
        "name": name, "direction": direction, "priority": priority, "protocol": protocol, "action": action,
        "source": {"any": False, "tags": [source], "prefixes": [], "ports": []},
        "destination": {"any": True, "tags": [], "prefixes": [], "ports": [[port, port]]},
    }


BASE = {
    "generation": 1,
    "outside": {"interface": "sw-out", "mac": OUT_MAC, "prefix": "203.0.113.0/24", "gateway": "203.0.113.1"},
    "host_port": {"interface": "sw-host", "mac": HOST_MAC, "prefix": "100.64.0.0/10"},
    "groups": [{"uid": "g", "name": "web", "revalidate": True, "rules": []},
               {"uid": "keep", "name": "keep", "revalidate": False, "rules": []}],
    "networks": [
        {"uid": "one", "vni": 4096, "prefixes": ["192.168.0.0/16"], "subnets": [
            subnet("one-1", "192.168.1.0/24", "192.168.1.1"), subnet("one-2", "192.168.2.0/24", "192.168.2.1")]},
        {"uid": "two", "vni": 4097, "prefixes": ["192.168.0.0/16"], "subnets": [
            subnet("two-1", "192.168.1.0/24", "192.168.1.1")]},
    ],
    "nics": [
        nic("a", "one", "one-1", "192.168.1.4", "203.0.113.10", "100.64.0.4", "g"),
        nic("b", "one", "one-1", "192.168.1.5", "203.0.113.11", "100.64.0.5"),
        nic("c", "one", "one-2", "192.168.2.4", None, "100.64.0.6", "keep"),
        nic("x", "two", "two-1", "192.168.1.4", None, "100.64.0.7"),
        nic("y", "two", "two-1", "192.168.1.5", None, "100.64.0.8"),
    ],
}

GUESTS = {"a": ("192.168.1.4/24", "192.168.1.1"), "b": ("192.168.1.5/24", "192.168.1.1"),
          "c": ("192.168.2.4/24", "192.168.2.1"), "x": ("192.168.1.4/24", "192.168.1.1"),
          "y": ("192.168.1.5/24", "192.168.1.1")}


class World(Lab):
    """The lab with all guests, and the state that was applied last."""

    def __init__(self, switch):
        super().__init__(switch)
        self.state = copy.deepcopy(BASE)

    def build(self):
        for name, (address, gateway) in GUESTS.items():
            self.namespace(name)
            self.wire("sw-" + name, name, mac_of(name))
            self.address(name, address)
            self.ip(name, "route", "add", "default", "via", gateway)
        self.namespace("out")
        self.wire("sw-out", "out")
        self.address("out", "203.0.113.1/24", "198.51.100.7/32")
        self.namespace("host")
        self.wire("sw-host", "host")
        self.address("host", METADATA + "/32", routes=["100.64.0.0/10"])
        self.start_switch()
        self.apply()

    def apply(self):
        self.state["generation"] += 1
        return self.control.call("apply", self.state)

    def rules(self, group, *rules):
        for g in self.state["groups"]:
            if g["uid"] == group:
                g["rules"] = list(rules)
        self.apply()

    def nic_state(self, uid):
        return next(row for row in self.control.call("nic.list") if row["uid"] == uid)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def receive(s, wanted, seconds=2.0):
    """The first frame for which wanted(frame) is true, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        s.settimeout(max(0.01, end - time.monotonic()))
        try:
            data = s.recvfrom(65536)
        except TimeoutError:
            return None
        if data[1][2] == socket.PACKET_OUTGOING:
            continue
        frame = Ether(data[0])
        if wanted(frame):
            return frame
    return None


def counted(w, nic_uid, reason, action):
    """Runs action and returns by how much the NIC's drops for the reason grew."""
    before = w.control.drops(nic_uid).get(reason, 0)
    action()
    wait_for(lambda: w.control.drops(nic_uid).get(reason, 0) > before, 2)
    return w.control.drops(nic_uid).get(reason, 0) - before


def exchange(client, server):
    """Both directions of a TCP connection carry data."""
    client.sendall(b"ping")
    if server.recv(4) != b"ping":
        return False
    server.sendall(b"pong")
    return client.recv(4) == b"pong"


# ---- gateway, ARP, DHCP ----


def test_attachments(w):
    for row in w.control.call("nic.list"):
        expect([a["state"] for a in row["attachments"]] == ["ready"], row)


def test_gateway(w):
    for guest, (_, gateway) in GUESTS.items():
        expect(w.ping(guest, gateway), f"{guest} reaches its gateway")
    expect(w.ping("a", "192.168.2.1"), "the other subnet's gateway answers too")
    entry = w.ip("a", "neigh", "show", "192.168.1.1").stdout
    expect(GATEWAY_MAC in entry, entry)
    expect(w.ping("a", "192.168.1.1", size=1472), "an echo that fills the MTU")


def test_arp(w):
    s = w.raw("a")
    asked = {"192.168.1.1": GATEWAY_MAC, "192.168.1.5": mac_of("b"), "192.168.1.99": None, "192.168.1.4": None}
    for address, mac in asked.items():
        s.send(bytes(Ether(src=mac_of("a"), dst="ff:ff:ff:ff:ff:ff") /
                     ARP(op=1, hwsrc=mac_of("a"), psrc="192.168.1.4", pdst=address)))
        answer = receive(s, lambda f, a=address: ARP in f and f[ARP].op == 2 and f[ARP].psrc == a, 0.5)
        expect((answer[ARP].hwsrc if answer else None) == mac, f"{address}: {answer!r}")


def dhcp(w, guest, kind, **options):
    s = w.raw(guest)
    mac = mac_of(guest)
    more = [(k, v) for k, v in options.items() if k not in ("chaddr", "src")]
    s.send(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src=options.get("src", "0.0.0.0"), dst="255.255.255.255") /
                 UDP(sport=68, dport=67) / BOOTP(op=1, chaddr=options.get("chaddr", bytes.fromhex(mac.replace(":", ""))),
                                                 xid=0x1234) / DHCP(options=[("message-type", kind)] + more + ["end"])))
    return receive(s, lambda f: BOOTP in f and f[BOOTP].op == 2 and f[BOOTP].xid == 0x1234, 1)


def test_dhcp(w):
    offer = dhcp(w, "a", "discover")
    expect(offer, "an offer")
    expect(offer[BOOTP].yiaddr == "192.168.1.4", offer.show(dump=True))
    ack = dhcp(w, "a", "request", requested_addr="192.168.1.4", server_id="192.168.1.1")
    options = dict(o[:2] for o in ack[DHCP].options if isinstance(o, tuple))
    expect(options["message-type"] == 5, options)
    expect(options["subnet_mask"] == "255.255.255.0" and options["router"] == "192.168.1.1", options)
    expect(options["name_server"] == "9.9.9.9" and options["hostname"] == b"vm-a", options)
    expect(options["interface-mtu"] == 1500, options)
    gateway = bytes([192, 168, 1, 1])
    expect(bytes([32, 169, 254, 169, 254]) + gateway in bytes(ack[BOOTP]) and
           bytes([0]) + gateway in bytes(ack[BOOTP]), "option 121")
    nak = dhcp(w, "a", "request", requested_addr="192.168.1.77", server_id="192.168.1.1")
    expect(dict(o[:2] for o in nak[DHCP].options if isinstance(o, tuple))["message-type"] == 6, "a NAK")
    expect(dhcp(w, "a", "request", requested_addr="192.168.1.4", server_id="192.168.1.9") is None, "another's")
    check = Ether(bytes(ack))
    expect(check[UDP].chksum == type(ack)(bytes(ack))[UDP].chksum, "checksum")


def test_rogue_dhcp(w):
    s = w.raw("a")
    frame = (Ether(src=mac_of("a"), dst=mac_of("b")) / IP(src="192.168.1.4", dst="192.168.1.5") /
             UDP(sport=67, dport=68) / BOOTP(op=2) / DHCP(options=[("message-type", "offer"), "end"]))
    expect(counted(w, "a", "dhcp-server", lambda: s.send(bytes(frame))) == 1, "counted")


# ---- networks ----


def test_same_network(w):
    expect(w.ping("b", "192.168.1.4"), "b → a in one subnet")
    expect(w.ping("b", "192.168.2.4"), "b → c in the other subnet")
    server = w.listen("c", "192.168.2.4", 7000)
    client = w.connect("b", "192.168.2.4", 7000)
    expect(client and exchange(client, server.accept()[0]), "TCP b → c")


def test_ttl(w):
    s = w.raw("b")
    frame = Ether(src=mac_of("b"), dst=GATEWAY_MAC) / IP(src="192.168.1.5", dst="192.168.2.4", ttl=1) / ICMP(id=9)
    s.send(bytes(frame))
    error = receive(s, lambda f: ICMP in f and f[ICMP].type == 11)
    expect(error and error[IP].src == "192.168.1.1" and error[IP].dst == "192.168.1.5", repr(error))
    arrived = w.raw("c")
    frame[IP].ttl = 9
    s.send(bytes(Ether(bytes(frame))))
    got = receive(arrived, lambda f: ICMP in f and f[ICMP].id == 9)
    expect(got and got[IP].ttl == 8, "one hop between subnets")


def test_isolation(w):
    """Two networks with the same prefixes: each guest reaches its own namesake only."""
    server_b = w.listen("b", "192.168.1.5", 7100)
    server_y = w.listen("y", "192.168.1.5", 7100)
    client = w.connect("x", "192.168.1.5", 7100)
    expect(client and exchange(client, server_y.accept()[0]), "x → y")
    server_b.settimeout(0.3)
    try:
        server_b.accept()
        raise AssertionError("x reached b")
    except TimeoutError:
        pass
    expect(not w.ping("x", "192.168.2.4"), "two has no 192.168.2.4, whatever one has")
    spy = w.raw("b")
    sender = w.raw("x")
    # Neither by addressing b's MAC, nor by ARP for it.
    sender.send(bytes(Ether(src=mac_of("x"), dst=mac_of("b")) / IP(src="192.168.1.4", dst="192.168.1.5") /
                      UDP(sport=1, dport=7101) / Raw(b"intruder")))
    expect(receive(spy, lambda f: b"intruder" in bytes(f), 0.5) is None, "x's frame for b's MAC")


# ---- policy ----


def test_closed_before_rule(w):
    server = w.listen("a", "192.168.1.4", 22)
    expect(counted(w, "a", "denied-inbound", lambda: w.connect("out", "203.0.113.10", 22)) >= 1, "counted")
    server.close()


def test_open_after_rule(w):
    w.rules("g", rule("ssh", 100, 22))
    server = w.listen("a", "192.168.1.4", 22)
    client = w.connect("out", "203.0.113.10", 22)
    expect(client, "ssh passes after the rule")
    accepted, peer = server.accept()
    expect(peer[0] == "203.0.113.1", peer)
    expect(exchange(client, accepted), "data both ways")
    blob = os.urandom(1 << 20)
    threading.Thread(target=client.sendall, args=(blob,), daemon=True).start()
    got = b""
    while len(got) < len(blob):
        piece = accepted.recv(65536)
        expect(piece, "the stream ends early")
        got += piece
    expect(got == blob, "a megabyte arrives right")


def test_other_ports_closed(w):
    server = w.listen("a", "192.168.1.4", 80)
    expect(w.connect("out", "203.0.113.10", 80) is None, "port 80 stays closed")
    server.close()
    expect(not w.ping("out", "203.0.113.10"), "so does ICMP")


def test_no_group(w):
    """b has no group at all: its network reaches it, the outside does not (a Standard address)."""
    server = w.listen("b", "192.168.1.5", 22)
    expect(counted(w, "b", "no-group", lambda: w.connect("out", "203.0.113.11", 22)) >= 1, "from outside")
    expect(w.connect("a", "192.168.1.5", 22), "from its network")
    server.close()


def test_stateful(w):
    """Answers pass by their connection; nothing else from the same place does."""
    server = w.listen("out", "203.0.113.1", 443)
    client = w.connect("a", "203.0.113.1", 443)
    accepted, peer = server.accept()
    expect(peer[0] == "203.0.113.10", "a is seen by its public address")
    expect(exchange(client, accepted), "data both ways")
    expect(w.ping("a", "203.0.113.1"), "an echo's answer comes back")
    expect(w.ping("a", "198.51.100.7"), "by the gateway too")
    inside, outside = w.udp("a", port=5000), w.udp("out", port=5353)
    inside.sendto(b"q", ("203.0.113.1", 5353))
    data, peer = outside.recvfrom(100)
    expect(data == b"q" and peer == ("203.0.113.10", 5000), peer)
    outside.sendto(b"answer", peer)
    expect(inside.recv(100) == b"answer", "the answer")
    stranger = w.udp("out", port=5354)
    expect(counted(w, "a", "denied-inbound", lambda: stranger.sendto(b"x", peer)) == 1, "from another port")


def test_mid_stream(w):
    """A segment of no connection is no beginning of one (long after the switch's start, so unit tests show it);
    an ICMP answer nobody asked for is dropped."""
    s = w.raw("out")
    answer = Ether(dst=OUT_MAC) / IP(src="203.0.113.1", dst="203.0.113.11") / ICMP(type=0, id=5)
    expect(counted(w, "b", "icmp-no-flow", lambda: s.send(bytes(answer))) == 1, "counted")


def test_revoked(w):
    w.rules("g", rule("ssh", 100, 22))
    server = w.listen("a", "192.168.1.4", 22)
    client = w.connect("out", "203.0.113.10", 22)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "before")
    w.rules("g")
    client.sendall(b"late")
    accepted.settimeout(1)
    try:
        expect(accepted.recv(4) is None, "a revoked connection carried data")
    except TimeoutError:
        pass
    accepted.sendall(b"from inside")  # rules for outbound would allow it as a new connection
    client.settimeout(1)
    try:
        expect(client.recv(4) is None, "a revoked connection carried data from inside")
    except TimeoutError:
        pass
    expect(w.control.drops("a").get("revoked", 0) >= 2, "counted")
    w.rules("g", rule("ssh", 100, 22))
    accepted.settimeout(10)  # both sides retransmit ever less often
    client.settimeout(10)
    expect(accepted.recv(4) == b"late" and client.recv(11) == b"from inside", "allowed again, it goes on")


def test_kept(w):
    """A group that does not revalidate lets what is established end by itself."""
    w.rules("keep", rule("in", 100, 7200, source="VirtualNetwork"))
    server = w.listen("c", "192.168.2.4", 7200)
    client = w.connect("b", "192.168.2.4", 7200)
    accepted = server.accept()[0]
    w.rules("keep", rule("out", 100, 7200, source="VirtualNetwork", action="deny"))
    expect(exchange(client, accepted), "the old connection goes on")
    expect(w.connect("b", "192.168.2.4", 7200) is None, "a new one does not begin")
    w.rules("keep")


def test_subnet_group(w):
    """Both groups must allow: the subnet's stands before the NIC's."""
    w.rules("g", rule("ssh", 100, 22))
    subnet_one = w.state["networks"][0]["subnets"][0]
    subnet_one["group"] = "keep"
    w.apply()
    server = w.listen("a", "192.168.1.4", 22)
    expect(w.connect("out", "203.0.113.10", 22) is None, "the subnet's group has no such rule")
    w.rules("keep", rule("ssh", 100, 22))
    expect(w.connect("out", "203.0.113.10", 22), "now both have")
    subnet_one["group"] = None
    w.rules("keep")
    server.close()


# ---- spoofing ----


def test_spoofed(w):
    s, spy = w.raw("a"), w.raw("b")
    good = Ether(src=mac_of("a"), dst=mac_of("b")) / IP(src="192.168.1.4", dst="192.168.1.5") / UDP(sport=9, dport=9)
    cases = [
        ("spoofed-mac", Ether(src="00:0d:3a:00:00:99", dst=mac_of("b")) / good[IP]),
        ("spoofed-ip", Ether(src=mac_of("a"), dst=mac_of("b")) / IP(src="192.168.1.6", dst="192.168.1.5") / UDP()),
        ("spoofed-ip", Ether(src=mac_of("a"), dst=mac_of("b")) / IP(src="203.0.113.10", dst="192.168.1.5") / UDP()),
        ("spoofed-arp", Ether(src=mac_of("a"), dst="ff:ff:ff:ff:ff:ff") /
         ARP(op=1, hwsrc=mac_of("a"), psrc="192.168.1.5", pdst="192.168.1.1")),
        ("spoofed-arp", Ether(src=mac_of("a"), dst=mac_of("b")) /
         ARP(op=2, hwsrc=mac_of("b"), psrc="192.168.1.1", hwdst=mac_of("b"), pdst="192.168.1.5")),
    ]
    for reason, frame in cases:
        frame = frame / Raw(b"spoofed")
        expect(counted(w, "a", reason, lambda f=frame: s.send(bytes(f))) == 1, f"{reason}: {frame.summary()}")
    expect(receive(spy, lambda f: b"spoofed" in bytes(f), 0.3) is None, "none arrives")
    s.send(bytes(good / Raw(b"honest")))
    expect(receive(spy, lambda f: b"honest" in bytes(f)), "an honest one does")
    # Also on a flow that is established by now: the MAC is checked on every packet.
    bad = Ether(src="00:0d:3a:00:00:99", dst=mac_of("b")) / good[IP] / Raw(b"spoofed")
    expect(counted(w, "a", "spoofed-mac", lambda: s.send(bytes(bad))) == 1, "on an established flow")


def test_spoofed_outside(w):
    """What comes from outside with an inside source would pass as VirtualNetwork."""
    s, spy = w.raw("out"), w.raw("b")
    for source in ("192.168.1.4", METADATA, "168.63.129.16", "203.0.113.10", "100.64.0.4", "127.0.0.1", "224.0.0.1"):
        frame = Ether(dst=OUT_MAC) / IP(src=source, dst="203.0.113.11") / UDP(sport=5, dport=5) / Raw(b"martian")
        expect(counted(w, "b", "spoofed-outside", lambda f=frame: s.send(bytes(f))) == 1, source)
    expect(receive(spy, lambda f: b"martian" in bytes(f), 0.3) is None, "none arrives")


# ---- translation ----


def test_hairpin(w):
    """Two NICs of one switch by their public addresses: translated both ways."""
    w.rules("g", rule("ssh", 100, 22))
    server = w.listen("a", "192.168.1.4", 22)
    client = w.connect("b", "203.0.113.10", 22)
    expect(client, "b reaches a's public address")
    accepted, peer = server.accept()
    expect(peer[0] == "203.0.113.11" and exchange(client, accepted), peer)


def test_no_public_address(w):
    """c has none: it is told that there is no way."""
    s = w.raw("c")
    s.send(bytes(Ether(src=mac_of("c"), dst=GATEWAY_MAC) / IP(src="192.168.2.4", dst="198.51.100.7") / UDP(dport=53)))
    error = receive(s, lambda f: ICMP in f and f[ICMP].type == 3)
    expect(error and error[ICMP].code == 0 and error[IP].src == "192.168.2.1", repr(error))


def bound(w, name, port, to):
    """A TCP connection from that port."""
    with w.inside(name):
        s = socket.socket()
    s.settimeout(3)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port))
    s.connect(to)
    return s


def test_source_nat(w):
    """c and x, of two networks, share a public address and speak from one port to one destination; kill -9 ends neither."""
    for network in w.state["networks"]:
        network["source_nat"] = {"addresses": ["203.0.113.250"]}
    w.apply()
    server = w.listen("out", "203.0.113.1", 7443)
    talks, seen = {}, {}
    for guest in ("c", "x"):
        client = bound(w, guest, 4000, ("203.0.113.1", 7443))
        accepted, (address, seen[guest]) = server.accept()
        accepted.settimeout(5)
        expect(address == "203.0.113.250", address)
        talks[guest] = (client, accepted)
        expect(exchange(client, accepted), "data both ways")
        expect(w.ping(guest, "203.0.113.1") and w.ping(guest, "198.51.100.7"), f"{guest} pings the world")
    expect(seen["c"] == 4000 and seen["x"] != 4000, seen)
    rows = w.control.call("flow.list", {"nic": "x", "port": 7443})["flows"]
    expect([row["nic"] for row in rows] == ["x", "x"] and f"source port {seen['x']}" in rows[0]["actions"] and
           "destination port 4000" in rows[1]["actions"], rows)
    restart(w, signal.SIGKILL)
    for guest in ("x", "c"):
        expect(exchange(*talks[guest]), f"{guest}'s connection goes on")
    rows = w.control.call("flow.list", {"nic": "x", "port": 7443})["flows"]
    expect(len(rows) == 2 and f"source port {seen['x']}" in rows[0]["actions"], rows)
    stranger = w.udp("out", port=7443)
    before = w.control.drops()["shared-address"]
    stranger.sendto(b"x", ("203.0.113.250", 4000))
    expect(wait_for(lambda: w.control.drops()["shared-address"] == before + 1), "nobody else comes in by it")
    for network in w.state["networks"]:
        del network["source_nat"]
    w.apply()
    expect(counted(w, "x", "revoked", lambda: talks["x"][0].sendall(b"late")) >= 1, "no longer shared")


def test_outside_arp(w):
    s = w.raw("out")
    mac = w.ip("out", "link", "show", "eth0").stdout.split("link/ether ")[1].split()[0]
    for address, answered in (("203.0.113.10", True), ("203.0.113.99", False), ("192.168.1.4", False)):
        s.send(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc="203.0.113.1", pdst=address)))
        answer = receive(s, lambda f, a=address: ARP in f and f[ARP].op == 2 and f[ARP].psrc == a, 0.5)
        expect(bool(answer) == answered, f"{address}: {answer!r}")
        expect(not answer or answer[ARP].hwsrc == OUT_MAC, answer)


def test_icmp_errors(w):
    """Errors about a packet of a connection follow it, translated with what they quote."""
    closed = w.udp("a", port=6001)
    closed.connect(("203.0.113.1", 6999))  # nobody listens there
    closed.send(b"x")
    try:
        closed.recv(10)
        raise AssertionError("an answer from a closed port")
    except ConnectionRefusedError:
        pass
    # A router's "fragmentation needed" about a TCP segment of a connection.
    server = w.listen("out", "203.0.113.1", 8443)
    client = w.connect("a", "203.0.113.1", 8443)
    port = client.getsockname()[1]
    spy, s = w.raw("a"), w.raw("out")
    quoted = IP(src="203.0.113.10", dst="203.0.113.1", flags="DF") / TCP(sport=port, dport=8443, seq=1)
    error = Ether(dst=OUT_MAC) / IP(src="198.51.100.9", dst="203.0.113.10") / ICMP(type=3, code=4, nexthopmtu=1300)
    s.send(bytes(error / bytes(quoted)[:28]))
    got = receive(spy, lambda f: ICMP in f and f[ICMP].type == 3)
    expect(got and got[IP].src == "198.51.100.9" and got[IP].dst == "192.168.1.4", repr(got))
    expect(got[ICMPerror if ICMPerror in got else TCPerror] and got["IP in ICMP"].src == "192.168.1.4", got.summary())
    fresh = Ether(bytes(got))
    del fresh[ICMP].chksum
    expect(Ether(bytes(fresh))[ICMP].chksum == got[ICMP].chksum, "the ICMP checksum is right")
    # The same about a connection that does not exist.
    quoted[TCP].sport = (port + 1) % 65536
    action = lambda: s.send(bytes(error / bytes(IP(bytes(quoted)))[:28]))
    expect(counted(w, "a", "icmp-no-flow", action) == 1, "about nothing")
    server.close()


def test_too_big(w):
    w.state["nics"][2]["mtu"] = 1400
    w.apply()
    s = w.raw("b")
    big = Ether(src=mac_of("b"), dst=GATEWAY_MAC) / IP(src="192.168.1.5", dst="192.168.2.4", flags="DF") / ICMP(id=8)
    s.send(bytes(big / Raw(b"x" * 1472)))
    error = receive(s, lambda f: ICMP in f and f[ICMP].type == 3)
    w.state["nics"][2]["mtu"] = 1500
    w.apply()
    expect(error and error[ICMP].code == 4 and error[ICMP].nexthopmtu == 1400, repr(error))


def test_fragments(w):
    """Later fragments follow their first; one without is dropped."""
    expect(w.ping("b", "192.168.2.4", size=4000), "a ping of three fragments between subnets")
    expect(w.ping("a", "203.0.113.1", size=4000), "and through the translation")
    pieces = fragment(IP(src="192.168.1.5", dst="192.168.2.4", id=4242) / UDP(sport=1, dport=2) / Raw(b"x" * 3000), 1000)
    s = w.raw("b")
    action = lambda: s.send(bytes(Ether(src=mac_of("b"), dst=GATEWAY_MAC) / pieces[1]))
    expect(counted(w, "b", "fragment", action) == 1, "a later one alone")


# ---- host port ----


class Metadata(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def get_metadata(w, guest):
    s = w.connect(guest, METADATA, 80)
    expect(s, f"{guest} reaches metadata")
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := s.recv(4096):
        answer += piece
    return answer.split(b"\r\n\r\n")[1].decode()


def test_metadata(w):
    with w.inside("host"):
        server = http.server.ThreadingHTTPServer((METADATA, 80), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for guest, address in (("a", "100.64.0.4"), ("b", "100.64.0.5"), ("x", "100.64.0.7")):
        expect(get_metadata(w, guest) == address, f"{guest} is known by {address}")
    server.shutdown()
    server.server_close()


def test_host_to_nic(w):
    """A connection from the private namespace reaches the NIC from the platform address, past its groups."""
    server = w.listen("a", "192.168.1.4", 7300)
    client = w.connect("host", "100.64.0.4", 7300)
    expect(client, "host → a")
    accepted, peer = server.accept()
    expect(peer[0] == METADATA and exchange(client, accepted), peer)


# ---- state ----


def test_bad_state(w):
    before = w.control.call("state")
    for change, path in ((lambda s: s["nics"][0].update(mac="nonsense"), "nics[0].mac"),
                         (lambda s: s["nics"][1].update(subnet="one-9"), "nics[1].subnet"),
                         (lambda s: s.update(generation=0), "generation"),
                         (lambda s: s["networks"].append(s["networks"][0]), "networks[2]"),
                         (lambda s: s.pop("groups"), "groups")):
        bad = copy.deepcopy(w.state)
        bad["generation"] += 1
        change(bad)
        try:
            w.control.call("apply", bad)
            raise AssertionError(f"{path} was taken")
        except Fault as fault:
            expect(str(fault).startswith(f"invalid: {path}"), fault)
    expect(w.control.call("state") == before, "nothing changed")
    expect(w.ping("b", "192.168.1.4"), "and everything works")


def test_reports(w):
    w.ping("b", "192.168.2.4")
    flows = w.control.call("flow.list", {"nic": "b", "limit": 1000})["flows"]
    mine = [f for f in flows if f["protocol"] == "icmp" and f["dst"] == "192.168.2.4"]
    expect(mine and mine[0]["direction"] == "outbound" and mine[0]["state"] == "established", flows)
    expect(mine[0]["packets"] >= 1 and "hop" in mine[0]["actions"] and "deliver c" in mine[0]["actions"], mine[0])
    expect({f["id"] for f in flows if f["nic"] != "b"} <= {f["id"] for f in flows if f["nic"] == "b"}, "only b's")
    page = w.control.call("flow.list", {"limit": 2})
    expect(len(page["flows"]) == 2 and page["next"], "the limit holds")
    counters = w.control.call("counters")
    expect(counters["rx"] > 0 and counters["tx"] > 0 and counters["flows"] > 0, counters)
    expect(w.nic_state("b")["flows"] > 0 and w.nic_state("b")["attachments"][0]["rx_packets"] > 0, "per NIC")


def test_idle(w):
    """An idle switch sleeps: it must not use a core for nothing."""
    def cpu():
        with open(f"/proc/{w.switch.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before, sleeps = cpu(), w.control.call("counters")["sleeps"]
    time.sleep(2)
    used = (cpu() - before) / 2
    expect(used < 0.15, f"{used:.0%} of a core while idle")
    expect(w.control.call("counters")["sleeps"] > sleeps + 100, "it slept")


def test_interface_returns(w):
    """A tap that is closed and made again keeps its name only: the port follows."""
    w.ip("y", "link", "del", "eth0")
    expect(wait_for(lambda: w.nic_state("y")["attachments"][0]["state"] == "failed", 5), "failed")
    expect("sw-y" in w.nic_state("y")["attachments"][0]["error"], "says which")
    w.wire("sw-y", "y", mac_of("y"))
    w.address("y", "192.168.1.5/24")
    expect(wait_for(lambda: w.nic_state("y")["attachments"][0]["state"] == "ready", 5), "ready again")
    expect(wait_for(lambda: w.ping("x", "192.168.1.5"), 5), "and traffic flows")


def test_nic_moves(w):
    """A NIC that leaves the state is gone at once, and its successor inherits nothing."""
    server = w.listen("b", "192.168.1.5", 7400)
    client = w.connect("a", "192.168.1.5", 7400)
    accepted = server.accept()[0]
    gone = w.state["nics"].pop(1)
    w.apply()
    client.sendall(b"x")
    accepted.settimeout(0.7)
    try:
        expect(accepted.recv(1) is None, "a NIC that is gone got a packet")
    except TimeoutError:
        pass
    w.state["nics"].insert(1, gone)
    w.apply()
    # Within the first minute after its start the switch takes connections up in the middle; else this one is over.
    expect(wait_for(lambda: w.ping("a", "192.168.1.5"), 5), "it is back")


# ---- bad packets, kills ----


def garbage(rng):
    """Frames that no sane stack sends, from a's MAC so that they get past the first check."""
    eth = Ether(src=mac_of("a"), dst=rng.choice([GATEWAY_MAC, mac_of("b"), "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"]))
    ip = IP(src="192.168.1.4", dst=rng.choice(["192.168.1.5", "192.168.1.1", METADATA, "203.0.113.1", "0.0.0.0"]))
    whole = bytes(rng.choice([
        eth / ip / TCP(sport=rng.randrange(65536), flags=rng.randrange(256)),
        eth / ip / UDP(dport=rng.choice([67, 53, 9]), len=rng.randrange(65536)) / Raw(rng.randbytes(rng.randrange(400))),
        eth / ip / ICMP(type=rng.randrange(256), code=rng.randrange(256)) / Raw(rng.randbytes(rng.randrange(90))),
        eth / ip / ICMP(type=3, code=4) / IP(ihl=rng.randrange(16)) / Raw(rng.randbytes(rng.randrange(60))),
        eth / IP(src="192.168.1.4", dst="192.168.1.5", options=[IPOption_LSRR(routers=["8.8.8.8"])]) / UDP(),
        eth / IP(src="192.168.1.4", dst="192.168.1.5", frag=rng.randrange(8192), flags=rng.randrange(8)) / UDP(),
        eth / IPv6(src="fd00::1", dst="fd00::2", nh=rng.randrange(256)) / Raw(rng.randbytes(rng.randrange(99))),
        eth / ARP(hwlen=rng.randrange(256), plen=rng.randrange(256), op=rng.randrange(65536)),
        eth / Dot1Q(vlan=rng.randrange(4096)) / ip / UDP(),
        eth / ip / UDP(sport=68, dport=67) / BOOTP(op=1, hlen=rng.randrange(256)) / Raw(rng.randbytes(rng.randrange(300))),
        eth / Raw(rng.randbytes(rng.randrange(200))),
    ]))
    kind = rng.randrange(4)
    if kind == 0:
        whole = whole[:max(14, rng.randrange(len(whole)))]
    elif kind == 1:
        broken = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            broken[rng.randrange(12, len(broken))] = rng.randrange(256)
        whole = bytes(broken)
    return whole


def test_garbage(w):
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"# seed {seed} (replay with SEED={seed})", flush=True)
    rng = random.Random(seed)
    inside, outside = w.raw("a"), w.raw("out")
    for i in range(3000):
        frame = garbage(rng)
        if i % 3 == 2:
            outside.send(bytes.fromhex(OUT_MAC.replace(":", "")) + frame[6:])
        else:
            inside.send(frame)
    for _ in range(300):
        inside.send(bytes(Ether(src=mac_of("a"), dst=GATEWAY_MAC) / fuzz(IP(src="192.168.1.4") / UDP()))[:1514])
    expect(w.switch.poll() is None, "the switch died: " + w.switch_log()[-2000:])
    expect(wait_for(lambda: w.ping("a", "192.168.1.1"), 5), "the gateway still answers")
    expect(w.ping("b", "192.168.1.4"), "and guests reach each other")


class Stream(threading.Thread):
    """Datagrams from outside to a, one a millisecond, as answers of a UDP connection that a began and that no rule
    would let in; and how long at most none came."""

    def __init__(self, w, port):
        super().__init__(daemon=True)
        self.inside, self.outside = w.udp("a", port=port), w.udp("out", port=port)
        self.inside.sendto(b"q", ("203.0.113.1", port))
        self.peer = self.outside.recvfrom(100)[1]
        self.last, self.gap, self.received, self.stopping = None, 0.0, 0, False
        self.sender = threading.Thread(target=self.send, daemon=True)
        self.start()
        self.sender.start()

    def send(self):
        while not self.stopping:
            self.outside.sendto(b"answer", self.peer)
            time.sleep(0.001)

    def run(self):
        self.inside.settimeout(0.2)
        while not self.stopping:
            try:
                self.inside.recv(100)
            except TimeoutError:
                continue
            now = time.monotonic()
            self.gap = max(self.gap, now - (self.last or now))
            self.last = now
            self.received += 1

    def end(self):
        self.stopping = True
        self.sender.join()
        self.join()
        self.inside.close()
        self.outside.close()


def since_start(w):
    """What the switch that runs now has logged."""
    return w.switch_log()[w.log_before:]


def restart(w, how, *more):
    w.kill_switch(how)
    w.log_before = len(w.switch_log())
    w.start_switch(*more)


def survive(w, how, port):
    """Connections that are established go on over the end of the switch, both ways, and nothing else does."""
    w.rules("g", rule("ssh", 100, 22))
    server = w.listen("a", "192.168.1.4", 22)
    client = w.connect("out", "203.0.113.10", 22)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "before")
    flows = w.control.call("counters")["flows"]
    stream = Stream(w, port)
    expect(wait_for(lambda: stream.received > 20, 2), "answers come")
    restart(w, how)
    received = stream.received
    came = wait_for(lambda: stream.received > received + 20, 3)
    stream.end()
    expect(came, "answers that no rule lets in come again: their connection is known")
    print(f"# {stream.gap * 1000:.0f} ms without a packet, at one a millisecond", flush=True)
    expect("connections from " + w.flow_memory in since_start(w), since_start(w))
    kept = w.control.call("counters")["flows"] - flows
    expect(w.control.call("state") == w.state, "the state is what was applied, without an apply")
    expect(exchange(client, accepted), "the connection from before goes on")
    closed = w.listen("a", "192.168.1.4", 80)
    expect(w.connect("out", "203.0.113.10", 80) is None, "what policy forbids stays closed")
    closed.close()
    # As all connections are known, none is taken up in the middle.
    stray = Ether(dst=OUT_MAC) / IP(src="203.0.113.1", dst="203.0.113.10") / TCP(sport=999, dport=22, flags="A")
    expect(counted(w, "a", "tcp-no-syn", lambda: w.raw("out").send(bytes(stray))) == 1, "a segment of none")
    expect(sum(nic["flows"] for nic in w.control.call("nic.list")) == w.control.call("counters")["flows"],
           "each NIC's share is counted anew")
    return kept


def test_kill(w):
    """Not all are kept: test_nic_moves left some that lead to a NIC that is gone."""
    survive(w, signal.SIGKILL, 5401)


def test_planned_stop(w):
    expect(survive(w, signal.SIGTERM, 5402) >= 0, "all connections are there")
    expect("dropped 0 directions" in since_start(w), since_start(w))


def test_policy_after_kill(w):
    """Connections that were adopted are decided anew before their first packet, by whatever state there is."""
    for change in ("on disk, while there is no switch", "by an apply, at once after its start"):
        w.rules("g", rule("ssh", 100, 22))
        server = w.listen("a", "192.168.1.4", 22)
        client = w.connect("out", "203.0.113.10", 22)
        accepted = server.accept()[0]
        expect(exchange(client, accepted), "before")
        w.kill_switch(signal.SIGKILL)
        w.state["groups"][0]["rules"] = []
        if change.startswith("on disk"):
            with open(w.state_dir + "/state.json", "w", encoding="ascii") as f:
                json.dump(w.state, f)
            w.start_switch()
        else:
            w.start_switch()
            w.apply()
        client.sendall(b"late")
        accepted.sendall(b"late")
        for s in (accepted, client):
            s.settimeout(0.7)
            try:
                expect(s.recv(4) is None, f"revoked {change}: a packet passed")
            except TimeoutError:
                pass
        expect(w.control.drops("a").get("revoked", 0) >= 2, "counted")
        for s in (client, accepted, server):
            s.close()


def test_other_memory(w):
    """A table that does not fit is begun anew, and said; TCP connections that policy allows are then learnt."""
    w.rules("g", rule("ssh", 100, 22))
    server = w.listen("a", "192.168.1.4", 22)
    client = w.connect("out", "203.0.113.10", 22)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "before")
    restart(w, signal.SIGKILL, "--connections", "1000")
    expect("not 1000; TCP's are learnt anew" in since_start(w), since_start(w))
    expect(w.control.call("counters")["flow_capacity"] == 1000, "the size asked for")
    expect(exchange(client, accepted), "it is learnt")
    with subprocess.Popen([*w.switch_program, "--socket", w.folder + "/second.sock", "--state-dir", w.state_dir],
                          stderr=subprocess.PIPE, text=True) as second:
        said = second.communicate(timeout=10)[1]
    expect(second.returncode == 1 and "in use by another process" in said, said)
    expect(w.control.call("flow.forget") is None and not os.path.exists(w.flow_memory), "forgotten")
    restart(w, signal.SIGTERM)
    expect("no connections to adopt" in since_start(w), since_start(w))


def test_damaged_state(w):
    """A saved state that is damaged is said, not fatal: the switch starts empty and takes an apply. Connections wait
    for it."""
    server = w.listen("b", "192.168.1.5", 7450)
    client = w.connect("a", "192.168.1.5", 7450)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "before")
    w.kill_switch(signal.SIGKILL)
    with open(w.state_dir + "/state.json", "w", encoding="ascii") as f:
        f.write('{"generation": 3, "nics": [')
    w.start_switch()
    expect(w.control.call("state")["nics"] == [], "empty")
    expect("state.json" in w.switch_log().split("ready on")[-2], "said in the log")
    time.sleep(0.5)  # in which an eighth of all connections would have been found to be nobody's
    w.apply()
    expect(wait_for(lambda: w.ping("b", "192.168.1.1"), 5), "it works again")
    expect(exchange(client, accepted), "and the connection goes on")


def test_stop(w):
    expect(w.kill_switch(signal.SIGTERM) == 0, "exit status 0")
    expect(not os.path.exists(w.socket), "the socket is gone")
    w.start_switch("--workers", "2")
    expect(w.control.call("version")["workers"] == 2, "two workers")
    for guest in ("a", "b", "c"):
        expect(wait_for(lambda g=guest: w.ping(g, GUESTS[g][1]), 5), guest)
    test_stateful(w)
    test_same_network(w)


# ---- limits ----


def stream_for(w, sender, receiver, address, seconds):
    """A TCP stream that sends as much as it can."""
    server = w.listen(receiver, address, 7600)
    client = w.connect(sender, address, 7600)
    accepted = server.accept()[0]
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # less than what waits at an interface

    def send():
        try:
            while True:
                client.sendall(b"x" * 16384)
        except OSError:
            pass

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        accepted.recv(65536)
    for s in (accepted, client, server):
        s.close()
    thread.join()


def frames_sent(w, guest):
    """By the guest's own count."""
    return json.loads(w.ip(guest, "-s", "-j", "link", "show", "eth0").stdout)[0]["stats64"]["tx"]["packets"]


def test_limits(w):
    """Bytes over time do not exceed the rate, but for a burst: c's frames, both ways. How fast it is below is the machine's."""
    rate = 20_000_000
    c = next(nic for nic in w.state["nics"] if nic["uid"] == "c")

    def measure(direction, burst_ms, counter, sender, receiver, address):
        c["limits"] = {direction: {"bits_per_s": rate}}
        w.apply()
        before, start = w.nic_state("c"), time.monotonic()
        stream_for(w, sender, receiver, address, 3)
        after, elapsed = w.nic_state("c"), time.monotonic() - start
        bits = 8 * (after["attachments"][0][counter] - before["attachments"][0][counter])
        print(f"# {direction}: {bits / elapsed / rate:.3f} of the rate, {after['holds'] - before['holds']} holds, "
              f"{after['held_ms'] - before['held_ms']} ms held", flush=True)
        expect(bits > rate / 10, "something is sent")
        expect(bits <= rate * 1.15 * elapsed + rate * burst_ms / 1000, f"{bits} bits in {elapsed} s")
        drops = {reason: n - before["drops"].get(reason, 0) for reason, n in after["drops"].items()}
        return after["holds"] - before["holds"], {reason: n for reason, n in drops.items() if n}

    received = lambda: w.nic_state("c")["attachments"][0]["rx_packets"]
    elsewhere = frames_sent(w, "c") - received()
    holds, drops = measure("send", 50, "rx_bytes", "c", "b", "192.168.1.5")
    expect(holds > 0 and not drops, f"held back, and nothing dropped: {holds} {drops}")
    expect(wait_for(lambda: frames_sent(w, "c") - received() == elsewhere), "the switch gets all that c sent, in its time")
    metrics = {family["name"]: family["samples"] for family in w.control.call("metrics")}
    expect([sample["labels"]["nic"] for sample in metrics["sluice_nic_holds_total"]] == ["c"], "its counters are shown")
    holds, drops = measure("receive", 200, "tx_bytes", "b", "c", "192.168.2.4")
    expect(holds == 0 and set(drops) == {"rate"}, f"what is too much is dropped, for that: {holds} {drops}")
    del c["limits"]
    w.apply()


# ---- vhost-user ----


def test_vhost(w):
    """A virtio device of DPDK's, server side as QEMU's, with a namespace behind it: the vhost-user path for real."""
    program = run("sh", "-c", "command -v dpdk-testpmd", check=False).stdout.strip()
    if not program:
        raise Tap.Skip("dpdk-testpmd is not installed (dist/setup.sh test)")
    path = w.folder + "/v.sock"
    w.namespace("v")
    w.namespace("pmd")
    run("ip", "-n", "swt-v", "link", "add", "eth0", "address", mac_of("v"), "type", "veth", "peer", "name", "pmd0",
        "netns", "swt-pmd")
    for where, what in (("v", "eth0"), ("pmd", "pmd0")):
        run("ip", "netns", "exec", "swt-" + where, "ethtool", "-K", what, "tx", "off", "rx", "off", "tso", "off")
        w.ip(where, "link", "set", what, "up")
    w.address("v", "192.168.1.6/24")
    w.ip("v", "route", "add", "default", "via", "192.168.1.1")
    guest = nic("v", "one", "one-1", "192.168.1.6", None, "100.64.0.9")
    guest["attachments"] = [{"kind": "synthetic", "socket": path}]
    guest["active"] = "synthetic"
    w.state["nics"].append(guest)
    w.apply()
    expect(w.nic_state("v")["attachments"][0]["state"] == "waiting", "nobody is there yet")
    testpmd = w.start(
        "ip", "netns", "exec", "swt-pmd", program, "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
        "--file-prefix=swt-pmd", "--lcores=0@(0-1),1@(0-1)", "--no-shconf",
        f"--vdev=net_virtio_user0,path={path},server=1,queues=1,mac={mac_of('v')}",
        "--vdev=net_af_packet0,iface=pmd0", "--", "--forward-mode=io", "--auto-start", "--no-mlockall",
        "--total-num-mbufs=2048", "--stats-period=1", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ready = lambda: w.nic_state("v")["attachments"][0]["state"] == "ready"
    expect(wait_for(ready, 15), w.nic_state("v"))
    expect(wait_for(lambda: w.ping("v", "192.168.1.1"), 10), "the gateway, over vhost-user")
    expect(w.ping("v", "192.168.2.4"), "another guest")
    server = w.listen("v", "192.168.1.6", 7500)
    client = w.connect("b", "192.168.1.6", 7500)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "TCP")
    w.kill_switch(signal.SIGKILL)
    w.start_switch()
    expect(wait_for(ready, 10), "the switch reconnects after kill -9")
    expect(wait_for(lambda: w.ping("v", "192.168.1.1"), 10), "and traffic goes on")
    expect(exchange(client, accepted), "so does the connection")
    w.state["nics"].remove(guest)
    w.apply()
    expect("v" not in [row["uid"] for row in w.control.call("nic.list")], "taken away from under the guest")
    w.state["nics"].append(guest)
    w.apply()
    expect(wait_for(ready, 10) and wait_for(lambda: w.ping("v", "192.168.1.1"), 10), "and given back")
    testpmd.terminate()
    testpmd.wait(10)
    expect(wait_for(lambda: not ready(), 5), "waiting again when the guest is gone")
    expect(w.ping("b", "192.168.1.1"), "others do not notice")


TESTS = [
    ("interfaces that are there are ready", test_attachments),
    ("the gateway of every subnet answers ping with the gateway's MAC", test_gateway),
    ("ARP is answered for gateways and neighbours only", test_arp),
    ("DHCP tells each NIC its address, routes, name and MTU", test_dhcp),
    ("a guest that answers DHCP is dropped and counted", test_rogue_dhcp),
    ("NICs of one network reach each other, across subnets too", test_same_network),
    ("a hop costs one of the time to live, and the last one is told", test_ttl),
    ("networks with equal prefixes are isolated", test_isolation),
    ("a public address is closed before a rule opens it", test_closed_before_rule),
    ("a rule opens its port, and TCP carries a megabyte unharmed", test_open_after_rule),
    ("other ports stay closed", test_other_ports_closed),
    ("a NIC with no group is closed to the outside only", test_no_group),
    ("answers pass by their connection and nothing beside them", test_stateful),
    ("an ICMP answer that nobody asked for is dropped", test_mid_stream),
    ("a revoked rule stops an established connection in both directions", test_revoked),
    ("a group that does not revalidate keeps established connections", test_kept),
    ("subnet and NIC group must both allow", test_subnet_group),
    ("spoofed MACs, addresses and ARP are dropped and counted", test_spoofed),
    ("inside sources from outside are dropped", test_spoofed_outside),
    ("two NICs reach each other by their public addresses", test_hairpin),
    ("a NIC without public address is told that there is no way out", test_no_public_address),
    ("guests without a public address share one, also over kill -9", test_source_nat),
    ("ARP outside is answered for public addresses only", test_outside_arp),
    ("ICMP errors follow their connection through the translation", test_icmp_errors),
    ("a packet larger than the way ahead gets fragmentation needed", test_too_big),
    ("fragments follow their first one", test_fragments),
    ("metadata sees each NIC by its own host address", test_metadata),
    ("a connection from the host port comes from the platform address", test_host_to_nic),
    ("a bad state changes nothing and says where it is bad", test_bad_state),
    ("flows and counters are shown as they are", test_reports),
    ("an idle switch sleeps", test_idle),
    ("an interface that comes back is taken up again", test_interface_returns),
    ("a NIC that is removed gets nothing more, and comes back", test_nic_moves),
    ("absurd, truncated and random frames do not hurt", test_garbage),
    ("after kill -9 the switch comes back with its state and connections", test_kill),
    ("after a planned stop it does too", test_planned_stop),
    ("an adopted connection that policy forbids by now is blocked at its first packet", test_policy_after_kill),
    ("connections that cannot be adopted are learnt, with the reason in the log", test_other_memory),
    ("a damaged saved state is said and survived", test_damaged_state),
    ("SIGTERM ends it cleanly, and two workers do as one", test_stop),
    ("a NIC sends and receives no faster than its limits", test_limits),
    ("a vhost-user guest works, and reconnects after kill -9", test_vhost),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
