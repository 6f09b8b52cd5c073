#!/usr/bin/python3
"""Two real switches and a kernel, joined by one underlay; guests are network namespaces.

    overlay_test.py SLUICE-SWITCH [--kernel]      as root; prints TAP. TESTS=WORDS chooses by name

With --kernel the switches' VTEPs are addresses of the kernel, as where an eswitch tunnels by them: the kernel has a VXLAN
device beside the switch, which is nobody's, and the interface is a physical network's, too.

    switch one, VTEP 172.16.0.1:  a 192.168.1.4, b 192.168.1.5
    switch two, VTEP 172.16.0.2:  d 192.168.1.6, e 192.168.2.6
    k, VTEP 172.16.0.3:           192.168.1.9, the kernel's own vxlan device: a peer that is not ours
    fabric: a bridge that joins the three; the test sees and sends whole frames there

The underlay carries 1500 bytes, so what crosses carries 1450.
"""
import copy
import hashlib
import os
import signal
import sys
import threading
import time

from lab import Lab, expect, join, mac_of, rule, run, run_tests, wait_for

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import ARP, IP, UDP, VXLAN, Ether, Raw, fragment
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)

KERNEL = "--kernel" in sys.argv
PROGRAM = [word for word in sys.argv[1:] if word != "--kernel"]
VNI = 4096
VTEPS = {"one": "172.16.0.1", "two": "172.16.0.2", "k": "172.16.0.3"}
WIRES = {"one": "02:00:00:00:01:01", "two": "02:00:00:00:02:01", "k": "02:00:00:00:03:01"}
GUESTS = {"a": ("one", "s1", "192.168.1.4"), "b": ("one", "s1", "192.168.1.5"), "d": ("two", "s1", "192.168.1.6"),
          "e": ("two", "s2", "192.168.2.6"), "k": ("k", "s1", "192.168.1.9")}


def state_of(switch):
    here = {name: guest for name, guest in GUESTS.items() if guest[0] == switch}
    return {
        "generation": 1, "outside": None, "host_port": None,
        "underlay": {"interface": "wire", "mac": WIRES[switch], "address": VTEPS[switch], "prefix": "172.16.0.0/24",
                     "gateway": None, "mtu": 1500} | ({"kernel": True, "vxlan_device": "vxlan0"} if KERNEL else {}),
        "physicals": [{"name": "physnet1", "interface": "wire", "mtu": 1500}] if KERNEL else [],
        "groups": [{"uid": "g", "name": "g", "revalidate": True, "rules": []}],
        "networks": [{
            "uid": "n", "vni": VNI, "prefixes": ["192.168.0.0/16"],
            "subnets": [{"uid": f"s{i}", "prefix": f"192.168.{i}.0/24", "gateway": f"192.168.{i}.1", "dns": [],
                         "group": None} for i in (1, 2)],
            "mappings": [{"prefix": ip, "vtep": VTEPS[where], "mac": mac_of(name)}
                         for name, (where, _, ip) in GUESTS.items() if where != switch],
        }],
        "nics": [{"uid": name, "name": name, "mac": mac_of(name), "network": "n", "subnet": subnet, "group": "g",
                  "mtu": 1500, "addresses": [{"ip": ip}], "active": "function",
                  "attachments": [{"kind": "function", "interface": "sw-" + name}]}
                 for name, (_, subnet, ip) in here.items()],
    }


class Side(Lab):
    """One switch with its guests."""

    def __init__(self, program, name):
        super().__init__(program, f"overlay{'k' if KERNEL else ''}-" + name)
        self.name = name
        self.state = state_of(name)

    def build(self, fabric):
        for guest, (where, subnet, ip) in GUESTS.items():
            if where != self.name:
                continue
            self.namespace(guest)
            self.wire("sw-" + guest, guest, mac_of(guest))
            self.address(guest, ip + "/24")
            self.ip(guest, "route", "add", "default", "via", f"192.168.{subnet[1:]}.1")
        join(fabric, self.name, f"{self.prefix}-switch", "wire", WIRES[self.name])
        if KERNEL:
            self.address("switch", VTEPS[self.name] + "/24", device="wire")
            self.ip("switch", "link", "add", "vxlan0", "type", "vxlan", "external", "dstport", "4789")
            self.ip("switch", "link", "set", "vxlan0", "up")
        self.start_switch()
        self.apply()

    def apply(self):
        self.state["generation"] += 1
        return self.control.call("apply", self.state)

    def rules(self, *rules):
        self.state["groups"][0]["rules"] = list(rules)
        self.apply()


