#!/usr/bin/python3
"""The reference evaluator of policy against the kernel's own: nftables.

    nft_oracle_test.py POLICY-CASES        as root; prints TAP. SEED=N starts elsewhere, CASES=N is how many

POLICY-CASES (src/policy/policy_cases.c) prints random worlds as the switch's state, and packets with the verdicts of
policy_check(). Here the state is written as nftables rules, by nothing but docs/API.md and docs/OPERATIONS.md: tags as sets of
prefixes, Internet as a negated one, either family's rules apart. The packets go over a veth pair into an ingress hook
with these rules; what they accept is forwarded to a second pair, and seen there. Each packet carries its number.

    [send0 ~~ in0: nft] → [out0 ~~ seen0]      one namespace
"""
import ctypes
import ipaddress
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from lab import CLONE_NEWNET, Tap, run

NAMESPACE = "policy-oracle"
SEEDS_PER_SIZE = ((12, 60), (100, 24), (1000, 4))  # rules in a group at most, worlds
PACKETS = 250  # in each state of a world
PLATFORM = ("169.254.169.254", "168.63.129.16")
PROTOCOLS = {"tcp": 6, "udp": 17, "esp": 50, "ah": 51}
FAMILY = {4: "ip", 6: "ip6"}
SOURCE_MAC = bytes.fromhex("02000000aaaa")
END_MAC = bytes.fromhex("020000000fff")
BATCH = 100

libc = ctypes.CDLL(None, use_errno=True)

# ---- the state as nftables rules ----

DEFAULTS = {
    "inbound": [("VirtualNetwork", "VirtualNetwork", "allow"), ("AzureLoadBalancer", None, "allow"),
                (None, None, "deny")],
    "outbound": [("VirtualNetwork", "VirtualNetwork", "allow"), (None, "Internet", "allow"), (None, None, "deny")],
}


def side_of_tag(tag):
    return {"any": tag is None, "tags": [tag] if tag else [], "prefixes": [], "ports": []}


def rules_of(group, direction):
    """The group's rules of a direction in their order, defaults last."""
    own = sorted((r for r in group["rules"] if r["direction"] == direction), key=lambda r: r["priority"])
    defaults = [{"protocol": "any", "action": action, "source": side_of_tag(source),
                 "destination": side_of_tag(destination)} for source, destination, action in DEFAULTS[direction]]
    return own + defaults


def as_set(prefixes):
    return "{ " + ", ".join(str(p) for p in prefixes) + " }"


class Network:
    """What names stand for in one network."""

    def __init__(self, json_network):
        self.prefixes = json_network["prefixes"]
        self.members = {g["number"]: g["members"] for g in json_network.get("application_groups", [])}

    def space(self, version):
        texts = self.prefixes + (["168.63.129.16/32"] if version == 4 else [])
        return collapse(texts, version)

    def matches(self, side, version, word):
        """Ways in which `word` ("ip saddr") can match the side: expressions, of which one must hold. "" always does."""
        if side.get("any"):
            return [""]
        texts = list(side.get("prefixes", []))
        for number in side.get("groups", []):
            texts += self.members.get(number, [])
        tags = side.get("tags", [])
        if "VirtualNetwork" in tags:
            texts += [str(p) for p in self.space(version)]
        if "AzureLoadBalancer" in tags:
            texts.append("168.63.129.16/32")
        listed, ways = collapse(texts, version), []
        if any(p.prefixlen == 0 for p in listed):
            return [""]
        if listed:
            ways.append(f"{word} {as_set(listed)}")
        if "Internet" in tags:
            space = self.space(version)
            ways.append(f"{word} != {as_set(space)}" if space else "")
        return ways


def collapse(texts, version):
    networks = [n for n in (ipaddress.ip_network(t) for t in texts) if n.version == version]
    return list(ipaddress.collapse_addresses(networks))


def ports_match(side, word):
    """None: never."""
    ranges = sorted(side.get("ports", []))
    if not ranges:
        return ""
    merged = [list(ranges[0])]
    for first, last in ranges[1:]:
        if first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    if merged == [[0, 65535]]:
        return ""
    return f"th {word} " + as_set(f"{a}-{b}" if a < b else a for a, b in merged)


def protocol_match(rule, version):
    """None: never. A rule that lists ports is for protocols that have them."""
    protocol = rule["protocol"]
    has_ports = bool(rule["source"].get("ports") or rule["destination"].get("ports"))
    if protocol == "any":
        return "meta l4proto { 6, 17 }" if has_ports else ""
    if protocol == "icmp":
        number = 1 if version == 4 else 58
    else:
        number = PROTOCOLS.get(protocol, protocol)
    if has_ports and number not in (6, 17):
        return None
    return f"meta l4proto {number}"


