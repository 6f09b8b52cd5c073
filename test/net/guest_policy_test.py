#!/usr/bin/python3
"""What `sluice-guest enforce` does to packets, compared with the reference evaluator of policy.

    guest_policy_test.py POLICY-CASES SLUICE-GUEST     as root; prints TAP. SEED=N starts elsewhere, TESTS=TEXT selects

The real tool asks a metadata service for documents, makes nftables rules of them and reports; packets cross its NIC.
"""
import collections
import contextlib
import ipaddress
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

from guest_world import GUEST, GUEST6, HOST, HOST6, World, end, hash_of
from lab import GATEWAY_MAC, expect, run_tests, wait_for
from nft_oracle_test import PLATFORM, frame_of

# Rules in a group at most, worlds, first seed: among these are NICs without groups that have Standard addresses.
WORLDS = ((12, 4, 11), (100, 2, 1), (250, 1, 1))
PACKETS = 800  # in each state of a world, over 8 NICs
LAST = 0xffffffff  # number of the packet that ends a batch
MIN_CASES = 8000
BROADCAST = ipaddress.ip_network("255.255.255.255/32")
LINK_LOCAL = ipaddress.ip_network("fe80::/10")

EVERYBODY = {"prefixes": ["0.0.0.0/0", "::/0"], "ports": []}


def rule(action, protocol="any", source=(), port=None):
    """One from there (or anywhere) to that port (or all)."""
    return {"action": action, "protocol": protocol,
            "source": {"prefixes": list(source) or ["0.0.0.0/0", "::/0"], "ports": []},
            "destination": {"prefixes": ["0.0.0.0/0", "::/0"], "ports": [[port, port]] if port else []}}


def group(*rules, revalidate=True):
    """Denies what no rule allows."""
    return {"revalidate": revalidate, "rules": list(rules) + [rule("deny")]}


def policy(inbound=None, outbound=None):
    """None: no group, all passes."""
    return {"version": 1, "inbound": [inbound] if inbound else [], "outbound": [outbound] if outbound else []}


CLOSED = group()
OPEN = group(rule("allow"))

# ---- random rules and packets ----


def can_cross(packet):
    """Whether IP forwards such addresses at all."""
    ends = [ipaddress.ip_address(packet[w]) for w in ("src", "dst")]
    return not any(a.is_unspecified or a.is_loopback or a.is_multicast or a.packed[0] in (0, 127) and a.version == 4 or
                   a in BROADCAST or a in LINK_LOCAL for a in ends)


def answers(packet, other):
    """Whether connection tracking would take it for an answer, which the evaluator is not asked about."""
    return all(packet[a] == other[b] for a, b in (("protocol", "protocol"), ("src", "dst"), ("dst", "src"),
                                                  ("sport", "dport"), ("dport", "sport")))


class Crossing:
    """One direction of the guest's NIC: where frames go in and where they come out."""

    def __init__(self, world, direction):
        inbound = direction == "inbound"
        self.enter, self.leave = world.raw("host0" if inbound else "host1"), world.raw("host1" if inbound else "host0")
        self.mac = bytes.fromhex(world.mac("guest", "eth0" if inbound else "far0").replace(":", ""))
        platform = {"src": "168.63.129.16", "dst": "10.9.9.9"} if inbound else {"src": "10.9.9.9", "dst": "168.63.129.16"}
        self.end = {"protocol": 17, "sport": 1, "dport": 1, "direction": direction, **platform}

    def frame(self, packet, number):
        frame = bytearray(frame_of(packet, number & 0xffff, 0))
        frame[0:6] = self.mac
        if packet["src"] in PLATFORM:
            frame[6:12] = bytes.fromhex(GATEWAY_MAC.replace(":", ""))
        frame[-4:] = struct.pack("!I", number)
        return bytes(frame)

    def passed(self, packets):
        """The numbers of those that came through; a packet that always does comes last."""
        for number, packet in enumerate(packets):
            self.enter.send(self.frame(packet, number))
        self.enter.send(self.frame(self.end, LAST))
        seen = set()
        while True:
            frame, where = self.leave.recvfrom(2048)
            number = struct.unpack("!I", frame[-4:])[0]
            if where[2] == socket.PACKET_OUTGOING or not self.is_of(frame, packets, number):
                continue
            if number == LAST:
                return seen
            seen.add(number)

    def is_of(self, frame, packets, number):
        """The namespaces have something to say themselves."""
        if number != LAST and number >= len(packets):
            return False
        packet = self.end if number == LAST else packets[number]
        ends = b"".join(ipaddress.ip_address(packet[w]).packed for w in ("src", "dst"))
        at = 26 if len(ends) == 8 else 22
        return frame[at:at + len(ends)] == ends


