#!/usr/bin/python3
"""What an operator sees of the switch: the verbs of `sluice` against a real sluice-switch.

    observe_test.py SLUICE-SWITCH SLUICE        as root; prints TAP. TESTS=WORDS chooses by name

Guests are network namespaces, each behind one veth pair that is a `function` attachment of its NIC:

    a 192.168.1.4 (public 203.0.113.10, with a group that allows nothing)  b 192.168.1.5
    out 203.0.113.1: the gateway and all the world
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import lab
from lab import Lab, expect, rule, run_tests, wait_for

try:
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.all import ICMP, TCP, rdpcap
except ImportError:
    print("1..0 # SKIP scapy is not installed (dist/setup.sh test)")
    sys.exit(0)

lab.PREFIX = "observe"

MACS = {"a": "00:0d:3a:00:00:0a", "b": "00:0d:3a:00:00:0b"}
SSH = rule("ssh", 100, 22)


def nic(name, ip, public=None, group=None):
    return {"uid": "uid-" + name, "name": "nic-" + name, "mac": MACS[name], "network": "n", "subnet": "s",
            "group": group, "mtu": 1500, "addresses": [{"ip": ip, "public": public, "standard": True}],
            "host_address": None, "hostname": name, "active": "function",
            "attachments": [{"kind": "function", "interface": "sw-" + name}]}


class World(Lab):
    """The lab, whose folder is a state folder of `sluice`."""

    def __init__(self, switch, sluice):
        super().__init__([switch])
        self.sluice = sluice
        os.mkdir(self.folder + "/switch")
        self.socket = self.folder + "/switch/switch.sock"
        self.control = lab.Control(self.socket)
        self.state = {
            "generation": 1, "host_port": None,
            "outside": {"interface": "sw-out", "mac": "02:00:5e:00:00:01", "prefix": "203.0.113.0/24",
                        "gateway": "203.0.113.1"},
            "groups": [{"uid": "g", "name": "web", "revalidate": True, "rules": []}],
            "networks": [{"uid": "n", "vni": 1, "prefixes": ["192.168.0.0/16"], "subnets": [
                {"uid": "s", "prefix": "192.168.1.0/24", "gateway": "192.168.1.1", "dns": [], "group": None}]}],
            "nics": [nic("a", "192.168.1.4", "203.0.113.10", "g"), nic("b", "192.168.1.5")],
        }

    def build(self):
        for name, address in (("a", "192.168.1.4/24"), ("b", "192.168.1.5/24")):
            self.namespace(name)
            self.wire("sw-" + name, name, MACS[name])
            self.address(name, address)
            self.ip(name, "route", "add", "default", "via", "192.168.1.1")
        self.namespace("out")
        self.wire("sw-out", "out")
        self.address("out", "203.0.113.1/24")
        self.start_switch()
        self.apply()

    def apply(self, *rules):
        self.state["generation"] += 1
        self.state["groups"][0]["rules"] = list(rules)
        self.control.call("apply", self.state)

    def command(self, *words):
        return [self.sluice, words[0], "--state", self.folder, *words[1:]]

    def run(self, *words, status=0):
        """What the verb prints, or its complaint where it must fail."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=30)
        expect(done.returncode == status, f"{words}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))


def test_flows(w):
    server = w.listen("b", "192.168.1.5", 7000)
    client = w.connect("a", "192.168.1.5", 7000)
    client.sendall(b"x" * 1000)
    accepted = server.accept()[0]
    expect(accepted.recv(2000) == b"x" * 1000, "data")
    w.ping("a", "192.168.1.5")
    rows = w.json("flow", "list", "--nic", "nic-a", "--port", "7000")
    expect(len(rows) == 2 and rows[0]["state"] == "established", rows)
    expect(rows[0]["src"] == "192.168.1.4" and rows[0]["bytes"] > 1000 and rows[1]["reply"], rows)
    counted = w.json("flow", "count", "--protocol", "tcp", "--address", "192.168.1.0/24")
    expect(counted["connections"] >= 1 and counted["states"]["established"] >= 1, counted)
    expect(w.json("flow", "count", "--connection-state", "blocked")["connections"] == 0, "none is blocked")
    shown = w.json("flow", "show", rows[0]["id"])
    expect(shown["forward"]["dport"] == 7000 and shown["reply"]["sport"] == 7000, shown)
    expect(shown["forward"]["offload"] == "none" and shown["expires_s"] > 7000, shown)
    table = w.run("flow", "list")
    expect("192.168.1.5:7000" in table and "deliver nic-b" in table, table)
    words = w.run("flow", "show", rows[0]["id"])
    expect(re.match(f"connection {rows[0]['id']}: [a-z]+, [0-9hms]+ old, ends in ", words), words)
    # Pages: more rows than one holds.
    inside = w.udp("a")

    def send_all():
        for port in range(10000, 11200):
            inside.sendto(b"", ("192.168.1.5", port))
            if port % 50 == 0:
                time.sleep(0.005)
        return w.json("flow", "count", "--protocol", "udp")["connections"] >= 1200
    expect(wait_for(send_all), "1200 connections")
    ids = [row["id"] for row in w.json("flow", "list", "--protocol", "udp", "--limit", "0")]
    expect(len(ids) >= 2400 and len(set(ids)) == len(ids) / 2, (len(ids), len(set(ids))))
    expect(len(w.json("flow", "list", "--limit", "10")) == 10, "the limit holds")


def test_trace(w):
    """What trace says is what then happens."""
    w.apply()
    server = w.listen("a", "192.168.1.4", 22)
    packet = "in tcp 203.0.113.1:5000 > 203.0.113.10:22 syn"
    denied = w.json("trace", "nic-a", packet)
    expect(denied["verdict"] == "dropped" and denied["drop"]["rule"] == "DenyAllInBound", denied)
    expect(w.connect("out", "203.0.113.10", 22, 0.5) is None, "and it is")
    w.apply(SSH)
    allowed = w.json("trace", "uid-a", packet)
    expect(allowed["verdict"] == "forwarded" and "destination 192.168.1.4" in allowed["forward"]["actions"], allowed)
    client = w.connect("out", "203.0.113.10", 22)
    expect(client, "and it is")
    port = client.getsockname()[1]
    known = w.json("trace", "nic-a", f"in tcp 203.0.113.1:{port} > 203.0.113.10:22 ack")
    expect(known["flow"]["state"] == "established" and known["flow"]["current"], known)
    text = w.run("trace", "nic-a", "out tcp 192.168.1.4:1 > 203.0.113.1:443")
    expect("nat" in text and "it becomes tcp 203.0.113.10:1 > 203.0.113.1:443" in text, text)
    expect("answered" in w.run("trace", "nic-a", "out dhcp"), "DHCP is answered by the switch")
    server.close()


def test_drops(w):
    def spoofed(name):
        rows = w.json("drops", "nic-" + name)
        return next(row["packets"] for row in rows if row["reason"] == "spoofed-ip")
    before = spoofed("a"), spoofed("b")
    w.address("a", "192.168.1.77/24")
    done = w.udp("a", "192.168.1.77")
    done.sendto(b"", ("192.168.1.5", 9))
    wait_for(lambda: spoofed("a") > before[0])
    expect(spoofed("a") > before[0] and spoofed("b") == before[1], "a's drops are a's")
    expect(re.search(r"\d+ spoofed-ip +the source address is not the NIC's", w.run("drops", "nic-a")), "a sentence")
    w.ip("a", "addr", "del", "192.168.1.77/24", "dev", "eth0")


def test_top(w):
    pinger = w.start("ip", "netns", "exec", "observe-a", "ping", "-q", "-n", "-i", "0.01", "192.168.1.5",
                     stdout=subprocess.DEVNULL)
    time.sleep(0.2)
    rows = {row["name"]: row for row in w.json("top", "--once", "--interval", "0.5")}
    pinger.terminate()
    pinger.wait()
    expect(20 < rows["nic-a"]["rx_pps"] < 200 and 20 < rows["nic-a"]["tx_pps"] < 200, rows)
    expect(abs(rows["nic-a"]["rx_bps"] / rows["nic-a"]["rx_pps"] - 98 * 8) < 30, rows)  # pps are rounded down
    edges = {name: row["edge"] for name, row in rows.items() if "edge" in row}
    expect(edges == {"outside": "outside"} and "active" not in rows["outside"], rows)
    expect([row["name"] for row in rows.values() if "busy_percent" in row] == ["worker 0"], rows)
    expect(rows["worker 0"]["rx_pps"] >= rows["nic-a"]["rx_pps"] and rows["worker 0"]["queues"] >= 2, rows)
    table = w.run("top", "--once", "--interval", "0.1")
    expect("RX PPS" in table and "nic-b" in table and "outside" in table, table)


def test_metrics(w):
    """The text is what Prometheus' parser takes, and says what the JSON says."""
    families, samples = {}, {}
    for line in w.run("metrics").splitlines():
        if line.startswith("# TYPE "):
            families[line.split()[2]] = line.split()[3]
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)+)\})? (\d+)', line)
            expect(match and match[1] in families, line)
            key = match[1], match[2] or ""
            expect(key not in samples, f"twice: {line}")
            samples[key] = int(match[3])
    expect(samples["sluice_nic_rx_packets_total", 'nic="uid-a",name="nic-a",attachment="function"'] > 0, samples)
    expect(samples["sluice_switch_connections_max", ""] > 0, samples)
    expect(("sluice_switch_dropped_packets_total", 'reason="table-full"') in samples, "reasons at zero are there")
    expect(set(families.values()) == {"counter", "gauge"}, families)
    expect({f["name"] for f in w.json("metrics")} == set(families), "the same families")


