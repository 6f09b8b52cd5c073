#!/usr/bin/python3
"""How long a change of rules takes with groups of a thousand rules, while established traffic flows; nothing of that is lost.

    apply_test.py SLUICE-SWITCH       as root; prints TAP, and the times as comments. TESTS=WORDS chooses by name

NICs a and b are namespaces, 62 more are interfaces that nobody uses; all 64 have the group. a sends b numbered packets of one
connection; others of a's, which no rule allows, are sent all the time for the ports that rules will be added for. What is
measured, from the moment at which the request is sent: until its answer, and until the first packet that the new rule
lets through. Times are printed and not judged: the machine is anybody's.
"""
import json
import socket
import statistics
import sys
import threading
import time

from lab import Lab, rule, run, run_tests

NICS, RULES, CHANGES = 64, 1000, 20
FIRST_PORT, BUSY_PORT = 20000, 9  # of the rules that are added; of the established connection
SO_RCVBUFFORCE = 33  # of <asm/socket.h>
PACE, PROBE_PACE = 0.002, 0.002  # seconds


def address_of(i):
    return f"10.1.0.{i + 4}"


def rules():
    """Different ones, as an application's might be, and the last one refuses what they do not allow."""
    middle = [rule(f"r{i}", 101 + i, 1000 + i, protocol="tcp" if i % 2 else "udp",
                   prefixes=[f"172.{16 + i % 16}.{i // 16}.0/24"]) for i in range(RULES - 2)]
    return [rule("busy", 100, BUSY_PORT, protocol="udp"), *middle, rule("rest", 4096, action="deny", protocol="any")]


def group(uid):
    return {"uid": uid, "name": uid, "revalidate": True, "rules": rules()}


def nic(i):
    return {"uid": f"n{i}", "name": f"n{i}", "mac": f"00:0d:3a:00:01:{i:02x}", "network": "n", "subnet": "s",
            "group": "g0", "mtu": 1500, "addresses": [{"ip": address_of(i), "public": None, "standard": False}],
            "host_address": None, "hostname": f"n{i}", "active": "function",
            "attachments": [{"kind": "function", "interface": f"p{i}"}]}


class World(Lab):
    def __init__(self, switch):
        super().__init__(switch, "swapply")
        self.generation = 0

    def build(self):
        for i, name in enumerate("ab"):
            self.namespace(name)
            self.wire(f"p{i}", name, f"00:0d:3a:00:01:{i:02x}")
            self.address(name, address_of(i) + "/24")
        for i in range(2, NICS):
            run("ip", "-n", f"{self.prefix}-switch", "link", "add", f"p{i}", "type", "veth", "peer", "name", f"q{i}")
        self.start_switch("--workers", "2")

    def state(self, groups):
        self.generation += 1
        network = {"uid": "n", "vni": 1, "prefixes": ["10.1.0.0/16"], "subnets": [
            {"uid": "s", "prefix": "10.1.0.0/24", "gateway": "10.1.0.1", "dns": [], "group": None}]}
        return {"generation": self.generation, "outside": None, "host_port": None, "groups": groups, "networks": [network],
                "nics": [nic(i) for i in range(NICS)]}


class Stream:
    """Numbered packets of one connection, from a to b; a context."""

    def __init__(self, world):
        self.sender = world.udp("a", port=5000)
        self.receiver = world.udp("b", port=BUSY_PORT)
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)  # it is read in the end
        self.sent, self.got, self.stop = 0, [], threading.Event()

    def send(self):
        while not self.stop.is_set():
            self.sender.sendto(self.sent.to_bytes(4, "big"), (address_of(1), BUSY_PORT))
            self.sent += 1
            time.sleep(PACE)

    def __enter__(self):
        self.thread = threading.Thread(target=self.send)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.receiver.settimeout(0.5)
        try:
            while True:
                self.got.append(int.from_bytes(self.receiver.recv(16), "big"))
        except TimeoutError:
            pass
        self.sender.close()
        self.receiver.close()


def changed(world, groups, port):
    """Adds a rule for the port to the first group; returns the seconds until the answer, and until a packet passes."""
    groups[0]["rules"].insert(1, rule(f"p{port}", 100 + RULES + port - FIRST_PORT, port, protocol="udp"))
    line = (json.dumps({"jsonrpc": "2.0", "id": 1, "method": "apply", "params": world.state(groups)}) + "\n").encode()
    probe, target, done = world.udp("a"), world.udp("b", port=port), threading.Event()
    target.settimeout(30)  # whether, not when: a busy machine takes its time

    def send():
        while not done.is_set():
            probe.sendto(b"?", (address_of(1), port))
            time.sleep(PROBE_PACE)

    thread = threading.Thread(target=send)
    thread.start()
    passed = []
    listener = threading.Thread(target=lambda: passed.append((target.recv(16), time.monotonic())))
    listener.start()
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(world.socket)
        time.sleep(0.02)  # some were refused
        begin = time.monotonic()
        control.sendall(line)
        answer = json.loads(control.makefile().readline())
        answered = time.monotonic()
    listener.join()
    done.set()
    thread.join()
    probe.close()
    target.close()
    if answer.get("result") != {"generation": world.generation} or not passed:
        raise AssertionError(f"the rule did not come: {answer}")
    return answered - begin, passed[0][1] - begin


def measure(world, n_groups):
    groups = [group(f"g{i}") for i in range(n_groups)]
    world.control.call("apply", world.state(groups))
    run("ip", "netns", "exec", f"{world.prefix}-a", "ping", "-c1", "-W1", address_of(1), check=False)  # ARP
    with Stream(world) as stream:
        time.sleep(0.2)
        times = [changed(world, groups, FIRST_PORT + i) for i in range(CHANGES)]
        time.sleep(0.2)
    for what, column in (("answered", 0), ("in force", 1)):
        values = [1000 * row[column] for row in times]
        print(f"# {n_groups} groups of {RULES} rules: a rule more is {what} after {statistics.median(values):.1f} ms, "
              f"{max(values):.1f} ms at most (median and maximum of {CHANGES})", flush=True)
    lost = stream.sent - len(stream.got)
    if lost or stream.got != sorted(stream.got):
        raise AssertionError(f"{lost} of {stream.sent} established packets were lost, or some came out of order")


TESTS = [
    ("a rule more in a shared group loses no established packet", lambda world: measure(world, 1)),
    ("nor does it with ten such groups", lambda world: measure(world, 10)),
]


def main():
    return run_tests(lambda: World(sys.argv[1:]), TESTS)


if __name__ == "__main__":
    sys.exit(main())