class Comparison:
    def __init__(self, world, cases):
        self.world, self.cases = world, cases
        self.seen = collections.Counter()
        self.crossings = {d: Crossing(world, d) for d in ("inbound", "outbound")}

    def compare(self, case):
        by_nic = collections.defaultdict(list)
        for packet in filter(can_cross, case["packets"]):
            others = by_nic[packet["nic"], packet["direction"]]
            if not any(answers(packet, other) for other in others):
                others.append(packet)
        for nic, document in case["documents"].items():
            report = self.world.apply(document)
            expect(report == {"hash": hash_of(document), "applied": True}, f"report {report} of {hash_of(document)}")
            for direction, crossing in self.crossings.items():
                self.world.forget_connections()
                packets = by_nic[nic, direction]
                passed = crossing.passed(packets)
                for number, packet in enumerate(packets):
                    self.seen[packet["protocol"], ":" in packet["src"], direction, packet["allow"]] += 1
                    self.seen[packet["why"].split()[0]] += 1
                    expect((number in passed) == packet["allow"],
                           f"the guest {'accepts' if number in passed else 'drops'} {packet}")

    def run(self, rules, worlds, first):
        start, first = time.monotonic(), int(os.environ.get("SEED", first))
        for seed in range(first, first + worlds):
            done = subprocess.run([self.cases, str(seed), str(rules), str(PACKETS)], capture_output=True, check=True)
            for number, line in enumerate(done.stdout.splitlines()):
                try:
                    self.compare(json.loads(line))
                except AssertionError as why:
                    raise AssertionError(f"SEED={seed}, {rules} rules, state {number}: {why}") from why
        print(f"# groups of up to {rules} rules: {worlds} worlds in {time.monotonic() - start:.1f} s", flush=True)


def test_random(world):
    comparison = Comparison(world, sys.argv[1])
    for rules, worlds, first in WORLDS:
        comparison.run(rules, worlds, first)
    seen = comparison.seen
    total = sum(n for key, n in seen.items() if isinstance(key, tuple))
    print(f"# {total} packets, {sum(n for key, n in seen.items() if isinstance(key, tuple) and key[3])} allowed", flush=True)
    expect(total >= MIN_CASES, f"only {total} packets were compared")
    for v6 in (False, True):
        for direction in ("inbound", "outbound"):
            for protocol in (1, 6, 17, 47, 50, 51):
                expect(any(seen[protocol, v6, direction, allow] for allow in (False, True)), (protocol, v6, direction))
            for protocol in (1, 6, 17):
                expect(all(seen[protocol, v6, direction, allow] for allow in (False, True)), (protocol, v6, direction))
    expect(all(seen[why] for why in ("rule", "platform", "no-group", "standard-address")), seen)


# ---- connections ----


def talk(a, b):
    """Both ways, within a second."""
    try:
        for one, other in ((a, b), (b, a)):
            one.sendall(b"x")
            other.settimeout(1)
            if other.recv(10) != b"x":
                return False
    except OSError:
        return False
    return True


def connection(world, address=GUEST, port=22):
    """Both ends of one from the host to the guest."""
    listening = world.listen("guest", address, port)
    far = world.connect("host", address, port)
    expect(far, f"no connection to port {port}")
    near, _ = listening.accept()
    world.sockets.append(near)
    return far, near


def test_replies(world):
    world.apply(policy(group(rule("allow", 6, port=22), rule("allow", "icmp")), CLOSED))
    for address, host in ((GUEST, HOST), (GUEST6, HOST6)):
        expect(talk(*connection(world, address)), f"answers to {address} do not get out")
        expect(world.pings("host", address), "an answer to a ping does not get out")
        world.listen("host", host, 5001)
        expect(not world.connect("guest", host, 5001), "a connection of the guest's own gets out")
        expect(not world.pings("guest", host), "a ping of the guest's own gets out")
        world.listen("guest", address, 23)
        expect(not world.connect("host", address, 23), "a port that is not allowed is reached")


