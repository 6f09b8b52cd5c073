#!/usr/bin/python3
"""A load balancer of the switch: real TCP by real stacks, and frames by scapy.

    load_balancer_test.py SLUICE-SWITCH       as root; prints TAP. TESTS=WORDS chooses by name

The guests are switch_world.py's: a and c of network one are behind 203.0.113.20, port 80 of which is their 8080, and
ports 50000 and 50001 their 22; and behind 192.168.1.20, for their network alone.
"""
import logging
import signal
import socket
import sys

from lab import GATEWAY_MAC, expect, mac_of, rule, run_tests
from switch_world import OUT_MAC, World, exchange

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import IP, TCP, Ether, Raw

VIP = "203.0.113.20"
INNER = "192.168.1.20"
CLIENT = "203.0.113.1"
PROBE = "168.63.129.16"
IP_OF = {"a": "192.168.1.4", "c": "192.168.2.4"}
OPEN = [rule("web", 100, 8080, tags=["Internet"]), rule("ssh", 110, 22, tags=["Internet"]),
        rule("floating", 120, 80, tags=["Internet"])]


def members(*names, ill=()):
    return [{"ip": IP_OF[name], "healthy": name not in ill} for name in names]


def port(name, number, member_port, who, **more):
    return {"name": name, "address": VIP, "protocol": "tcp", "port": number, "member_port": member_port, "members": who} | more


def balancer(name, address, *rules, **more):
    return {"uid": name, "name": name, "mac": mac_of(name[0]), "network": "one", "addresses": [address], "rules": list(rules), **more}


class Balanced(World):
    def build(self):
        self.servers = []
        for group in self.state["groups"]:
            group["rules"] = OPEN
        self.balance(members("a", "c"))
        super().build()

    def balance(self, who, **more):
        self.state["balancers"] = [
            balancer("lb", VIP, port("web", 80, 8080, who, **more), port("ssh-a", 50000, 22, members("a")),
                     port("ssh-c", 50001, 22, members("c")), standard=True),
            balancer("inner", INNER, port("web", 80, 8080, who, address=INNER), internal=True)]

    def rebalance(self, who, **more):
        self.balance(who, **more)
        self.apply()

    def serve(self, number):
        """Both listen on the port; closed at the test's end."""
        servers = {name: self.listen(name, IP_OF[name], number) for name in IP_OF}
        for server in servers.values():
            server.settimeout(0.3)
        self.servers += servers.values()
        return servers

    def settle(self):
        for server in self.servers:
            server.close()
        self.servers = []
        self.rebalance(members("a", "c"))


def accepted(servers):
    """Who got the connection that was just made, with its end of it and the client's address."""
    for name, server in servers.items():
        try:
            connection, address = server.accept()
        except TimeoutError:
            continue
        connection.settimeout(5)
        return name, connection, address
    raise AssertionError("nobody got the connection")


def connected(w, servers, number=80):
    client = w.connect("out", VIP, number)
    expect(client, f"{VIP}:{number} answers")
    name, server, address = accepted(servers)
    expect(address == client.getsockname(), f"{name} sees the client itself, {address}")
    expect(client.getpeername() == (VIP, number), "the client sees the load balancer")
    return name, client, server


def test_spread(w):
    servers, got = w.serve(8080), {"a": 0, "c": 0}
    for _ in range(24):
        name, client, server = connected(w, servers)
        got[name] += 1
        expect(exchange(client, server), "data pass both ways")
        client.close()
        server.close()
    expect(min(got.values()) >= 4, f"both have their share: {got}")


def test_source(w):
    servers = w.serve(8080)
    w.rebalance(members("a", "c"), distribution="source")
    names = set()
    for _ in range(8):
        name, client, server = connected(w, servers)
        names.add(name)
        client.close()
        server.close()
    expect(len(names) == 1, f"one client has one member: {names}")


