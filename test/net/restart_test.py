#!/usr/bin/python3
"""The switch that is sent garbage, killed, stopped and started anew: what it keeps, and what it says.

    restart_test.py SLUICE-SWITCH       as root; prints TAP. SEED=N replays, TESTS=WORDS chooses by name

The guests are switch_world.py's.
"""
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

from lab import GATEWAY_MAC, expect, mac_of, run_tests, wait_for
from switch_test import test_same_network, test_stateful
from switch_world import GUESTS, METADATA, OUT_MAC, SSH, World, counted, exchange

from scapy.all import ARP, BOOTP, ICMP, IP, TCP, UDP, Dot1Q, Ether, IPOption_LSRR, IPv6, Raw, fuzz


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


def survive(w, how, port):
    """Connections that are established go on over the end of the switch, both ways, and nothing else does."""
    w.rules("g", SSH)
    server = w.listen("a", "192.168.1.4", 22)
    client = w.connect("out", "203.0.113.10", 22)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "before")
    flows = w.control.call("counters")["flows"]
    stream = Stream(w, port)
    expect(wait_for(lambda: stream.received > 20, 2), "answers come")
    w.restart(how)
    received = stream.received
    came = wait_for(lambda: stream.received > received + 20, 3)
    stream.end()
    expect(came, "answers that no rule lets in come again: their connection is known")
    print(f"# {stream.gap * 1000:.0f} ms without a packet, at one a millisecond", flush=True)
    expect("connections from " + w.flow_memory in w.since_start(), w.since_start())
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
    survive(w, signal.SIGKILL, 5401)


def test_planned_stop(w):
    expect(survive(w, signal.SIGTERM, 5402) >= 0, "all connections are there")
    expect("dropped 0 directions" in w.since_start(), w.since_start())


def test_policy_after_kill(w):
    """Connections that were adopted are decided anew before their first packet, by whatever state there is."""
    for change in ("on disk, while there is no switch", "by an apply, at once after its start"):
        w.rules("g", SSH)
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
    w.rules("g", SSH)
    server = w.listen("a", "192.168.1.4", 22)
    client = w.connect("out", "203.0.113.10", 22)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "before")
    w.restart(signal.SIGKILL, "--connections", "1000")
    expect("not 1000; TCP's are learnt anew" in w.since_start(), w.since_start())
    expect(w.control.call("counters")["flow_capacity"] == 1000, "the size asked for")
    expect(exchange(client, accepted), "it is learnt")
    with subprocess.Popen([*w.switch_program, "--socket", w.folder + "/second.sock", "--state-dir", w.state_dir],
                          stderr=subprocess.PIPE, text=True) as second:
        said = second.communicate(timeout=10)[1]
    expect(second.returncode == 1 and "in use by another process" in said, said)
    expect(w.control.call("flow.forget") is None and not os.path.exists(w.flow_memory), "forgotten")
    w.restart(signal.SIGTERM)
    expect("no connections to adopt" in w.since_start(), w.since_start())


def test_failed_start(w):
    """A start that fails says what is wrong, and leaves what it found."""
    new, socket = w.folder + "/new", w.folder + "/second.sock"
    for options, words in (
            (("--socket", w.socket, "--state-dir", new), "another process answers on it"),
            (("--socket", w.folder + "/no/s.sock", "--state-dir", new), f"there is no folder {w.folder}/no;"),
            (("--socket", socket, "--state-dir", new + "/x"), f"there is no folder {new};"),
            (("--socket", socket, "--state-dir", new, "--driver", "/nonexistent.so"), "--driver /nonexistent.so: No such file"),
            (("--socket", socket, "--state-dir", new, "--vdev", "nosuch0"), "about a --driver, --vdev or --pci")):
        done = subprocess.run([*w.switch_program, *options], capture_output=True, text=True, timeout=10)
        expect(done.returncode == 1 and words in done.stderr and "another --memory" not in done.stderr, done.stderr)
        expect(not os.path.exists(new) and not os.path.exists(socket), options)
        for made in re.findall("(/dev/shm/[^ ]+) is new", done.stderr):
            expect(not os.path.exists(made), made)


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


TESTS = [
    ("absurd, truncated and random frames do not hurt", test_garbage),
    ("after kill -9 the switch comes back with its state and connections", test_kill),
    ("after a planned stop it does too", test_planned_stop),
    ("an adopted connection that policy forbids by now is blocked at its first packet", test_policy_after_kill),
    ("connections that cannot be adopted are learnt, with the reason in the log", test_other_memory),
    ("a start that fails says why, and leaves what it found", test_failed_start),
    ("a damaged saved state is said and survived", test_damaged_state),
    ("SIGTERM ends it cleanly, and two workers do as one", test_stop),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
