"""One list of stateful rules, and its renderings: security rules of the switch's state, OpenFlow, traffic.

The list is made from a seed. A rule allows or denies a protocol from a prefix around one of the sender's
addresses to a range of the receiver's ports; one in five denies, and cuts the upper half of the ports out of the
rule that follows it, so that a switch which forgets it lets packets through. First match decides; what matches
no rule is denied; replies pass by their connection. Prefix lengths and port ranges are mixed as in lists that
people write: hosts and /24 most often, single ports half of the time.

Traffic is what each rule lets pass, beside what must be stopped: by a deny, by no rule, or by the wrong protocol.
"""
import ipaddress
import random

SOURCES = 64  # addresses of the sender; as many as a NIC can have
DESTINATIONS = 64  # addresses of the receiver: see TRAFFIC_DESTINATION in traffic.h
FIRST_DESTINATION = ipaddress.ip_address("10.255.0.16")
SUBNET = "10.0.0.0/8"
GATEWAY = "10.255.255.254"
PREFIX_LENGTHS = (32, 32, 28, 24, 24, 24, 24, 22, 20, 16)
PORTS_FROM, PORTS_TO = 1024, 65024
SECURITY_RULES_MAX = 3000  # priorities of one group end at 4096; longer lists have several prefixes a rule
PREFIXES_OF_LONG = 4


def sources():
    """The sender's addresses: no two in one /16."""
    rnd = random.Random(1)
    return [ipaddress.ip_address((10 << 24) + (i + 1 << 16) + rnd.randrange(256, 65280)) for i in range(SOURCES)]


def destinations():
    return [FIRST_DESTINATION + i for i in range(DESTINATIONS)]


class Rule:
    def __init__(self, allow, protocol, prefixes, first, last):
        self.allow, self.protocol, self.prefixes, self.first, self.last = allow, protocol, prefixes, first, last


class RuleSet:
    """`count` prefixes in rules, most specific decisions first."""

    def __init__(self, count, seed=7):
        self.count = count
        self.rules = []
        self.traffic = []  # "pass|stop protocol address first last"
        width = 1 if count <= SECURITY_RULES_MAX else PREFIXES_OF_LONG
        self.total = count // width
        rnd = random.Random(seed)
        addresses = sources()
        slots = (self.total * 4 // 5 + 1) * width // SOURCES + 1
        slot_ports = min(4096, (PORTS_TO - PORTS_FROM) // slots)
        n = 0
        while len(self.rules) < self.total:
            chosen = [addresses[(n * width + i) % SOURCES] for i in range(width)]
            base = PORTS_FROM + n * width // SOURCES * slot_ports
            self._add(rnd, chosen, base, slot_ports, n % 4 == 3 and len(self.rules) + 2 <= self.total)
            n += 1

    def _add(self, rnd, chosen, base, slot_ports, with_deny):
        length = rnd.choice(PREFIX_LENGTHS)
        prefixes = [ipaddress.ip_network((address, length), strict=False) for address in chosen]
        protocol = "tcp" if rnd.random() < .33 else "udp"
        other = "udp" if protocol == "tcp" else "tcp"
        kind = rnd.random()
        ports = 1 if kind < .5 else rnd.randrange(2, 17) if kind < .85 else rnd.randrange(17, slot_ports // 2)
        if with_deny:
            ports = max(ports, 2)
        first, last = base, base + ports - 1
        passed = last
        if with_deny:
            passed = first + ports // 2 - 1
            self.rules.append(Rule(False, protocol, prefixes, passed + 1, last))
        self.rules.append(Rule(True, protocol, prefixes, first, last))
        for address in chosen:
            self.traffic.append(f"pass {protocol} {address} {first} {passed}")
            self.traffic.append(f"stop {other} {address} {first} {last}")
            self.traffic.append(f"stop {protocol} {address} {last + 1} {base + slot_ports - 1}")
            if with_deny:
                self.traffic.append(f"stop {protocol} {address} {passed + 1} {last}")

    def security_rules(self):
        """Rules of one group in the switch's state, inbound; the last stops what the defaults would let in."""
        rows = [(rule.allow, rule.protocol, [str(p) for p in rule.prefixes], [[rule.first, rule.last]])
                for rule in self.rules]
        result = []
        for i, (allow, protocol, prefixes, ports) in enumerate(rows):
            result.append(_security_rule(f"r{i}", 100 + i, allow, protocol, prefixes, ports))
        result.append(_security_rule("rest", 4096, False, "any", [], []))
        return result

    def openflow(self, table, accept):
        """Lines of ovs-ofctl: ranges become masks, as OpenFlow has no other way."""
        lines = [f"table={table},priority=0,actions=drop"]
        for i, rule in enumerate(self.rules):
            actions = accept if rule.allow else "drop"
            for prefix in rule.prefixes:
                for value, mask in port_masks(rule.first, rule.last):
                    lines.append(f"table={table},priority={65000 - i},{rule.protocol},nw_src={prefix},"
                                 f"tp_dst={value:#x}/{mask:#x},actions={actions}")
        return lines


def _security_rule(name, priority, allow, protocol, prefixes, ports):
    return {
        "name": name, "direction": "inbound", "priority": priority, "protocol": protocol,
        "action": "allow" if allow else "deny",
        "source": {"any": not prefixes, "tags": [], "prefixes": prefixes, "ports": []},
        "destination": {"any": True, "tags": [], "prefixes": [], "ports": ports},
    }


def port_masks(first, last):
    """The fewest (value, mask) pairs that cover a range of ports."""
    pairs = []
    while first <= last:
        size = first & -first or 65536
        while size > last - first + 1:
            size //= 2
        pairs.append((first, 0x10000 - size))
        first += size
    return pairs