def test_nat_rules(w):
    servers = w.serve(22)
    for number, wanted in ((50000, "a"), (50001, "c")):
        name, client, server = connected(w, servers, number)
        expect(name == wanted and exchange(client, server), f"port {number} is {wanted}'s")
        client.close()
        server.close()
    expect(w.connect("out", VIP, 50002, 0.5) is None, "a port without a rule is closed")
    expect(w.control.drops().get("no-rule", 0) >= 1, "and it is counted why")


def test_health(w):
    servers, kept = w.serve(8080), {}
    while len(kept) < 2:
        name, client, server = connected(w, servers)
        kept.setdefault(name, (client, server))
    w.rebalance(members("a", "c", ill=["a"]))
    for _ in range(6):
        name, client, server = connected(w, servers)
        expect(name == "c", "who is not well gets nothing new")
        client.close()
        server.close()
    for name, ends in kept.items():
        expect(exchange(*ends), f"what {name} had goes on")
    w.rebalance(members("a", "c", ill=["a", "c"]))
    expect(w.connect("out", VIP, 80, 0.5) is None, "nobody is well")
    expect(w.control.drops().get("no-member", 0) >= 1, "and it is counted why")


def test_restart(w):
    servers, kept = w.serve(8080), []
    for how in (signal.SIGKILL, signal.SIGTERM):
        kept += [connected(w, servers) for _ in range(6)]
        w.restart(how)
        for name, client, server in kept:
            expect(exchange(client, server), f"a connection to {name} outlives the switch")
    for name, client, server in kept:
        client.close()
        server.close()


def test_groups(w):
    servers = w.serve(8080)
    name, client, server = connected(w, servers)
    w.rules("g", *OPEN[1:])
    w.rules("keep", *OPEN[1:])
    expect(w.connect("out", VIP, 80, 0.5) is None, "groups are asked for the member's own port")
    w.rules("g", *OPEN)
    w.rules("keep", *OPEN)
    client.close()
    server.close()


def test_floating(w):
    w.ip("a", "addr", "add", VIP + "/32", "dev", "lo")
    server = w.listen("a", VIP, 80)
    w.state["balancers"][0]["rules"] = [port("web", 80, 80, members("a"), floating=True)]
    w.apply()
    client = w.connect("out", VIP, 80)
    expect(client, "it answers")
    connection, address = server.accept()
    expect(connection.getsockname() == (VIP, 80), "the member is spoken to by the address itself")
    expect(address[0] == CLIENT and exchange(client, connection), "data pass both ways")
    for s in (client, connection, server):
        s.close()
    w.ip("a", "addr", "del", VIP + "/32", "dev", "lo")


def test_outbound(w):
    c = next(n for n in w.state["nics"] if n["uid"] == "c")
    c["source_nat"] = VIP
    w.apply()
    outside, inside = w.udp("out", CLIENT, 5300), w.udp("c")
    inside.sendto(b"question", (CLIENT, 5300))
    data, address = outside.recvfrom(64)
    expect(data == b"question" and address[0] == VIP, f"c leaves by the load balancer's address, not {address}")
    outside.sendto(b"answer", address)
    expect(inside.recvfrom(64) == (b"answer", (CLIENT, 5300)), "and is answered")
    del c["source_nat"]
    outside.close()
    inside.close()
    w.apply()


def test_internal(w):
    servers, got = w.serve(8080), {"a": 0, "c": 0}
    for _ in range(24):
        client = w.connect("b", INNER, 80)
        expect(client, "it answers a NIC of its network")
        name, server, address = accepted(servers)
        expect(address == client.getsockname() and address[0] == "192.168.1.5", f"{name} sees the client itself, {address}")
        expect(client.getpeername() == (INNER, 80) and exchange(client, server), "data pass both ways")
        got[name] += 1
        client.close()
        server.close()
    expect(min(got.values()) >= 4, f"both have their share: {got}")
    for _ in range(8):
        client = w.connect("a", INNER, 80)
        expect(client and accepted(servers)[0] == "c", "a member is led to the others")
        client.close()
    expect(w.connect("x", INNER, 80, 0.5) is None, "another network does not reach it")
    kept = w.connect("b", INNER, 80)
    name, server, _ = accepted(servers)
    w.restart(signal.SIGKILL)
    expect(exchange(kept, server), "a connection outlives the switch")
    kept.close()
    server.close()


