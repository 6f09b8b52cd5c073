#!/usr/bin/python3
"""The kernel's own IPv6 with the switch as its router, its neighbours and its DHCPv6 server.

    ipv6_test.py SLUICE-SWITCH          as root; prints TAP. TESTS=WORDS chooses by name

    a fd00:0:0:1::a, by DHCPv6     b fd00:0:0:1::b     (one subnet)
    c fd00:0:0:2::c, MTU 1400      (another)
    d fd00:0:0:1::d and 192.168.1.13, by DHCP of both     e fd00:0:0:1::e and 192.168.1.14     (the first)

Guests are namespaces that are told nothing: routers, on-link prefixes and MTUs are what the kernel learns.
"""
import os
import re
import shutil
import socket
import sys
import time

from lab import GATEWAY_MAC, Lab, Tap, expect, mac_of, run, run_tests, wait_for

GATEWAY = "fe80::1034:56ff:fe78:9abc"
IP_OF = {"a": "fd00:0:0:1::a", "b": "fd00:0:0:1::b", "c": "fd00:0:0:2::c", "d": "fd00:0:0:1::d", "e": "fd00:0:0:1::e"}
IP4_OF = {"d": "192.168.1.13", "e": "192.168.1.14"}
SUBNET_OF = {"a": "s1", "b": "s1", "c": "s2", "d": "s1", "e": "s1"}
MTU_OF = {"a": 1500, "b": 1500, "c": 1400, "d": 1500, "e": 1500}
ASKS = ("a", "d")  # for their addresses
DNS = "2620:fe::fe"


def subnet(number):
    return {"uid": f"s{number}", "prefix": f"192.168.{number}.0/24", "gateway": f"192.168.{number}.1",
            "prefix6": f"fd00:0:0:{number}::/64", "gateway6": f"fd00:0:0:{number}::1", "dns": ["9.9.9.9", DNS]}


STATE = {
    "generation": 1,
    "groups": [{"uid": "g", "name": "g", "revalidate": True, "rules": []}],
    "networks": [{"uid": "n", "vni": 4096, "prefixes": ["192.168.0.0/16", "fd00::/48"],
                  "subnets": [subnet(1), subnet(2)]}],
    "nics": [{"uid": name, "name": name, "mac": mac_of(name), "network": "n", "subnet": SUBNET_OF[name], "group": "g",
              "mtu": MTU_OF[name], "addresses": [{"ip": each} for each in (IP4_OF.get(name), ip) if each], "active": "function",
              "attachments": [{"kind": "function", "interface": "sw-" + name}]} for name, ip in IP_OF.items()],
}


class World(Lab):
    def build(self):
        for name in IP_OF:
            self.namespace(name)
            for which in ("all", "default"):
                self.command(name, "sysctl", "-qw", f"net.ipv6.conf.{which}.disable_ipv6=0")
            self.wire("sw-" + name, name, mac_of(name))
        self.start_switch()
        self.apply()
        for name in IP_OF:
            self.restart(name)
            if name not in ASKS:
                self.ip(name, "-6", "addr", "add", IP_OF[name] + "/128", "dev", "eth0")
        self.address("e", IP4_OF["e"] + "/24")
        for name in IP_OF:
            expect(wait_for(lambda: self.settled(name), 8), f"{name} has its addresses: {self.addresses(name)}")

    def apply(self):
        STATE["generation"] += 1
        self.control.call("apply", STATE)

    def command(self, name, *words, check=True):
        return run("ip", "netns", "exec", f"{self.prefix}-{name}", *words, check=check)

    def restart(self, name):
        """The guest's link goes and comes, so that its kernel asks anew."""
        self.ip(name, "link", "set", "eth0", "down")
        self.ip(name, "link", "set", "eth0", "up")

    def show(self, name, *what):
        return self.ip(name, "-6", *what).stdout

    def addresses(self, name):
        return self.show(name, "addr", "show", "dev", "eth0")

    def settled(self, name):
        return "fe80::" in self.addresses(name) and "tentative" not in self.addresses(name)

    def sees(self, name, to, *extra, size=56, count=1):
        return self.ping(name, to, count, size, ("-6", *extra))


def test_router(w):
    for name, mtu in MTU_OF.items():
        routes = lambda: w.show(name, "route", "show")
        expect(wait_for(lambda: f"default via {GATEWAY} dev eth0 proto ra" in routes(), 10), f"{name}'s router: {routes()}")
        prefix = f"fd00:0:0:{SUBNET_OF[name][1]}::/64"
        expect(re.search(rf"^{prefix} dev eth0 proto kernel", routes(), re.M), f"{name}'s prefix is on the link: {routes()}")
        learnt = w.command(name, "sysctl", "-n", "net.ipv6.conf.eth0.mtu").stdout.strip()
        expect(learnt == str(mtu), f"{name} learns an MTU of {learnt}")
    expect("scope global" not in w.addresses("a"), "a makes no address for itself: " + w.addresses("a"))


