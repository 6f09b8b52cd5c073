#!/usr/bin/python3
"""What a NIC may send and receive, measured on the kernel's own TCP.

    limits_test.py SLUICE-SWITCH        as root; prints TAP. TESTS=WORDS chooses by name

The guests are switch_world.py's.
"""
import json
import socket
import sys
import threading
import time

from lab import expect, run_tests, wait_for
from switch_world import World


def stream_for(w, sender, receiver, address, seconds):
    """A TCP stream that sends as much as it can."""
    server = w.listen(receiver, address, 7600)
    client = w.connect(sender, address, 7600)
    accepted = server.accept()[0]
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # less than what waits at an interface

    def send():
        try:
            while True:
                client.sendall(b"x" * 16384)
        except OSError:
            pass

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        accepted.recv(65536)
    for s in (accepted, client, server):
        s.close()
    thread.join()


def frames_sent(w, guest):
    """By the guest's own count."""
    return json.loads(w.ip(guest, "-s", "-j", "link", "show", "eth0").stdout)[0]["stats64"]["tx"]["packets"]


def test_limits(w):
    """Bytes over time do not exceed the rate, but for a burst: c's frames, both ways. How fast it is below is the machine's."""
    rate = 20_000_000
    c = next(nic for nic in w.state["nics"] if nic["uid"] == "c")

    def measure(direction, burst_ms, counter, sender, receiver, address):
        c["limits"] = {direction: {"bits_per_s": rate}}
        w.apply()
        before, start = w.nic_state("c"), time.monotonic()
        stream_for(w, sender, receiver, address, 3)
        after, elapsed = w.nic_state("c"), time.monotonic() - start
        bits = 8 * (after["attachments"][0][counter] - before["attachments"][0][counter])
        print(f"# {direction}: {bits / elapsed / rate:.3f} of the rate, {after['holds'] - before['holds']} holds, "
              f"{after['held_ms'] - before['held_ms']} ms held", flush=True)
        expect(bits > rate / 10, "something is sent")
        expect(bits <= rate * 1.15 * elapsed + rate * burst_ms / 1000, f"{bits} bits in {elapsed} s")
        drops = {reason: n - before["drops"].get(reason, 0) for reason, n in after["drops"].items()}
        return after["holds"] - before["holds"], {reason: n for reason, n in drops.items() if n}

    received = lambda: w.nic_state("c")["attachments"][0]["rx_packets"]
    elsewhere = frames_sent(w, "c") - received()
    holds, drops = measure("send", 50, "rx_bytes", "c", "b", "192.168.1.5")
    expect(holds > 0 and not drops, f"held back, and nothing dropped: {holds} {drops}")
    expect(wait_for(lambda: frames_sent(w, "c") - received() == elsewhere), "the switch gets all that c sent, in its time")
    metrics = {family["name"]: family["samples"] for family in w.control.call("metrics")}
    expect([sample["labels"]["nic"] for sample in metrics["sluice_nic_holds_total"]] == ["c"], "its counters are shown")
    holds, drops = measure("receive", 200, "tx_bytes", "b", "c", "192.168.2.4")
    expect(holds == 0 and set(drops) == {"rate"}, f"what is too much is dropped, for that: {holds} {drops}")
    del c["limits"]
    w.apply()


TESTS = [
    ("a NIC sends and receives no faster than its limits", test_limits),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