def translate(rule, network):
    """Lines of nft for one rule: one for each family and way of its sides."""
    verdict = "return" if rule["action"] == "allow" else "drop"
    for version, word in FAMILY.items():
        protocol = protocol_match(rule, version)
        if protocol is None:
            continue
        for source in network.matches(rule["source"], version, f"{word} saddr"):
            for destination in network.matches(rule["destination"], version, f"{word} daddr"):
                yield " ".join(part for part in (
                    f"meta protocol {word}", protocol, source, destination, ports_match(rule["source"], "sport"),
                    ports_match(rule["destination"], "dport"), verdict) if part)


def mac_of(number, direction):
    return "02:00:00:00:%02x:%02x" % (number, direction == "inbound")


class Ruleset:
    """A table: per NIC and direction one chain, which asks the groups' chains in their order."""

    def __init__(self, state):
        self.groups = {g["uid"]: g for g in state["groups"]}
        self.networks = {n["uid"]: Network(n) for n in state["networks"]}
        self.subnets = {(n["uid"], s["uid"]): s for n in state["networks"] for s in n["subnets"]}
        self.chains, self.dispatch = {}, []
        for number, nic in enumerate(state["nics"]):
            for direction in ("inbound", "outbound"):
                self.add_nic(number, nic, direction)

    def group_chain(self, uid, network, direction):
        name = f"{direction}-{uid}-{network}".replace("-", "_")
        if name not in self.chains:
            self.chains[name] = [line for rule in rules_of(self.groups[uid], direction)
                                 for line in translate(rule, self.networks[network])]
        return name

    def add_nic(self, number, nic, direction):
        inbound = direction == "inbound"
        own, subnet = nic["group"], self.subnets[nic["network"], nic["subnet"]]["group"]
        asked = [g for g in ((subnet, own) if inbound else (own, subnet)) if g]
        lines = [f"ip {'saddr' if inbound else 'daddr'} {as_set(PLATFORM)} goto pass"]
        lines += [f"jump {self.group_chain(g, nic['network'], direction)}" for g in asked]
        if inbound and not asked:
            space = as_set(self.networks[nic["network"]].space(4))
            lines += [f"ip daddr {a['ip']} ip saddr != {space} drop" for a in nic["addresses"] if a["standard"]]
        name = f"nic_{number}_{direction}"
        self.chains[name] = lines + ["goto pass"]
        self.dispatch.append(f"{mac_of(number, direction)} : goto {name}")

    def text(self):
        end = ":".join("%02x" % b for b in END_MAC)
        chains = {"pass": ['fwd to "out0"']}
        chains.update(self.chains)
        chains["start"] = ['type filter hook ingress device "in0" priority 0; policy drop;',
                           "ether daddr vmap { " + ", ".join(self.dispatch + [f"{end} : goto pass"]) + " }"]
        body = "".join(f" chain {name} {{\n  " + "\n  ".join(lines) + "\n }\n" for name, lines in chains.items())
        return f"table netdev t\ndelete table netdev t\ntable netdev t {{\n{body}}}\n"


# ---- packets ----


def transport(protocol, packet, version):
    """The header after IP's; its number on the wire."""
    if protocol == 6:
        return 6, struct.pack("!HHIIBBHHH", packet["sport"], packet["dport"], 1, 0, 0x50, 2, 8192, 0, 0)
    if protocol == 17:
        return 17, struct.pack("!HHHH", packet["sport"], packet["dport"], 12, 0)
    if protocol == 1:
        return (1, struct.pack("!BBHHH", 8, 0, 0, 1, 1)) if version == 4 else (58, struct.pack("!BBHHH", 128, 0, 0, 1, 1))
    if protocol == 51:  # AH with nothing after it
        return 51, struct.pack("!BBHII", 59, 1, 0, 1, 1)
    return protocol, bytes(12)


def frame_of(packet, number, nic):
    source, destination = (ipaddress.ip_address(packet[w]) for w in ("src", "dst"))
    protocol, payload = transport(packet["protocol"], packet, source.version)
    payload += struct.pack("!I", number)
    if source.version == 4:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number & 0xffff, 0, 64, protocol, 0,
                           source.packed, destination.packed)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    else:
        head = struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64, source.packed, destination.packed)
    mac = bytes.fromhex(mac_of(nic, packet["direction"]).replace(":", ""))
    return mac + SOURCE_MAC + (b"\x08\x00" if source.version == 4 else b"\x86\xdd") + head + payload


