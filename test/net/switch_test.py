#!/usr/bin/python3
"""The switch seen from outside: real processes, namespaces as guests, packets built by scapy.

    switch_test.py SLUICE-SWITCH        as root; prints TAP. TESTS=WORDS chooses by name

The guests are switch_world.py's.
"""
import copy
import http.server
import os
import signal
import socket
import sys
import threading
import time

from lab import GATEWAY_MAC, Fault, expect, mac_of, rule, run_tests, wait_for
from switch_world import GUESTS, METADATA, OUT_MAC, SSH, World, counted, exchange

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import (ARP, BOOTP, DHCP, ICMP, IP, TCP, UDP, Ether, ICMPerror, Raw, TCPerror, fragment)
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)


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
    w.rules("g", SSH)
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
    w.rules("g", SSH)
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
    w.rules("g", SSH)
    accepted.settimeout(10)  # both sides retransmit ever less often
    client.settimeout(10)
    expect(accepted.recv(4) == b"late" and client.recv(11) == b"from inside", "allowed again, it goes on")


def test_kept(w):
    """A group that does not revalidate lets what is established end by itself."""
    w.rules("keep", rule("in", 100, 7200, tags=["VirtualNetwork"]))
    server = w.listen("c", "192.168.2.4", 7200)
    client = w.connect("b", "192.168.2.4", 7200)
    accepted = server.accept()[0]
    w.rules("keep", rule("out", 100, 7200, tags=["VirtualNetwork"], action="deny"))
    expect(exchange(client, accepted), "the old connection goes on")
    expect(w.connect("b", "192.168.2.4", 7200) is None, "a new one does not begin")
    w.rules("keep")


def test_subnet_group(w):
    """Both groups must allow: the subnet's stands before the NIC's."""
    w.rules("g", SSH)
    subnet_one = w.state["networks"][0]["subnets"][0]
    subnet_one["group"] = "keep"
    w.apply()
    server = w.listen("a", "192.168.1.4", 22)
    expect(w.connect("out", "203.0.113.10", 22) is None, "the subnet's group has no such rule")
    w.rules("keep", SSH)
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
    w.rules("g", SSH)
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
    w.restart(signal.SIGKILL)
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
    expect(mine[0]["packets"] >= 1 and "hop" in mine[0]["actions"] and "deliver nic-c" in mine[0]["actions"], mine[0])
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
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