def client_of(w, name, version, event):
    """The command of a guest's DHCP client, which runs `event` when it is told something."""
    if not shutil.which("dhclient"):
        raise Tap.Skip("dhclient is not installed (dist/setup.sh test)")
    files = f"{w.folder}/{name}{version}"
    with open(files + "-script", "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\n" + event)
    os.chmod(files + "-script", 0o755)
    return ("dhclient", f"-{version}", "-v", "-lf", files + "-leases", "-pf", files + "-pid", "-sf", files + "-script")


def test_dhcp(w):
    seen = w.folder + "/seen"
    client = client_of(w, "a", 6, f"""[ "$reason" = BOUND6 ] || exit 0
ip -6 addr add "$new_ip6_address/128" dev "$interface" valid_lft "$new_max_life" preferred_lft "$new_preferred_life" &&
	echo "$new_ip6_address $new_preferred_life $new_dhcp6_name_servers" >"{seen}"
""")
    try:
        done = w.command("a", *client, "-1", "eth0", check=False)
        expect(done.returncode == 0 and os.path.exists(seen), done.stdout + done.stderr)
        with open(seen, encoding="ascii") as f:
            got = f.read().split()
        expect(got == [IP_OF["a"], str(0xffffffff), DNS], f"{got}")
    finally:
        done = w.command("a", *client, "-r", "eth0", check=False)  # lets the address go, and ends
    expect(done.returncode == 0, done.stderr)


def test_dual(w):
    """One guest, both families: what its clients ask for is all that it has."""
    clients = (client_of(w, "d", 4, """[ "$reason" = BOUND ] || exit 0
ip -4 addr add "$new_ip_address/24" dev "$interface" && ip -4 route add default via "$new_routers"
"""), client_of(w, "d", 6, """[ "$reason" = BOUND6 ] || exit 0
ip -6 addr add "$new_ip6_address/128" dev "$interface"
"""))
    try:
        for client in clients:
            done = w.command("d", *client, "-1", "eth0", check=False)
            expect(done.returncode == 0, done.stdout + done.stderr)
        shown = w.ip("d", "addr", "show", "dev", "eth0").stdout
        expect(f"inet {IP4_OF['d']}/24" in shown and f"inet6 {IP_OF['d']}/128" in shown, f"d has both addresses: {shown}")
        expect(wait_for(lambda: w.settled("d"), 5), w.addresses("d"))
        for to in ("192.168.1.1", IP4_OF["e"]):
            expect(w.ping("d", to), f"d reaches {to}")
        for to in ("fd00:0:0:1::1", GATEWAY + "%eth0", IP_OF["e"], IP_OF["c"]):
            expect(w.sees("d", to), f"d reaches {to}")
        for address in (IP4_OF["e"], IP_OF["e"]):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with w.inside("e"):
                listener = socket.create_server((address, 8080), family=family)
            with w.inside("d"):
                s = socket.socket(family)
            with listener, s:
                s.settimeout(5)
                s.connect((address, 8080))
                peer, who = listener.accept()
                expect(who[0] in (IP4_OF["d"], IP_OF["d"]), f"e sees {who[0]}")
                peer.close()
    finally:
        for client in clients:
            w.command("d", *client, "-r", "eth0", check=False)


def settle(w):
    """a has its address, whether or not there was a client to ask for it."""
    if IP_OF["a"] not in w.addresses("a"):
        w.ip("a", "-6", "addr", "add", IP_OF["a"] + "/128", "dev", "eth0")
    expect(wait_for(lambda: w.settled("a"), 5), w.addresses("a"))


def test_neighbours(w):
    settle(w)
    for to in ("fd00:0:0:1::1", "fd00:0:0:2::1", GATEWAY + "%eth0", IP_OF["b"], IP_OF["c"]):
        expect(w.sees("a", to), f"a reaches {to}")
    expect(w.sees("c", IP_OF["a"]) and w.sees("b", IP_OF["c"]), "and others do")
    known = w.show("a", "neigh", "show")
    expect(f"{IP_OF['b']} dev eth0 lladdr {mac_of('b')}" in known, f"b is itself: {known}")
    expect(f"{GATEWAY} dev eth0 lladdr {GATEWAY_MAC} router" in known, f"and the router is one: {known}")
    expect(IP_OF["c"] not in known, f"c is behind it: {known}")
    # What was known becomes stale and is asked for again, to one.
    w.ip("a", "-6", "neigh", "change", IP_OF["b"], "lladdr", mac_of("b"), "nud", "probe", "dev", "eth0")
    known = lambda: w.show("a", "neigh", "show", IP_OF["b"])
    expect(wait_for(lambda: "REACHABLE" in known(), 5), f"b is still there: {known()}")


