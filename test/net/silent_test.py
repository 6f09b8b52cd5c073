#!/usr/bin/python3
"""Connections that begin by a function past the host, and say nothing until long after it went.

    silent_test.py SLUICE-SWITCH       as root; prints TAP. TESTS=WORDS chooses by name

The world is function_test.py's. Hours pass where the switch is started again: in a time namespace, whose clock is that
much ahead of the one before.
"""
import contextlib
import os
import sys

from function_test import A, GATEWAY, K, World, idle, nic, state_of
from lab import Lab, Tap, expect, mac_of, run, run_tests, wait_for

KEPT = 7440  # docs/API.md: for so many seconds an established connection may be silent


def hears(s, wanted, seconds):
    s.settimeout(seconds)
    with contextlib.suppress(TimeoutError):
        return s.recv(100) == wanted
    return False


class Waiting(World):
    """Its switch can be started again at another time."""

    def start_at(self, seconds):
        """So long after the machine's own clock, of CLOCK_MONOTONIC."""
        if not os.path.exists("/proc/self/ns/time"):
            raise Tap.Skip("this kernel has no time namespaces")
        holder = self.start("unshare", "--time", "--monotonic", str(seconds), "--fork", "--kill-child", "sleep", "infinity")
        program, starts = self.switch_program, self.switch_log().count("adopted")

        def is_set():
            with open(f"/proc/{holder.pid}/timens_offsets", encoding="ascii") as f:
                return ["monotonic", str(seconds), "0"] in [line.split() for line in f]
        expect(wait_for(is_set, 5), "the time is set")
        self.switch_program = ["nsenter", f"--time=/proc/{holder.pid}/ns/time_for_children", *program]
        try:
            self.kill_switch()
            self.start_switch("--workers", "2")
        finally:
            self.switch_program = program
        expect(self.switch_log().count("adopted") == starts + 1, "it knows what was there")
        expect(wait_for(lambda: self.attachment("synthetic")["state"] == "ready", 15), "the guest's rings are set up again")

    def attach(self, *kinds):
        row = next(row for row in self.state["nics"] if row["uid"] == "a")
        row["attachments"] = [row for row in state_of(self.folder)["nics"][0]["attachments"] if row["kind"] in kinds]
        self.apply()

    def unknown(self):
        return self.control.drops("a").get("tcp-no-syn", 0)


def begin(w, *ports):
    """Connections that the switch has not seen begin."""
    w.attach("synthetic", "function")
    w.restore()
    connections = [idle(w, port) for port in ports]
    for port in ports:
        flows = w.control.call("flow.list", {"address": K, "port": port})["flows"]
        expect(flows == [], f"it is past the switch: {flows}")
    w.revoke()
    return connections


def close(connections):
    for pair in connections:
        for s in pair:
            s.close()


def test_later(w):
    """The function has gone, and the state does not speak of it any more. Each end of a connection may be the one to speak."""
    spoken, speaks, late = connections = begin(w, 7900, 7901, 7902)
    w.attach("synthetic")
    w.start_at(KEPT - 300)
    spoken[1].sendall(b"there")
    expect(hears(spoken[0], b"there", 5), "the machine on the wire speaks first, and is heard")
    speaks[0].sendall(b"here")
    expect(hears(speaks[1], b"here", 5), "the guest speaks first, and is heard")
    for client, server in (spoken, speaks):
        client.sendall(b"yes")
        server.sendall(b"no")
        expect(hears(server, b"yes", 5) and hears(client, b"no", 5), "both go on")
    expect(w.unknown() == 0, "nothing of them was refused")
    # Past the time that any connection may be silent.
    w.start_at(KEPT + 300)
    late[0].sendall(b"late")
    expect(wait_for(w.unknown, 5) and not hears(late[1], b"late", 1), "what comes later is refused")
    spoken[0].sendall(b"still")
    expect(hears(spoken[1], b"still", 5), "one that the switch has got to know goes on")
    close(connections)
    w.kill_switch()
    w.start_switch("--workers", "2")
    expect(wait_for(lambda: w.attachment("synthetic")["state"] == "ready", 15), "the guest's rings are set up again")


class Target(Lab):
    """The switch of another host on the same wire, which gives no functions."""

    def __init__(self, w):
        super().__init__(w.switch_program, "target")
        self.state = dict(state_of(self.folder), host_port=None)
        self.state["nics"] = [nic("a", "s1", A, None, [{"kind": "function", "interface": "sw-a"}], "function")]
        self.state["nics"][0]["away"] = True

    def build(self, w):
        fabric, inside = f"{w.prefix}-fabric", f"{self.prefix}-switch"
        run("ip", "-n", fabric, "link", "add", "pf2", "type", "veth", "peer", "name", "phys", "netns", inside)
        run("ip", "-n", inside, "link", "add", "sw-a", "type", "veth", "peer", "name", "moved", "netns", f"{w.prefix}-a")
        for where, what in ((fabric, "pf2"), (inside, "phys"), (inside, "sw-a"), (f"{w.prefix}-a", "moved")):
            run("ip", "netns", "exec", where, "ethtool", "-K", what, "tx", "off", "tso", "off", "gso", "off")
            run("ip", "-n", where, "link", "set", what, "up")
        run("ip", "-n", fabric, "link", "set", "pf2", "master", "bridge")
        run("bridge", "-n", fabric, "link", "set", "dev", "pf2", "learning", "off")
        for _ in range(2):  # one that has begun anew would take any connection up for a minute
            self.start_switch()
            self.apply()
            self.kill_switch()
        self.start_switch()
        expect("adopted" in self.switch_log(), "it knows what was there before")

    def apply(self):
        self.state["generation"] += 1
        return self.control.call("apply", self.state)

    def take(self, w):
        """The guest runs here from now on."""
        w.guest.standby, before = w.raw("a", "moved"), w.guest.standby
        w.guest.standby.settimeout(None)
        w.filter(mac_of("a"), "pf2")
        self.state["nics"][0]["away"] = False
        self.apply()
        expect(wait_for(lambda: w.ping("a", GATEWAY), 10), "the guest is here")
        before.close()


def test_moves(w):
    """A NIC whose function was given back goes to a host that has none for it. Its connections are silent all the while."""
    spoken, speaks, early = connections = begin(w, 7910, 7911, 7912)
    target = Target(w)
    try:
        target.build(w)
        target.take(w)
        early[0].sendall(b"early")
        expect(wait_for(lambda: target.control.drops("a").get("tcp-no-syn"), 5) and not hears(early[1], b"early", 0.5),
               "they are none of the target's as long as it does not know")
        path = f"{w.folder}/connections-of-a"
        w.control.call("connection.export", {"nic": "a", "path": path})
        target.control.call("connection.import", {"nic": "a", "path": path})
        os.unlink(path)
        spoken[1].sendall(b"there")
        expect(hears(spoken[0], b"there", 5), "the machine on the wire speaks first, and is heard")
        speaks[0].sendall(b"here")
        expect(hears(speaks[1], b"here", 5), "the guest speaks first, and is heard")
        close(connections)
    finally:
        target.close()


TESTS = [
    ("a connection that was silent for hours since its function went is not lost, nor by an end of the switch", test_later),
    ("nor is it with the host", test_moves),
]


def main():
    return run_tests(lambda: Waiting(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