class World:
    def __init__(self, program):
        self.one, self.two = Side(program, "one"), Side(program, "two")
        self.spy = None

    def build(self):
        one = self.one
        one.namespace("fabric")
        fabric = f"{one.prefix}-fabric"
        one.ip("fabric", "link", "add", "bridge", "type", "bridge")
        # Where bridges have netfilter look at packets, it drops those that the test gets wrong.
        run("ip", "netns", "exec", fabric, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", check=False)
        one.ip("fabric", "link", "set", "bridge", "up")
        one.build(fabric)
        self.two.build(fabric)
        self.build_kernel(fabric)
        run("ip", "-n", fabric, "link", "add", "tap0", "type", "veth", "peer", "name", "spy")
        for end in ("tap0", "spy"):
            one.ip("fabric", "link", "set", end, "up")
        one.ip("fabric", "link", "set", "tap0", "master", "bridge")
        # A hub: the test's port sees every frame.
        for port in ("one", "two", "k", "tap0"):
            run("ip", "netns", "exec", fabric, "bridge", "link", "set", "dev", port, "learning", "off")
        self.listen()
        self.allow_all()

    def build_kernel(self, fabric):
        one = self.one
        one.namespace("k")
        join(fabric, "k", f"{one.prefix}-k", "eth0", WIRES["k"])
        one.address("k", VTEPS["k"] + "/24")
        one.ip("k", "link", "add", "vxlan0", "address", mac_of("k"), "type", "vxlan", "id", str(VNI), "local",
               VTEPS["k"], "dev", "eth0", "dstport", "4789", "nolearning", "udpcsum")
        one.ip("k", "link", "set", "vxlan0", "mtu", "1450", "up")
        one.address("k", GUESTS["k"][2] + "/24", device="vxlan0")
        for name in ("a", "b", "d"):
            where, _, ip = GUESTS[name]
            run("ip", "netns", "exec", f"{one.prefix}-k", "bridge", "fdb", "append", mac_of(name), "dev", "vxlan0",
                "dst", VTEPS[where])
            one.ip("k", "neigh", "add", ip, "lladdr", mac_of(name), "dev", "vxlan0", "nud", "permanent")

    def listen(self):
        """Forgets what the fabric carried so far."""
        if self.spy:
            self.spy.close()
        self.spy = self.one.raw("fabric", "spy")

    def side(self, guest):
        return self.two if GUESTS[guest][0] == "two" else self.one

    def allow_all(self):
        for side in (self.one, self.two):
            side.rules(rule("all", 100, None, protocol="any"))

    def switch_log(self):
        return self.one.switch_log() + self.two.switch_log()

    def close(self):
        self.two.close()
        self.one.close()


# ---- tests ----

def send_bulk(w, sender, receiver, port, size=1 << 20):
    """Bytes sent by TCP are those that arrive; returns the seconds that it took."""
    data = os.urandom(size)
    digest = hashlib.sha256()
    server = w.side(receiver).listen(receiver, GUESTS[receiver][2], port)

    def receive():
        s = server.accept()[0]
        s.settimeout(20)
        while chunk := s.recv(65536):
            digest.update(chunk)
        s.close()

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    client = w.side(sender).connect(sender, GUESTS[receiver][2], port, 5)
    expect(client, f"{sender} connects to {receiver}")
    client.settimeout(20)
    start = time.monotonic()
    client.sendall(data)
    client.close()
    thread.join(20)
    server.close()
    expect(digest.digest() == hashlib.sha256(data).digest(), f"what {sender} sent to {receiver} arrived whole")
    return time.monotonic() - start


def test_ping(w):
    for source, target in (("a", "d"), ("d", "a"), ("a", "e"), ("e", "a")):
        expect(w.side(source).ping(source, GUESTS[target][2], 3), f"{source} reaches {target}")


def test_bulk(w):
    """The guests' MTU is 1500: each connection finds out that the way carries 1450."""
    for source, target, port in (("a", "d", 7001), ("d", "a", 7002), ("a", "e", 7003), ("e", "a", 7004)):
        send_bulk(w, source, target, port)
    expect(w.one.control.drops()["too-big"] > 0, "the path's MTU was told")


def test_kernel(w):
    for source, target in (("a", "k"), ("k", "a"), ("d", "k"), ("k", "d")):
        expect(w.side(source).ping(source, GUESTS[target][2], 3), f"{source} reaches {target}")
    for source, target, port in (("a", "k", 7011), ("k", "a", 7012)):
        send_bulk(w, source, target, port)


def test_host(w):
    """The address stays the host's own, and nobody else answers for it."""
    if not KERNEL:
        return
    for side in (w.one, w.two):
        expect(w.one.ping("k", VTEPS[side.name], 3), f"the host of switch {side.name} answers")
    server = w.one.listen("switch", VTEPS["one"], 7050)
    client = w.one.connect("k", VTEPS["one"], 7050)
    expect(client and server.accept(), "and is reached by TCP")
    w.listen()
    w.spy.send(bytes(Ether(src=WIRES["k"], dst="ff:ff:ff:ff:ff:ff") /
                     ARP(hwsrc=WIRES["k"], psrc=VTEPS["k"], pdst=VTEPS["one"])))
    answers = 0
    while capture(w, lambda f: ARP in f and f[ARP].op == 2 and f[ARP].psrc == VTEPS["one"], 0.5):
        answers += 1
    expect(answers == 1, f"one answers who has it: {answers}")
    server.close()


def mean_frame(w, guest, way, action):
    """Bytes of the frames that the switch received ("rx") from the guest, or sent ("tx") to it, meanwhile."""
    counters = lambda: next(row for row in w.side(guest).control.call("nic.list") if row["uid"] == guest)["attachments"][0]
    before = counters()
    action()
    after = counters()
    return (after[way + "_bytes"] - before[way + "_bytes"]) / (after[way + "_packets"] - before[way + "_packets"])


def test_large(w):
    """Guests leave it to the switch to cut their TCP; so does the kernel's VTEP."""
    sent = mean_frame(w, "a", "rx", lambda: send_bulk(w, "a", "d", 7021, 8 << 20))
    expect(sent > 5000, f"large frames come from a: {sent}")
    sent = mean_frame(w, "a", "rx", lambda: send_bulk(w, "a", "k", 7022, 8 << 20))
    expect(sent > 5000, f"large frames come from a: {sent}")
    got = mean_frame(w, "a", "tx", lambda: send_bulk(w, "k", "a", 7023, 8 << 20))
    expect(got > 5000, f"what the kernel sends in one outer packet goes on to a in one frame: {got}")


def test_fragmented(w):
    """The guests' MTU is 1500, the tunnel's 1450: what may be fragmented is."""
    for source, target in (("a", "d"), ("a", "k")):
        for size in (1450, 1472, 5000):
            expect(w.side(source).ping(source, GUESTS[target][2], 1, size, ("-M", "dont")),
                   f"a ping of {size} bytes from {source} to {target}")


def test_kernel_fragments(w):
    """Fragments of inner packets, made for the tunnel's MTU."""
    guests = ((w.one, "a"), (w.two, "d"))
    for side, guest in guests:
        side.ip(guest, "link", "set", "eth0", "mtu", "1450")
    try:
        for source, target in (("a", "k"), ("k", "a"), ("a", "d")):
            expect(w.side(source).ping(source, GUESTS[target][2], 2, 4000), f"large ping from {source} to {target}")
    finally:
        for side, guest in guests:
            side.ip(guest, "link", "set", "eth0", "mtu", "1500")


def test_policy(w):
    """The receiver's group counts, whoever the sender's switch is."""
    w.two.rules(rule("web", 100, 80), rule("none", 200, None, "deny", "any"))
    listeners = [w.two.listen("d", GUESTS["d"][2], port) for port in (80, 81)]
    for source in ("a", "k"):
        expect(w.one.connect(source, GUESTS["d"][2], 80), f"{source} may reach port 80")
        expect(w.one.connect(source, GUESTS["d"][2], 81, 0.5) is None, f"{source} may not reach port 81")
    expect(w.two.control.drops("d").get("denied-inbound", 0) >= 2, "refused where the receiver is")
    expect("denied-outbound" not in w.one.control.drops("a"), "not where the sender is")
    for s in listeners:
        s.close()
    w.allow_all()


def capture(w, wanted, seconds=3.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        w.spy.settimeout(max(0.01, end - time.monotonic()))
        try:
            frame = Ether(w.spy.recv(65536))
        except TimeoutError:
            break
        if wanted(frame):
            return frame
    return None


def test_outer(w):
    """Scapy reads what the switch wrote."""
    w.listen()
    sockets = [w.one.udp("a") for _ in range(8)]
    ports = set()
    for s in sockets:
        s.sendto(b"hello", (GUESTS["d"][2], 5353))
        frame = capture(w, lambda f: VXLAN in f and UDP in f[VXLAN] and f[VXLAN][UDP].dport == 5353)
        expect(frame, "a frame on the fabric")
        expect((frame.src, frame.dst) == (WIRES["one"], WIRES["two"]), frame.summary())
        ip, vxlan = frame[IP], frame[VXLAN]
        expect((ip.src, ip.dst) == (VTEPS["one"], VTEPS["two"]) and ip.flags == "DF" and ip.ttl == 64, ip.summary())
        check = ip.chksum
        again = IP(bytes(ip))
        del again.chksum
        expect(IP(bytes(again)).chksum == check, "the outer checksum is right")
        expect(frame[UDP].chksum == 0 and frame[UDP].dport == 4789 and frame[UDP].sport >= 49152, "UDP")
        expect(vxlan.vni == VNI and vxlan.flags == 8, "the VNI")
        inner = vxlan.payload
        expect((inner.src, inner.dst) == (mac_of("a"), mac_of("d")), inner.summary())
        expect(bytes(inner[UDP].payload) == b"hello", "the payload")
        ports.add(frame[UDP].sport)
    expect(len(ports) > 1, "flows are spread over source ports")


def outer(inner, vni=VNI, vtep="two", **ip):
    return (Ether(src=WIRES[vtep], dst=WIRES["one"]) / IP(src=VTEPS[vtep], dst=VTEPS["one"], **ip) /
            UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=vni, flags=8) / inner)


def inner(source="d", target="a", sport=9, ip=None):
    return (Ether(src=mac_of(source), dst=mac_of(target)) / IP(src=ip or GUESTS[source][2], dst=GUESTS[target][2]) /
            UDP(sport=sport, dport=9999) / Raw(b"x" * 20))


def test_refused(w):
    """Frames by scapy that must not reach the guest, each for its reason."""
    guest = w.one.udp("a", port=9999)
    good = bytes(outer(inner(sport=11)))
    cases = [
        ("unknown-vni", outer(inner(), vni=77)),
        ("unknown-mac", outer(inner(target="e"))),
        ("spoofed-tunnel", outer(inner(), vtep="k")),
        ("spoofed-tunnel", outer(inner(ip="192.168.1.77"))),
        ("spoofed-tunnel", outer(inner(ip="192.168.1.4"))),
        ("spoofed-tunnel", outer(inner(ip="168.63.129.16"))),
        ("tunnel-fragment", fragment(outer(inner() / Raw(b"y" * 600)), 400)[0]),
        ("truncated", Raw(good[:60])),
        ("truncated", Raw(good[:-1])),
        ("checksum", outer(inner(), chksum=1)),
    ]
    if not KERNEL:  # whose filter keeps it from the switch
        cases.append(("not-ours", Ether(src=WIRES["two"], dst=WIRES["one"]) /
                      IP(src=VTEPS["two"], dst=VTEPS["one"]) / UDP(dport=4790) / Raw(b"z" * 60)))
    for reason, frame in cases:
        before = w.one.control.drops()[reason]
        w.spy.send(bytes(frame))
        expect(wait_for(lambda r=reason, b=before: w.one.control.drops()[r] > b), f"{reason}: {frame.summary()}")
    guest.settimeout(0.2)
    try:
        raise AssertionError(f"the guest got {guest.recv(100)}")
    except TimeoutError:
        pass
    w.spy.send(good)
    guest.settimeout(2)
    expect(guest.recv(100) == b"x" * 20, "what is right arrives")


def test_route(w):
    """A subnet's route that leads nowhere, and back."""
    subnet = w.one.state["networks"][0]["subnets"][0]
    expect(w.one.ping("a", GUESTS["e"][2]), "reachable before")
    subnet["routes"] = [{"prefix": "192.168.2.0/24", "via": "none"}]
    w.one.apply()
    expect(not w.one.ping("a", GUESTS["e"][2]), "unreachable by the route")
    expect("no-route" in w.one.control.drops("a"), "and counted")
    expect(w.one.ping("a", GUESTS["d"][2]), "others are not concerned")
    del subnet["routes"]
    w.one.apply()
    expect(w.one.ping("a", GUESTS["e"][2]), "reachable again")


def test_flows(w):
    """Operators see where a flow goes."""
    w.one.ping("a", GUESTS["d"][2])
    rows = w.one.control.call("flow.list", {"nic": "a"})["flows"]
    expect(any(f"vxlan {VNI} to {VTEPS['two']}" in row["actions"] for row in rows), rows)
    traced = w.one.control.call("trace", {"nic": "a", "packet": "in tcp 192.168.1.6:1 > 192.168.1.4:2 syn"})
    expect(traced["verdict"] == "forwarded", traced)
    expect(any(step["stage"] == "vxlan" and VTEPS["two"] in step["text"] for step in traced["steps"]), traced)


def test_many_mappings(w):
    """100,000 mappings are applied, and applied again with the next change."""
    state = copy.deepcopy(w.one.state)
    network = w.one.state["networks"][0]
    network["mappings"] += [{"prefix": f"192.168.{128 + i // 1024}.{i // 4 % 256}/32", "vtep": VTEPS["two"],
                             "mac": mac_of("d")} for i in range(0, 4 * 32768, 4)]
    network["prefixes"].append("10.0.0.0/8")
    network["mappings"] += [{"prefix": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", "vtep": VTEPS["two"],
                             "mac": mac_of("d")} for i in range(67000)]
    start = time.monotonic()
    w.one.apply()
    first = time.monotonic() - start
    start = time.monotonic()
    w.one.apply()
    print(f"# {len(network['mappings'])} mappings: {first:.2f} s, unchanged {time.monotonic() - start:.2f} s", flush=True)
    expect(w.one.ping("a", GUESTS["d"][2]), "and packets pass")
    state["generation"] = w.one.state["generation"]
    w.one.state = state
    w.one.apply()


def test_killed(w):
    """Connections through the tunnel outlive their switch."""
    server = w.two.listen("d", GUESTS["d"][2], 7100)
    client = w.one.connect("a", GUESTS["d"][2], 7100)
    expect(client, "connected")
    accepted = server.accept()[0]
    accepted.settimeout(10)
    client.settimeout(10)
    for side in (w.one, w.two):
        side.kill_switch(signal.SIGKILL)
        side.start_switch()
        client.sendall(b"there")
        expect(accepted.recv(10) == b"there", "to")
        accepted.sendall(b"back")
        expect(client.recv(10) == b"back", "fro")


def test_balancer(w):
    """Of an internal load balancer: both switches have it, and each leads its own guests to d or e."""
    vip, sides = "192.168.1.20", (w.one, w.two)
    for side in sides:
        side.state["balancers"] = [{
            "uid": "lb", "name": "lb", "mac": mac_of("l"), "network": "n", "internal": True, "addresses": [vip],
            "rules": [{"name": "web", "address": vip, "protocol": "tcp", "port": 80, "member_port": 8080,
                       "members": [{"ip": GUESTS[name][2], "healthy": True} for name in ("d", "e")]}]}]
        side.apply()
    servers = {name: w.two.listen(name, GUESTS[name][2], 8080) for name in ("d", "e")}
    for server in servers.values():
        server.settimeout(0.3)
    got, kept = {"d": 0, "e": 0}, []
    for i in range(24):
        client = w.one.connect("ab"[i % 2], vip, 80, 3)
        expect(client, "it answers a guest of the switch without members")
        for name, server in servers.items():
            try:
                connection, address = server.accept()
            except TimeoutError:
                continue
            got[name] += 1
            expect(address == client.getsockname(), "the member sees the client itself")
            connection.settimeout(10)
            client.settimeout(10)
            kept.append((client, connection))
    expect(min(got.values()) >= 4 and sum(got.values()) == 24, f"both have their share: {got}")
    local = w.two.connect("d", vip, 80, 3)
    expect(local and servers["e"].accept(), "a member is led to the other one, on its own switch")
    # Whichever switch dies, nothing depends on one of them for longer than that.
    w.one.kill_switch(signal.SIGKILL)
    w.one.start_switch()
    for client, connection in kept:
        client.sendall(b"ping")
        expect(connection.recv(4) == b"ping", "a connection outlives the switch")
    for client, connection in kept:
        client.close()
        connection.close()
    for server in servers.values():
        server.close()
    for side in sides:
        del side.state["balancers"]
        side.apply()


def test_takeover(w):
    """Of a public load balancer: its switch dies, another one takes its address, and connections go on."""
    vip, sides, fabric = "203.0.113.20", (w.one, w.two), f"{w.one.prefix}-fabric"
    w.one.namespace("world")
    join(fabric, "world", f"{w.one.prefix}-world", "eth0", "02:00:00:00:09:01")
    w.one.address("world", "203.0.113.1/24")
    for number, side in enumerate(sides):
        mac = f"02:00:5e:00:00:0{number}"
        join(fabric, f"out{number}", f"{side.prefix}-switch", "out", mac)
        side.state["outside"] = {"interface": "out", "mac": mac, "prefix": "203.0.113.0/24", "gateway": "203.0.113.1"}
    balancer = {"uid": "lb", "name": "lb", "mac": mac_of("l"), "network": "n", "standard": True, "addresses": [vip],
                "rules": [{"name": "web", "address": vip, "protocol": "tcp", "port": 80, "member_port": 8080,
                           "members": [{"ip": GUESTS[name][2], "healthy": True} for name in ("d", "e")]}]}
    front = {"vtep": VTEPS["one"], "mac": mac_of("l"), "standard": True}
    w.two.state["nics"] = [nic | {"front": front} for nic in w.two.state["nics"]]
    w.one.state["balancers"] = [balancer]
    for side in sides:
        side.apply()
    servers = {name: w.two.listen(name, GUESTS[name][2], 8080) for name in ("d", "e")}
    kept = []

    def connect():
        client = w.one.connect("world", vip, 80, 5)
        expect(client, "its address answers")
        for server in servers.values():
            server.settimeout(0.3)
            try:
                kept.append((client, server.accept()[0]))
            except TimeoutError:
                continue
        client.settimeout(10)
        kept[-1][1].settimeout(10)

    for _ in range(8):
        connect()
    w.one.kill_switch(signal.SIGKILL)
    for nic in w.two.state["nics"]:
        del nic["front"]
    w.two.state["balancers"] = [balancer]
    w.two.apply()
    for number, (client, server) in enumerate(kept):
        ends = (client, server) if number % 2 else (server, client)
        ends[0].sendall(b"there")
        expect(ends[1].recv(5) == b"there", "a connection goes on, whichever end speaks first")
        ends[1].sendall(b"back")
        expect(ends[0].recv(4) == b"back", "both ways")
    # The old switch comes back with what it knew, and nobody to tell it more.
    w.one.start_switch()
    for _ in range(4):
        connect()
    expect(not w.two.control.call("balancer.list")[0]["yielded"], "it takes nothing back")
    for ends in kept:
        for end in ends:
            end.close()
    for server in servers.values():
        server.close()
    for side in sides:
        side.state.pop("balancers", None)
        side.state["outside"] = None
        side.apply()
    w.allow_all()


TESTS = [
    ("guests of two switches reach each other", test_ping),
    ("bytes cross whole, and connections find the path's MTU", test_bulk),
    ("the kernel's vxlan device is a peer like any other", test_kernel),
    ("an address that is the kernel's stays the host's, too", test_host),
    ("TCP crosses from and to large frames", test_large),
    ("fragments of inner packets cross, to a switch and to the kernel", test_kernel_fragments),
    ("packets that are too large for the tunnel and may be fragmented are", test_fragmented),
    ("the receiver's switch asks the receiver's group", test_policy),
    ("an independent reader finds the outer headers right", test_outer),
    ("what must not come by the tunnel is refused, each with its reason", test_refused),
    ("a route of a subnet leads nowhere", test_route),
    ("flows and traces say where packets go", test_flows),
    ("a network may have 100,000 mappings", test_many_mappings),
    ("connections through the tunnel outlive a killed switch", test_killed),
    ("an internal load balancer leads from each switch to members on another", test_balancer),
    ("a public load balancer takes its connections to another switch", test_takeover),
]


def main():
    return run_tests(lambda: World(PROGRAM), TESTS)


if __name__ == "__main__":
    sys.exit(main())