def checksum(head):
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Bench:
    """The namespace, its two pairs and the two sockets."""

    def __init__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        run("ip", "netns", "del", NAMESPACE, check=False)
        run("ip", "netns", "add", NAMESPACE)
        for a, b in (("send0", "in0"), ("out0", "seen0")):
            run("ip", "-n", NAMESPACE, "link", "add", a, "type", "veth", "peer", "name", b)
            for device in (a, b):
                run("ip", "netns", "exec", NAMESPACE, "sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")
                run("ip", "-n", NAMESPACE, "link", "set", device, "up")
        self.sender, self.receiver = self.open("send0", 0), self.open("seen0", 3)
        self.receiver.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
        self.receiver.settimeout(5)

    def open(self, device, protocol):
        fd = os.open(f"/run/netns/{NAMESPACE}", os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
            s.bind((device, protocol))
            return s
        finally:
            libc.setns(self.home, CLONE_NEWNET)
            os.close(fd)

    def load(self, text):
        done = subprocess.run(["ip", "netns", "exec", NAMESPACE, "nft", "-f", "-"], input=text, text=True,
                              capture_output=True)
        if done.returncode:
            raise RuntimeError("nft: " + done.stderr[:2000])

    def passed(self, frames):
        """Sends all; the numbers of those that came through. This process runs on one processor, so frames keep their
        order, and the one that closes a batch comes last."""
        seen = set()
        end = END_MAC + SOURCE_MAC + b"\x08\x00" + bytes(46)
        for start in range(0, len(frames), BATCH):
            for frame in frames[start:start + BATCH] + [end]:
                self.sender.send(frame)
            while True:
                frame = self.receiver.recv(2048)
                if frame[6:12] != SOURCE_MAC:
                    continue
                if frame[:6] == END_MAC:
                    break
                seen.add(struct.unpack("!I", frame[-4:])[0])
        return seen

    def close(self):
        run("ip", "netns", "del", NAMESPACE, check=False)


# ---- the test ----


class Oracle:
    def __init__(self, program):
        self.program, self.bench = program, Bench()
        self.seed = int(os.environ.get("SEED", "1"))
        self.cases = self.allowed = 0
        self.features = set()

    def compare(self, world):
        """The first mismatch of a world, as text; None when there is none."""
        numbers = {nic["uid"]: i for i, nic in enumerate(world["state"]["nics"])}
        frames = [frame_of(p, i, numbers[p["nic"]]) for i, p in enumerate(world["packets"])]
        self.bench.load(Ruleset(world["state"]).text())
        passed = self.bench.passed(frames)
        for i, packet in enumerate(world["packets"]):
            self.cases += 1
            self.allowed += packet["allow"]
            self.features.add((packet["protocol"], ":" in packet["src"], packet["direction"], packet["why"].split()[0]))
            if (i in passed) != packet["allow"]:
                return f"nft {'accepts' if i in passed else 'drops'} {packet}, nic {world['state']['nics'][numbers[packet['nic']]]}"
        return None

    def run(self, rules, worlds):
        start, before = time.monotonic(), self.cases
        for seed in range(self.seed, self.seed + worlds):
            done = subprocess.run([self.program, str(seed), str(rules), str(PACKETS)], capture_output=True, check=True)
            for number, line in enumerate(done.stdout.splitlines()):
                found = self.compare(json.loads(line))
                if found:
                    raise AssertionError(f"SEED={seed}, {rules} rules, {'after the change' if number else 'before'}: {found}")
        self.seed += worlds
        print(f"# {self.cases - before} packets in {time.monotonic() - start:.1f} s", flush=True)


def size_test(rules, worlds):
    return lambda oracle: oracle.run(rules, worlds)


def test_spread(oracle):
    """What was compared was not all of one kind."""
    print(f"# {oracle.cases} packets, {oracle.allowed} allowed", flush=True)
    assert oracle.cases / 4 < oracle.allowed < oracle.cases * 3 / 4, "one answer is rare"
    for protocol in (1, 6, 17, 47, 50, 51):
        for v6 in (False, True):
            for direction in ("inbound", "outbound"):
                assert any(f[:3] == (protocol, v6, direction) for f in oracle.features), (protocol, v6, direction)
    reasons = {f[3] for f in oracle.features}
    assert reasons >= {"rule", "platform", "no-group", "standard-address"}, reasons


TESTS = [(f"policy and nftables agree on groups of up to {rules} rules", size_test(rules, worlds))
         for rules, worlds in SEEDS_PER_SIZE] + [("packets of all kinds were compared", test_spread)]


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to make network namespaces")
        return 0
    if not shutil.which("nft"):
        print("1..0 # SKIP nft is not installed (dist/setup.sh test)")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        oracle = Oracle(sys.argv[1])
    except RuntimeError as why:
        print(f"1..0 # SKIP no namespace can be made: {why}")
        return 0
    try:
        return 0 if Tap(TESTS).run(oracle) else 1
    finally:
        oracle.bench.close()


if __name__ == "__main__":
    sys.exit(main())