def test_outbound(world):
    world.apply(policy(CLOSED, group(rule("allow", 17), rule("allow", "icmp"))))
    server = world.listen("host", HOST, 5353, socket.SOCK_DGRAM)
    with world.inside("guest"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(1)
        client.sendto(b"q", (HOST, 5353))
        question, who = server.recvfrom(10)
        server.sendto(question + b"a", who)
        expect(client.recv(10) == b"qa", "the answer of a datagram does not come in")
    expect(world.pings("guest", HOST) and world.pings("guest", HOST6), "the answer to a ping does not come in")
    expect(not world.pings("host", GUEST), "a ping from outside comes in")


def test_errors(world):
    """A closed port's ICMP error comes in though nothing may begin from outside."""
    world.apply(policy(CLOSED, group(rule("allow", 17))))
    with world.inside("guest"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(1)
        client.connect((HOST, 9))
        client.send(b"x")
        try:
            client.recv(1)
            raised = None
        except OSError as why:
            raised = why
        expect(isinstance(raised, ConnectionRefusedError), f"instead of a refusal: {raised}")


def test_neighbours(world):
    world.apply(policy(CLOSED, group(rule("allow", "icmp"))))
    for name, device in (("guest", "eth0"), ("host", "host0")):
        world.at(name, "ip", "-6", "neigh", "flush", "dev", device)
    expect(world.pings("guest", HOST6), "the neighbour is not found")


def test_metadata(world):
    world.apply(policy(CLOSED, CLOSED))
    done = world.run_tool("--once")
    expect(done.returncode == 0, "rules that deny everything keep the guest from its host: " + done.stderr)


def hears(listening, sender, to):
    """Whether a datagram comes in."""
    listening.settimeout(0.5)
    sender.sendto(b"x", to)
    try:
        return listening.recv(10) == b"x"
    except OSError:
        return False


def link_local(world, name, device):
    """The device's IPv6 address, and the device's number."""
    link = json.loads(world.at(name, "ip", "-j", "-6", "addr", "show", "dev", device).stdout)[0]
    own = next(a["local"] for a in link["addr_info"] if a["scope"] == "link")
    return own, link["ifindex"]


@contextlib.contextmanager
def another_mac(world):
    """The host's, which its guest is not to go on with."""
    world.at("host", "ip", "link", "set", "host0", "address", "02:00:00:00:00:99")
    try:
        yield
    finally:
        world.at("host", "ip", "link", "set", "host0", "address", GATEWAY_MAC)
        for family in ("-4", "-6"):
            world.at("guest", "ip", family, "neigh", "flush", "dev", "eth0")


def test_forged(world):
    """On its VLAN others can send by the platform's addresses, and none by its MAC."""
    world.apply(policy(CLOSED, CLOSED))
    (near, host0), (far, eth0) = link_local(world, "host", "host0"), link_local(world, "guest", "eth0")
    datagrams = [(address, 5000, GUEST, GUEST, 5001) for address in PLATFORM]
    datagrams += [(HOST, 67, GUEST, GUEST, 68), (f"{near}%{host0}", 547, f"{far}%{eth0}", f"{far}%{host0}", 546)]
    for address in PLATFORM:
        world.at("host", "ip", "addr", "replace", address + "/32", "dev", "host0")
    for source, sport, destination, seen_from_host, dport in datagrams:
        sender = world.listen("host", source, sport, socket.SOCK_DGRAM)
        listening = world.listen("guest", destination, dport, socket.SOCK_DGRAM)
        to = end(seen_from_host, dport)
        expect(hears(listening, sender, to), f"{source}:{sport} of the platform does not come in")
        with another_mac(world):
            expect(not hears(listening, sender, to), f"what claims to be {source}:{sport} of the platform comes in")
        listening.close()


# ---- rules that change under connections ----


def test_revoked(world):
    ssh, web = rule("allow", 6, port=22), rule("allow", 6, port=80)
    world.start_service()
    world.follow(policy(group(ssh, web), OPEN))
    far, near = connection(world)
    other = connection(world, port=80)
    expect(talk(far, near) and talk(*other), "connections do not work before")
    report = world.follow(policy(group(web), OPEN))
    expect(report["applied"] is True, report)
    expect(talk(*other), "a connection that is still allowed is cut")
    near.sendall(b"answer")
    far.settimeout(1)
    try:
        got = far.recv(10)
    except OSError:
        got = None
    expect(got is None, "a revoked connection goes on answering")
    expect(not talk(far, near), "a revoked connection goes on")
    world.follow(policy(group(ssh, web), OPEN))
    far.settimeout(5)
    expect(wait_for(lambda: far.recv(1) == b"a", 5), "a connection that is allowed again does not go on")


def test_revoked_answers(world):
    """The answering side alone goes on sending: of datagrams, nothing else would stop it."""
    world.apply(policy(group(rule("allow", 17, port=7)), CLOSED))
    server = world.listen("guest", GUEST, 7, socket.SOCK_DGRAM)
    with world.inside("host"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(0.5)
        client.sendto(b"q", (GUEST, 7))
        _, who = server.recvfrom(10)
        server.sendto(b"1", who)
        expect(client.recv(10) == b"1", "no answer before")
        world.apply(policy(CLOSED, CLOSED))
        server.settimeout(0.5)
        try:
            server.sendto(b"2", who)
            client.recv(10)
            cut = False
        except OSError:
            cut = True
        expect(cut, "answers of a revoked connection go on")


def test_first_answer(world):
    """What the other side began, judged anew by the answer: who sent it counts by the rule's source."""
    for address, host in ((GUEST, HOST), (GUEST6, HOST6)):
        inbound = [rule("allow", 6, source=[host + ("/128" if ":" in host else "/32")], port=22)]
        world.apply(policy(group(*inbound), CLOSED))
        far, near = connection(world, address)
        world.apply(policy(group(*inbound, rule("allow", 6, port=80)), CLOSED))
        expect(talk(near, far), f"after a change, an answer to {host} does not get out")


def test_kept(world):
    world.start_service()
    world.follow(policy(group(rule("allow", 6, port=22), revalidate=False), OPEN))
    far, near = connection(world)
    world.follow(policy(group(rule("allow", 6, port=80), revalidate=False), OPEN))
    expect(talk(far, near), "a connection is cut by a group that does not revalidate")
    expect(not world.connect("host", GUEST, 22), "a new connection is let in by the rules of before")


def test_no_loss(world):
    """New rules are one transaction: no packet meets a table that is half there, or none."""
    world.start_service()
    world.follow(policy(CLOSED, group(rule("allow", "icmp"))))
    ping = world.at("host", "ping", "-n", "-q", "-c", "1", "-W", "1", GUEST, check=False)
    expect(ping.returncode != 0, "a ping comes in")
    probe = subprocess.Popen(["ip", "netns", "exec", "sgp-host", "ping", "-n", "-q", "-i", "0.002", "-w", "3", GUEST],
                             stdout=subprocess.PIPE, text=True)
    ports = 0
    while probe.poll() is None:
        ports += 1
        world.follow(policy(group(rule("allow", 6, port=ports)), group(rule("allow", "icmp"))))
    said = probe.stdout.read()
    expect(ports > 5, f"only {ports} changes")
    expect(" 0 received" in said, f"a change let pings through: {said}")


# ---- the service ----


def test_opt_out(world):
    world.start_service()
    world.follow(policy(CLOSED, OPEN))
    expect(world.table(), "there is no table")
    world.service.set(None)
    expect(wait_for(lambda: world.table() is None), "the table stays")
    expect(world.pings("host", GUEST), "rules hold without a table")
    expect(not world.service.reports, "it reports what nobody asked for")


def test_idle(world):
    """Where nothing is asked for, nothing is run: nft need not be there."""
    bare = dict(world.environment, PATH="/nowhere")
    tool = [shutil.which("ip"), "netns", "exec", "sgp-guest", world.tool, "enforce", "--once", "--interface", "eth0"]
    for known in (True, False):
        world.service.known = known
        done = subprocess.run(tool, env=bare, capture_output=True, text=True)
        expect(done.returncode == 0 and not done.stderr, done.stderr)
    expect(not os.listdir(world.folder), "files are left")


def test_identity(world):
    world.service.identities.clear()
    world.start_service()
    expect(wait_for(lambda: len(world.service.identities) >= 2), "it does not say what it is, or says it once")
    expect(world.service.identities[-1]["os"]["kernel"] == os.uname().release, world.service.identities)


def test_stranger(world):
    world.service.known = False
    world.service.identities.clear()
    done = world.run_tool("--once")
    expect(done.returncode == 0 and not world.service.identities, world.service.identities)


def test_no_nft(world):
    bare = dict(world.environment, PATH="/nowhere")
    world.service.set(policy(CLOSED, OPEN))
    tool = [shutil.which("ip"), "netns", "exec", "sgp-guest", world.tool, "enforce", "--once", "--interface", "eth0"]
    done = subprocess.run(tool, env=bare, capture_output=True, text=True)
    expect(done.returncode == 1 and "install the package nftables" in done.stderr, done.stderr)
    report = world.service.last_report()
    expect(report["applied"] is False and "install the package nftables" in report["error"], report)


def test_bad_document(world):
    world.start_service()
    world.follow(policy(CLOSED, OPEN))
    report = world.follow({"version": 2})
    expect(report["applied"] is False and "version" in report["error"], report)
    expect(not world.pings("host", GUEST), "the former rules do not hold any more")


def test_other_hash(world):
    world.service.honest = False
    world.service.set(policy(CLOSED, OPEN))
    done = world.run_tool("--once")
    expect(done.returncode == 1 and "hash" in done.stderr, done)
    expect(world.table() is None and not world.service.reports, "what is not whole is applied")


def test_past_the_rules(world):
    world.start_service()
    world.follow(policy(CLOSED, OPEN))
    world.at("guest", "ip", "link", "add", "link", "eth0", "name", "past0", "type", "macvlan")
    try:
        expect(wait_for(lambda: world.service.last_report()["applied"] is False), "it is not reported")
        expect("past0 carries packets of eth0" in world.service.last_report()["error"], world.service.last_report())
    finally:
        world.at("guest", "ip", "link", "del", "past0")
    expect(wait_for(lambda: world.service.last_report()["applied"] is True), "the end of it is not reported")


def test_tampering(world):
    world.start_service()
    world.follow(policy(CLOSED, OPEN))
    world.at("guest", "nft", "flush", "ruleset")
    expect(world.pings("host", GUEST), "rules hold without a table")
    expect(wait_for(lambda: world.table() is not None), "the table is not made again")
    expect(not world.pings("host", GUEST), "the table that was made again is none")


def test_renewal(world):
    world.start_service()
    world.follow(policy(CLOSED, OPEN))
    first = len(world.service.reports)
    expect(wait_for(lambda: len(world.service.reports) >= first + 2), "it does not report again")
    expect({r["hash"] for r in world.service.reports} == {hash_of(world.service.policy)}, world.service.reports)


def test_restart(world):
    world.start_service()
    world.follow(policy(CLOSED, OPEN))
    world.stop_service()
    expect(world.table() and not world.pings("host", GUEST), "the rules end with the program")
    world.service.set(None)
    world.start_service()
    expect(wait_for(lambda: world.table() is None), "the next one does not remove the table")


def test_show(world):
    world.service.set(policy(CLOSED, OPEN))
    done = world.run_tool("--show")
    expect(done.returncode == 0 and "chain n0_in_0" in done.stdout and hash_of(world.service.policy) in done.stdout, done)
    expect(world.table() is None and not world.service.reports, "it does more than show")


TESTS = [
    ("the guest's verdicts are the reference evaluator's", test_random),
    ("answers to what may come in get out, and nothing else", test_replies),
    ("answers to what may get out come in, and nothing else", test_outbound),
    ("ICMP errors about connections come in", test_errors),
    ("neighbours are found under rules that deny everything", test_neighbours),
    ("the host's services are reached under rules that deny everything", test_metadata),
    ("nobody else is taken for the platform", test_forged),
    ("a connection that rules no longer allow is cut both ways, and others are not", test_revoked),
    ("who only answers is cut too", test_revoked_answers),
    ("after a change an answer may come first", test_first_answer),
    ("a group that does not revalidate keeps connections and lets no new ones in", test_kept),
    ("no packet slips through while rules change", test_no_loss),
    ("without the wish of the host the table goes", test_opt_out),
    ("a guest that is asked for nothing runs nothing", test_idle),
    ("a guest tells its host what it is, again and again", test_identity),
    ("a service that does not know of rules is told nothing", test_stranger),
    ("a guest without nft says what to install, to the host too", test_no_nft),
    ("a document that is not understood is reported, the former rules hold", test_bad_document),
    ("rules that are not those of their hash are not applied", test_other_hash),
    ("what takes packets past the rules is reported", test_past_the_rules),
    ("rules that somebody removes are made again", test_tampering),
    ("what is in force is reported again and again", test_renewal),
    ("rules outlive the program, and the next one knows them", test_restart),
    ("what would be applied is shown", test_show),
]


def calmly(test):
    def begin(world):
        world.calm()
        test(world)
    return begin


def main():
    if os.geteuid() == 0 and not shutil.which("nft"):
        print("1..0 # SKIP nft is not installed (dist/setup.sh test)")
        return 0
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return run_tests(lambda: World(sys.argv[2]), TESTS, calmly)


if __name__ == "__main__":
    sys.exit(main())