def test_duplicate(w):
    w.ip("b", "-6", "addr", "add", IP_OF["a"] + "/128", "dev", "eth0")
    try:
        expect(wait_for(lambda: "dadfailed" in w.addresses("b"), 5), f"b may not take a's: {w.addresses('b')}")
    finally:
        w.ip("b", "-6", "addr", "del", IP_OF["a"] + "/128", "dev", "eth0")
    expect(w.sees("a", "fd00:0:0:1::1"), "and a keeps it")


def test_errors(w):
    settle(w)
    done = w.command("a", "ping", "-6", "-n", "-c", "1", "-W", "2", "-t", "1", IP_OF["c"], check=False)
    expect("From fd00:0:0:1::1 icmp_seq=1 Time exceeded" in done.stdout, done.stdout)
    for to, error in (("fd00:0:0:2::99", "Address unreachable"), ("2001:db8::1", "No route")):
        done = w.command("a", "ping", "-6", "-n", "-c", "1", "-W", "2", to, check=False)
        expect(f"From fd00:0:0:1::1 icmp_seq=1 Destination unreachable: {error}" in done.stdout, done.stdout)
    with w.inside("a"):
        s = socket.socket(socket.AF_INET6)
    began = time.monotonic()
    s.settimeout(5)
    try:
        s.connect(("fd00:0:0:2::99", 22))
        expect(False, "nobody is there")
    except OSError as why:
        expect("No route to host" in str(why) and time.monotonic() - began < 2, f"{why}")
    with s:
        pass


def test_path_mtu(w):
    settle(w)
    path = lambda: w.show("a", "route", "get", IP_OF["c"])
    w.sees("a", IP_OF["c"], size=1452)  # too big for c's link, which a cannot know
    expect(wait_for(lambda: "mtu 1400" in path(), 2), f"a learns what the way carries: {path()}")
    expect(w.sees("a", IP_OF["c"], size=1452), "and sends fragments, which pass")
    expect(w.sees("a", IP_OF["c"], "-M", "do", size=1352), "what fits, passes whole")


def test_refused_port(w):
    """c's kernel says that nobody listens; a's hears it at once."""
    settle(w)
    with w.inside("a"):
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with s:
        s.settimeout(2)
        s.connect((IP_OF["c"], 9))
        s.send(b"anybody?")
        try:
            s.recv(10)
            expect(False, "nobody answers")
        except ConnectionRefusedError:
            pass


def test_tcp(w):
    settle(w)
    data = os.urandom(300_000)
    for server, client in (("c", "a"), ("a", "c"), ("b", "a")):
        with w.inside(server):
            listener = socket.create_server((IP_OF[server], 8080), family=socket.AF_INET6)
        with w.inside(client):
            s = socket.socket(socket.AF_INET6)
        with listener, s:
            s.settimeout(5)
            s.connect((IP_OF[server], 8080))
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(5)
                got = b""
                for at in range(0, len(data), 30_000):
                    s.sendall(data[at:at + 30_000])
                    while len(got) < at + 30_000:
                        got += peer.recv(65536)
        expect(got == data, f"{client} to {server}")


def test_change(w):
    """A running guest is told of a smaller link before it would ask."""
    nic = next(n for n in STATE["nics"] if n["uid"] == "b")
    nic["mtu"] = 1300
    w.apply()
    learnt = lambda: w.command("b", "sysctl", "-n", "net.ipv6.conf.eth0.mtu").stdout.strip()
    expect(wait_for(lambda: learnt() == "1300", 3), f"b learns {learnt()}")


TESTS = [
    ("the kernel finds its router, its prefix and its MTU, and makes no address", test_router),
    ("a DHCPv6 client is told its address and name server, for ever", test_dhcp),
    ("a guest has addresses of both families, and reaches others by both", test_dual),
    ("the kernel finds gateways and neighbours, and again when it asks", test_neighbours),
    ("an address that another has is not taken", test_duplicate),
    ("the kernel is told why it cannot reach what it cannot", test_errors),
    ("the kernel learns what the way carries", test_path_mtu),
    ("a kernel's refusal reaches the other", test_refused_port),
    ("TCP carries data between subnets and within one", test_tcp),
    ("a change of the link reaches a running guest", test_change),
]


def main():
    return run_tests(lambda: World(sys.argv[1:], "ipv6"), TESTS)


if __name__ == "__main__":
    sys.exit(main())