def is_busy(w):
    done = subprocess.run(w.command("mirror", "nic-b", "-c", "1", "--seconds", "1", "-w", "/dev/null"),
                          capture_output=True, text=True)
    return "one mirror runs at a time" in done.stderr


def directions(path):
    """epb_flags of each packet of a pcapng file: 1 inbound, 2 outbound."""
    found, at = [], 0
    with open(path, "rb") as f:
        data = f.read()
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if kind == 6:
            captured = struct.unpack_from("=I", data, at + 20)[0]
            code, size, flags = struct.unpack_from("=HHI", data, at + 28 + (captured + 3) // 4 * 4)
            expect((code, size) == (2, 4), "epb_flags comes first")
            found.append(flags)
        expect(struct.unpack_from("=I", data, at + length - 4)[0] == length, "a block ends as it begins")
        at += length
    return found


def test_mirror(w):
    path = w.folder + "/a.pcapng"
    process = w.start(*w.command("mirror", "nic-a", "-w", path, "--protocol", "icmp", "-c", "4"),
                      stderr=subprocess.PIPE)
    expect(wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 0), "the file begins")
    w.udp("a").sendto(b"not this", ("192.168.1.5", 9))
    expect(w.ping("a", "192.168.1.5", count=2), "ping")
    expect(process.wait(10) == 0, "it ends after its packets")
    expect(process.stderr.read() == b"4 packets\n", "and says how many")
    packets = rdpcap(path)
    expect([p[ICMP].type for p in packets] == [8, 0, 8, 0], str(packets))
    expect(packets[0].src == MACS["a"] and packets[1].dst == MACS["a"], "as the NIC sees them")
    expect(abs(float(packets[0].time) - time.time()) < 30, "when they came")
    expect(directions(path) == [1, 2, 1, 2], directions(path))