def test_probe(w):
    """What the agent does: from the platform's address to the NIC's on the host port; no group is asked."""
    w.address("host", PROBE + "/32")
    server = w.listen("a", IP_OF["a"], 9999)
    with w.inside("host"):
        probe = socket.socket()
    probe.settimeout(2)
    probe.bind((PROBE, 0))
    probe.connect(("100.64.0.4", 9999))
    connection, address = server.accept()
    expect(address[0] == PROBE, f"the guest sees the platform's address: {address}")
    for s in (probe, connection, server):
        s.close()


def test_frames(w):
    """Every byte of the first packets, each way."""
    w.rebalance(members("a"))
    outside, inside = w.raw("out"), w.raw("a")
    peer = mac_of_interface(w, "out")
    syn = Ether(src=peer, dst=OUT_MAC) / IP(src=CLIENT, dst=VIP, ttl=64, id=7) / TCP(sport=4242, dport=80, flags="S", seq=1)
    outside.send(bytes(syn))
    want = Ether(src=GATEWAY_MAC, dst=mac_of("a")) / IP(src=CLIENT, dst=IP_OF["a"], ttl=63, id=7) / TCP(
        sport=4242, dport=8080, flags="S", seq=1)
    expect(seen(inside, want), "the member gets it translated, with right checksums")
    answer = Ether(src=mac_of("a"), dst=GATEWAY_MAC) / IP(src=IP_OF["a"], dst=CLIENT, ttl=64, id=8) / TCP(
        sport=8080, dport=4242, flags="SA", seq=9, ack=2) / Raw(b"odd")
    inside.send(bytes(answer))
    want = Ether(src=OUT_MAC, dst=peer) / IP(src=VIP, dst=CLIENT, ttl=63, id=8) / TCP(
        sport=80, dport=4242, flags="SA", seq=9, ack=2) / Raw(b"odd")
    expect(seen(outside, want), "and the client its answer")
    outside.close()
    inside.close()


def mac_of_interface(w, name):
    return w.ip(name, "-o", "link", "show", "eth0").stdout.split("link/ether ")[1].split()[0]


def seen(wire, want):
    want = bytes(want)
    try:
        while True:
            frame = wire.recv(2048)
            if frame[:len(want)] == want:
                return True
    except TimeoutError:
        return False


def test_trace(w):
    answer = w.control.call("trace", {"nic": "a", "packet": f"in tcp {CLIENT}:4000 > {VIP}:80 syn"})
    text = str(answer["steps"])
    expect("by rule web, to NIC nic-" in text, f"the trace says who gets it, and why: {text}")


def settled(test):
    def run(w):
        try:
            test(w)
        finally:
            w.settle()
    return run


TESTS = [
    ("connections are spread over members, which see the client itself", test_spread),
    ("by source, a client has one member", test_source),
    ("inbound NAT rules lead to one member each", test_nat_rules),
    ("probes decide of new connections only", test_health),
    ("connections outlive the switch, with their members", test_restart),
    ("groups are asked after translation", test_groups),
    ("floating, members get the address itself", test_floating),
    ("members leave by the load balancer's address", test_outbound),
    ("an internal one is its network's alone", test_internal),
    ("probes reach guests from the platform's address", test_probe),
    ("frames are translated byte for byte", test_frames),
    ("a trace explains it", test_trace),
]


def main():
    return run_tests(lambda: Balanced(sys.argv[1:]), TESTS, settled)


if __name__ == "__main__":
    sys.exit(main())
