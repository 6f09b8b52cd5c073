#!/usr/bin/python3
"""A guest's port moves from one real switch to another, and its connections with it.

    migrate_test.py SLUICE-SWITCH       as root; prints TAP. TESTS=WORDS chooses by name

The world is overlay_test.py's. Guest a talks to b on its old host, to d on its new one, and to k on a third; some of that
it began itself. Its veth pair moves to the other switch's namespace, which is what its machine's end and its new beginning
are here; all else is what agents do: two copies of its connections, and new states for each switch.
"""
import os
import random
import sys
import threading
import time

from lab import expect, mac_of, rule, run, run_tests, wait_for
from overlay_test import GUESTS, VTEPS, World

PEERS = ("b", "d", "k")
FROM_A, TO_A = 7200, 7300


class Stream(threading.Thread):
    """A TCP connection whose client sends without end and gets all of it back; `gap` is the longest that it waited."""

    def __init__(self, w, client, server, port):
        super().__init__(daemon=True)
        self.name = f"{client} to {server}:{port}"
        listener = w.side(server).listen(server, GUESTS[server][2], port)
        self.client = w.side(client).connect(client, GUESTS[server][2], port, 5)
        expect(self.client, self.name + " connects")
        self.server = listener.accept()[0]
        listener.close()
        self.echoed, self.gap, self.failure, self.ending = 0, 0.0, None, False
        self.echo = threading.Thread(target=self.send_back, daemon=True)
        self.echo.start()
        self.start()

    def send_back(self):
        try:
            while chunk := self.server.recv(65536):
                self.server.sendall(chunk)
        except OSError:
            pass

    def run(self):
        noise = random.Random(self.name)
        self.client.settimeout(30)
        try:
            while not self.ending:
                data, got, start = noise.randbytes(2000), b"", time.monotonic()
                self.client.sendall(data)
                while len(got) < len(data):
                    chunk = self.client.recv(len(data) - len(got))
                    expect(chunk, "the other end is there")
                    got += chunk
                expect(got == data, "what came back is what was sent")
                self.gap = max(self.gap, time.monotonic() - start)
                self.echoed += len(data)
                time.sleep(0.005)
        except (OSError, AssertionError) as why:
            self.failure = why

    def goes_on(self, seconds=10):
        before = self.echoed
        return bool(wait_for(lambda: self.failure or self.echoed > before + 20000, seconds)) and not self.failure

    def end(self):
        self.ending = True
        self.client.close()
        self.server.close()


class Moving(World):
    def build(self):
        """Switches that have been started again: a new one would take any connection up for a minute."""
        super().build()
        for side in (self.one, self.two):
            side.kill_switch()
            side.start_switch()
            expect("adopted" in side.switch_log(), "it knows what was there before")


def begin(w, number):
    """Streams of a's with everybody, begun by either."""
    streams = []
    for peer in PEERS:
        streams += [Stream(w, "a", peer, FROM_A + number), Stream(w, peer, "a", TO_A + number)]
    return streams


def copy_connections(old, new):
    path = f"{old.folder}/connections-of-a"
    exported = old.control.call("connection.export", {"nic": "a", "path": path})
    expect(os.stat(path).st_mode & 0o777 == 0o600, "the file is for its owner alone")
    imported = new.control.call("connection.import", {"nic": "a", "path": path})
    os.unlink(path)
    expect(exported["connections"] == imported["imported"] + imported["known"] + sum(imported["refused"].values()),
           f"{exported} {imported}")
    return imported


def move(w, old, new, between=lambda: None, later=lambda: None):
    """What agents do; `later` comes before the controller has said so to the old host. Returns what came of the two copies."""
    nics, mappings = old.state["nics"], old.state["networks"][0]["mappings"]
    nic = next(row for row in nics if row["uid"] == "a")
    new.state["nics"].append(dict(nic, away=True))
    new.apply()
    copies = [copy_connections(old, new)]
    between()
    run("ip", "-n", f"{old.prefix}-switch", "link", "set", "sw-a", "netns", f"{new.prefix}-switch")
    run("ip", "-n", f"{new.prefix}-switch", "link", "set", "sw-a", "up")
    nics[nics.index(nic)] = gone = dict(nic, away=True)
    mappings.append({"prefix": GUESTS["a"][2], "vtep": VTEPS[new.name], "mac": mac_of("a")})
    old.apply()
    copies.append(copy_connections(old, new))
    new.state["nics"][-1] = nic
    there = new.state["networks"][0]
    there["mappings"] = [row for row in there["mappings"] if row["mac"] != mac_of("a")]
    new.apply()
    later()
    nics.remove(gone)
    old.apply()
    run("ip", "netns", "exec", f"{w.one.prefix}-k", "bridge", "fdb", "replace", mac_of("a"), "dev", "vxlan0", "dst",
        VTEPS[new.name])
    return copies


def test_streams(w):
    """Streams that run before the first copy, and some that begin after it."""
    streams = begin(w, 0)
    expect(all(s.goes_on() for s in streams), "all run on the old host")

    def later():
        for s in streams:  # k's host does not know yet
            expect("k" in s.name or s.goes_on(), f"{s.name} goes on at once: {s.failure}")
    copies = move(w, w.one, w.two, lambda: streams.extend(begin(w, 1)), later)
    expect(not copies[0]["refused"] and not copies[1]["refused"], copies)
    expect(copies[1]["known"] >= 6 and copies[1]["imported"] >= 4, copies)
    for s in streams:
        expect(s.goes_on(), f"{s.name} goes on: {s.failure}")
    print(f"# the longest that one of {len(streams)} waited: {max(s.gap for s in streams):.2f} s", flush=True)
    for side in (w.one, w.two):
        expect(side.control.drops()["revoked"] == 0, "nothing was taken for revoked")
    for s in streams:
        s.end()


def test_forbidden(w):
    """It goes back, to where the rules have changed meanwhile."""
    streams = begin(w, 2)
    expect(all(s.goes_on() for s in streams), "all run")
    w.one.rules(rule("none", 100, TO_A + 2, "deny"), rule("all", 200, None, protocol="any"))
    copies = move(w, w.two, w.one)
    expect(copies[0]["refused"] == {"denied-inbound": 2}, copies)  # b's own switch knows it, and judges it as a comes
    for s in streams:
        allowed = s.name.startswith("a ")
        expect(s.goes_on(10 if allowed else 2) == allowed, f"{s.name}: {s.failure}")
    expect(w.one.control.drops("a")["revoked"] > 0, "what goes on without leave is counted")
    w.allow_all()
    expect(all(s.goes_on(30) for s in streams), "what is allowed again goes on")
    for s in streams:
        s.end()


def main():
    tests = [
        ("streams of a guest go on when its port moves to another switch", test_streams),
        ("what the rules there forbid does not", test_forbidden),
    ]
    return run_tests(lambda: Moving(sys.argv[1:]), tests)


if __name__ == "__main__":
    sys.exit(main())
