#!/usr/bin/python3
"""The benchmark's rules: their renderings mean the same. Prints TAP."""
import ipaddress
import pathlib
import re
import sys

import rules

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
from lab import Tap  # noqa: E402

COUNTS = (100, 1000, 10000)


def cases(rule_set):
    """(protocol, address, port, is it to pass?), from the ends of every line of traffic."""
    for line in rule_set.traffic:
        what, protocol, address, first, last = line.split()
        for port in {int(first), int(last)}:
            yield protocol, ipaddress.ip_address(address), port, what == "pass"


class Security:
    """A group's rules, the first that matches decides."""

    def __init__(self, listed):
        self.rows = [self.row(rule) for rule in sorted(listed, key=lambda rule: rule["priority"])]

    @staticmethod
    def row(rule):
        networks = [ipaddress.ip_network(prefix) for prefix in rule["source"]["prefixes"]]
        assert rule["source"]["any"] == (not networks)
        return (rule["protocol"], [(int(n.network_address), int(n.netmask)) for n in networks] or [(0, 0)],
                rule["destination"]["ports"] or [[0, 65535]], rule["action"] == "allow")

    def verdict(self, protocol, address, port):
        address = int(address)
        for row_protocol, prefixes, ports, allow in self.rows:
            if row_protocol in ("any", protocol) and any(first <= port <= last for first, last in ports) and \
                    any(address & mask == network for network, mask in prefixes):
                return allow
        raise AssertionError("no rule matches")


class OpenFlow:
    """The table, searched by protocol and by the address in each prefix length."""

    LINE = re.compile(r"table=20,priority=(\d+),(tcp|udp),nw_src=([^,]+),tp_dst=(\w+)/(\w+),actions=(\w+)")

    def __init__(self, lines):
        self.rows = {}
        assert lines[0] == "table=20,priority=0,actions=drop"
        for line in lines[1:]:
            priority, protocol, prefix, value, mask, actions = self.LINE.fullmatch(line).groups()
            self.rows.setdefault((protocol, prefix), []).append(
                (int(priority), int(value, 0), int(mask, 0), actions == "accept"))

    def verdict(self, protocol, address, port):
        found = [row for length in set(rules.PREFIX_LENGTHS)
                 for row in self.rows.get((protocol, str(ipaddress.ip_network((address, length), False))), [])
                 if port & row[2] == row[1]]
        return max(found)[3] if found else False


def check_traffic(verdict_of):
    for count in COUNTS:
        rule_set = rules.RuleSet(count)
        verdict = verdict_of(rule_set)
        # A list of 10,000 is long to search in Python: every tenth case of it.
        for number, (protocol, address, port, passes) in enumerate(cases(rule_set)):
            if number % (count // 1000 or 1) == 0 and verdict(protocol, address, port) != passes:
                raise AssertionError(f"{count} rules, {protocol} {address} {port}: should be {passes}")


def test_security():
    check_traffic(lambda rule_set: Security(rule_set.security_rules()).verdict)


def test_openflow():
    check_traffic(lambda rule_set: OpenFlow(rule_set.openflow(20, "accept")).verdict)


def test_counts():
    for count in COUNTS:
        rule_set = rules.RuleSet(count)
        prefixes = sum(len(rule.prefixes) for rule in rule_set.rules)
        denied = sum(len(rule.prefixes) for rule in rule_set.rules if not rule.allow)
        assert prefixes == count, f"{prefixes} prefixes instead of {count}"
        assert .15 * count <= denied <= .25 * count, f"{denied} of {count} deny"
        assert max(rule["priority"] for rule in rule_set.security_rules()) == 4096


def test_masks():
    for first, last in ((0, 65535), (1, 65534), (80, 80), (1024, 1535), (5, 9)):
        covered = [port for value, mask in rules.port_masks(first, last) for port in range(65536)
                   if port & mask == value]
        assert sorted(covered) == list(range(first, last + 1)), (first, last)


def test_addresses():
    a, b = rules.sources(), rules.destinations()
    subnet = ipaddress.ip_network(rules.SUBNET)
    assert len({*a, *b, ipaddress.ip_address(rules.GATEWAY)}) == rules.SOURCES + rules.DESTINATIONS + 1
    assert all(address in subnet for address in a + b)


if __name__ == "__main__":
    sys.exit(not Tap([
        ("security rules decide the traffic as it says", test_security),
        ("OpenFlow decides the traffic as it says", test_openflow),
        ("a list has as many rules as asked for, and one in five denies", test_counts),
        ("masks cover a range of ports and nothing else", test_masks),
        ("addresses are distinct and lie in the subnet", test_addresses),
    ]).run())
