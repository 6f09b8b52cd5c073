#!/usr/bin/python3
"""Ports that the state calls an eswitch's, and that are none: veth pairs, whose driver takes no flow. All goes on by the
switch, and it is said why.

    eswitch_test.py SLUICE-SWITCH       as root; prints TAP

The ports are left out, as nothing takes the filters that must lie before flows; in what words is the kernel's. That a NIC
takes flows is src/switch/offloader_test.c's, on a model, and test/lab/offload_test.py's, in a kernel.
"""
import sys

from lab import expect, run_tests, wait_for
from switch_world import World, exchange

ROUNDS = 30  # packets each way, between two looks: more than make a connection worth a place


def set_offload(w, on):
    for place in [w.state["outside"]] + [nic["attachments"][0] for nic in w.state["nics"]]:
        place.pop("offload", None)
        if on:
            place["offload"] = "tc"
    w.apply()


def rows(w):
    return [row for row in w.control.call("flow.list", {"protocol": "tcp", "port": 7})["flows"]]


def test_fallback(w):
    """A connection that is hot stays the switch's."""
    set_offload(w, True)
    server = w.listen("b", "0.0.0.0", 7)
    client = w.connect("c", "192.168.1.5", 7)
    expect(client, "the connection begins")
    peer, _ = server.accept()
    peer.settimeout(5)

    def told():
        expect(all(exchange(client, peer) for _ in range(ROUNDS)), "every byte arrives")
        return all(row.get("offload_reason") for row in rows(w))

    expect(wait_for(told, 20), f"each direction has a reason: {rows(w)}")
    shown, states = w.nic_state("c")["offload"], {row["offload"] for row in rows(w)}
    print(f"# {rows(w)[0]['offload_reason']}", flush=True)
    expect(shown["error"].startswith("tc: interface"), f"the ports are left out: {shown}")
    expect(states <= {"none", "refused"}, f"no flow was taken: {states}")
    expect(all(row["offload_reason"].startswith("tc: interface") for row in rows(w)), f"the reason is the port's: {rows(w)}")
    expect(shown["installed"] == 0 and shown["rx_packets"] == 0, f"nothing was carried by anybody else: {shown}")
    set_offload(w, False)
    expect(exchange(client, peer), "it goes on when the ports are nobody's any more")
    expect("offload" not in w.nic_state("c"), "which is not spoken of then")
    expect(all("offload_reason" not in row for row in rows(w)), f"nor is a reason needed: {rows(w)}")


TESTS = [
    ("where the eswitch takes nothing the switch does all, and says why", test_fallback),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