def test_mirror_flow(w):
    server = w.listen("b", "192.168.1.5", 7100)
    process = w.start(*w.command("mirror", "nic-b", "--flow", "tcp 192.168.1.4:7200 > 192.168.1.5:7100", "-w", "-"),
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    head = os.read(process.stdout.fileno(), 65536)
    expect(is_busy(w), "a second mirror is refused while one runs")
    with w.inside("a"):
        client = socket.socket()
        other = socket.socket()
    client.bind(("192.168.1.4", 7200))
    client.connect(("192.168.1.5", 7100))
    other.connect(("192.168.1.5", 7100))
    client.sendall(b"observed")
    expect(server.accept()[0].recv(100) == b"observed", "data")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    expect(process.returncode == 0, err)
    path = w.folder + "/flow.pcapng"
    with open(path, "wb") as f:
        f.write(head + out)
    packets = rdpcap(path)
    expect(all(7200 in (p[TCP].sport, p[TCP].dport) for p in packets) and len(packets) >= 5, str(packets))
    expect(b"observed" in b"".join(bytes(p[TCP].payload) for p in packets), "with what they carry")
    expect(packets[0][TCP].flags == "S" and packets[1][TCP].flags == "SA", "in order")


def test_mistakes(w):
    for words, status, says in (
            (("flow", "list", "--nic", "q"), 1, "no NIC with the uid or name q"),
            (("flow", "list", "--protocol", "tpc"), 2, "protocol: must be tcp"),
            (("flow", "count", "--address", "10.0.0.1/8"), 2, "address: must be"),
            (("flow", "show", "7-7"), 1, "there is no connection 7-7"),
            (("trace", "nic-a", "out tcp 1.2.3.4 > 1.2.3.5:2"), 2, "'1.2.3.4' is not an address and a port"),
            (("drops", "nic-q"), 1, "no NIC with the uid or name nic-q"),
            (("mirror", "nic-a", "--protocol", "tpc", "-w", w.folder + "/q"), 2, "protocol: must be tcp"),
            (("mirror", "nic-q", "-w", w.folder + "/q"), 1, "no NIC with the uid or name nic-q")):
        expect(says in w.run(*words, status=status), words)
    expect(not os.path.exists(w.folder + "/q"), "no file is made for a mirror that is refused")
    for words in (("flow",), ("flow", "frobnicate"), ("trace", "nic-a"), ("mirror",), ("top", "--interval", "0"),
                  ("drops", "a", "b"), ("flow", "list", "--limit", "1")):
        w.run(*words, status=2)


TESTS = [
    ("flows are listed, counted and shown, whole and in pages", test_flows),
    ("what trace says is what then happens", test_trace),
    ("drops are counted for the NIC that they concern", test_drops),
    ("top shows rates", test_top),
    ("metrics are Prometheus text", test_metrics),
    ("a mirror is a capture of what a NIC sends and gets", test_mirror),
    ("a mirror of one flow has nothing else, and is alone", test_mirror_flow),
    ("mistakes are named, with an exit status", test_mistakes),
]


def main():
    return run_tests(lambda: World(*sys.argv[1:3]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
