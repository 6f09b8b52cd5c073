#!/usr/bin/python3
"""Vhost-user guests: what becomes of one when either side ends, and one that means harm.

    vhost_test.py SLUICE-SWITCH         as root; prints TAP. TESTS=WORDS chooses by name

The guests are switch_world.py's.
"""
import contextlib
import os
import signal
import subprocess
import sys
import time

from hostile_guest import HostileGuest
from lab import Tap, expect, mac_of, run, run_tests, wait_for
from switch_world import World, exchange, nic


def test_vhost(w):
    """A virtio device of DPDK's, server side as QEMU's, with a namespace behind it: the vhost-user path for real."""
    program = run("sh", "-c", "command -v dpdk-testpmd", check=False).stdout.strip()
    if not program:
        raise Tap.Skip("dpdk-testpmd is not installed (dist/setup.sh test)")
    path = w.folder + "/v.sock"
    w.namespace("v")
    w.namespace("pmd")
    run("ip", "-n", "swt-v", "link", "add", "eth0", "address", mac_of("v"), "type", "veth", "peer", "name", "pmd0",
        "netns", "swt-pmd")
    for where, what in (("v", "eth0"), ("pmd", "pmd0")):
        run("ip", "netns", "exec", "swt-" + where, "ethtool", "-K", what, "tx", "off", "rx", "off", "tso", "off")
        w.ip(where, "link", "set", what, "up")
    w.address("v", "192.168.1.6/24")
    w.ip("v", "route", "add", "default", "via", "192.168.1.1")
    guest = nic("v", "one", "one-1", "192.168.1.6", None, "100.64.0.9")
    guest["attachments"] = [{"kind": "synthetic", "socket": path}]
    guest["active"] = "synthetic"
    w.state["nics"].append(guest)
    w.apply()
    expect(w.nic_state("v")["attachments"][0]["state"] == "waiting", "nobody is there yet")
    testpmd = w.start(
        "ip", "netns", "exec", "swt-pmd", program, "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
        "--file-prefix=swt-pmd", "--lcores=0@(0-1),1@(0-1)", "--no-shconf",
        f"--vdev=net_virtio_user0,path={path},server=1,queues=1,mac={mac_of('v')}",
        "--vdev=net_af_packet0,iface=pmd0", "--", "--forward-mode=io", "--auto-start", "--no-mlockall",
        "--total-num-mbufs=2048", "--stats-period=1", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ready = lambda: w.nic_state("v")["attachments"][0]["state"] == "ready"
    expect(wait_for(ready, 15), w.nic_state("v"))
    expect(wait_for(lambda: w.ping("v", "192.168.1.1"), 10), "the gateway, over vhost-user")
    expect(w.ping("v", "192.168.2.4"), "another guest")
    server = w.listen("v", "192.168.1.6", 7500)
    client = w.connect("b", "192.168.1.6", 7500)
    accepted = server.accept()[0]
    expect(exchange(client, accepted), "TCP")
    w.kill_switch(signal.SIGKILL)
    w.start_switch()
    expect(wait_for(ready, 10), "the switch reconnects after kill -9")
    expect(wait_for(lambda: w.ping("v", "192.168.1.1"), 10), "and traffic goes on")
    expect(exchange(client, accepted), "so does the connection")
    w.state["nics"].remove(guest)
    w.apply()
    expect("v" not in [row["uid"] for row in w.control.call("nic.list")], "taken away from under the guest")
    w.state["nics"].append(guest)
    w.apply()
    expect(wait_for(ready, 10) and wait_for(lambda: w.ping("v", "192.168.1.1"), 10), "and given back")
    testpmd.terminate()
    testpmd.wait(10)
    expect(wait_for(lambda: not ready(), 5), "waiting again when the guest is gone")
    expect(w.ping("b", "192.168.1.1"), "others do not notice")


def test_hostile(w):
    """Its rings hold anything at all, while others send to it; librte_vhost does the work, and nobody else notices."""
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"# the guest's seed is {seed}", flush=True)
    path = w.folder + "/h.sock"
    hostile = HostileGuest(path, seed)
    guest = nic("h", "one", "one-1", "192.168.1.7", None, "100.64.0.10")
    guest["attachments"] = [{"kind": "synthetic", "socket": path}]
    guest["active"] = "synthetic"
    w.state["nics"].append(guest)
    w.apply()
    sender = w.udp("b")
    end = time.monotonic() + 6
    connections = 0
    while time.monotonic() < end:
        hostile.connect()
        connections += 1
        with contextlib.suppress(OSError):  # the switch may end the connection for what it finds
            for _ in range(200):
                hostile.scribble()
                for _ in range(4):
                    sender.sendto(b"x" * 1000, ("192.168.1.7", 9))
        hostile.close()
    print(f"# {connections} connections", flush=True)
    received = w.nic_state("h")["attachments"][0]["rx_packets"]
    expect(received > 0, "something came of it at all")
    expect(w.switch.poll() is None, "the switch lives")
    expect(w.ping("b", "192.168.1.1") and w.ping("b", "192.168.2.4"), "others do not notice")
    w.state["nics"].remove(guest)
    w.apply()
    hostile.end()


TESTS = [
    ("a vhost-user guest works, and reconnects after kill -9", test_vhost),
    ("a guest whose rings hold anything at all harms nobody", test_hostile),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
