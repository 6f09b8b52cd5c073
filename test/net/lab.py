"""Network namespaces around one real sluice-switch.

What is made: namespaces named PREFIX-*, veth pairs between them and the switch's own namespace, one switch
process with a private state folder. All of it goes away with Lab.close(), also after a failure.

A socket stays in the network namespace in which it was made, so that one process can sit in all of them:
    with lab.inside("a"): s = socket.socket(...)
"""
import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PREFIX = "swt"
GATEWAY_MAC = "12:34:56:78:9a:bc"
ETH_P_ALL = 3
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done


def wait_for(what, seconds=5.0):
    """Polls what() until it is true; returns its last value."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)


def expect(condition, what):
    """what: a promise, or what is there instead of it."""
    if not condition:
        raise AssertionError(what)


def mac_of(name):
    """The MAC of a guest whose name is a letter."""
    return "00:0d:3a:00:00:%02x" % ord(name)


def rule(name, priority, port=None, action="allow", protocol="tcp", tags=(), prefixes=()):
    """A group's rule for what comes in: to that port or all, from those tags and prefixes or from anywhere."""
    return {"name": name, "direction": "inbound", "priority": priority, "protocol": protocol, "action": action,
            "source": {"any": not tags and not prefixes, "tags": list(tags), "prefixes": list(prefixes), "ports": []},
            "destination": {"any": True, "tags": [], "prefixes": [], "ports": [[port, port]] if port else []}}


def join(fabric, name, namespace, device, mac):
    """A veth pair from the fabric's bridge to `device` in a namespace."""
    run("ip", "-n", fabric, "link", "add", name, "type", "veth", "peer", "name", device, "address", mac, "netns",
        namespace)
    for where, what in ((fabric, name), (namespace, device)):
        run("ip", "-n", where, "link", "set", what, "up")
    run("ip", "-n", fabric, "link", "set", name, "master", "bridge")


class Fault(Exception):
    """The switch's own error answer."""


class Control:
    """A client of the switch's control socket."""

    def __init__(self, path):
        self.path = path
        self.number = 0

    def call(self, method, params=None):
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method}
        if params is not None:
            request["params"] = params
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.path)
            s.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(s.makefile().readline())
        if "error" in answer:
            raise Fault(answer["error"]["data"]["fault"] + ": " + answer["error"]["message"])
        return answer["result"]

    def drops(self, nic=None):
        """reason → packets, of one NIC or of all."""
        if nic is None:
            return {row["reason"]: row["packets"] for row in self.call("drop.list")}
        for row in self.call("nic.list"):
            if row["uid"] == nic:
                return row["drops"]
        raise KeyError(nic)


class Lab:
    def __init__(self, switch, prefix=None):
        self.switch_program = switch
        self.prefix = prefix or PREFIX
        self.folder = tempfile.mkdtemp(prefix=self.prefix + "-")
        self.socket = self.folder + "/switch.sock"
        self.state_dir = self.folder + "/state"
        digest = hashlib.sha256(self.state_dir.encode()).hexdigest()
        self.flow_memory = f"/dev/shm/sluice-{digest[:16]}-flows"
        self.control = Control(self.socket)
        self.namespaces = []
        self.processes = []
        self.switch = None
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.namespace("switch")

    # ---- namespaces ----

    def namespace(self, name):
        full = f"{self.prefix}-{name}"
        run("ip", "netns", "del", full, check=False)
        run("ip", "netns", "add", full)
        self.namespaces.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        run("ip", "netns", "exec", full, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
            "net.ipv6.conf.default.disable_ipv6=1")

    def wire(self, port, name, mac=None, device="eth0"):
        """A veth pair: `port` in the switch's namespace, `device` in namespace `name`."""
        inner, outer = f"{self.prefix}-switch", f"{self.prefix}-{name}"
        run("ip", "-n", outer, "link", "add", device, "type", "veth", "peer", "name", port, "netns", inner)
        if mac:
            run("ip", "-n", outer, "link", "set", device, "address", mac)
        for where, what in ((outer, device), (inner, port)):
            run("ip", "-n", where, "link", "set", what, "up")

    def address(self, name, *addresses, device="eth0", routes=()):
        for address in addresses:
            run("ip", "-n", f"{self.prefix}-{name}", "addr", "add", address, "dev", device)
        for route in routes:
            run("ip", "-n", f"{self.prefix}-{name}", "route", "add", *route.split(), "dev", device)

    def ip(self, name, *words):
        return run("ip", "-n", f"{self.prefix}-{name}", *words)

    @contextlib.contextmanager
    def inside(self, name):
        fd = os.open(f"/run/netns/{self.prefix}-{name}", os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            libc.setns(self.home, CLONE_NEWNET)
            os.close(fd)

    # ---- traffic ----

    def raw(self, name, device="eth0"):
        """A packet socket on the device: sends and sees whole frames."""
        with self.inside(name):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            s.bind((device, 0))
        s.settimeout(2)
        return s

    def ping(self, name, to, count=1, size=56, extra=()):
        done = run("ip", "netns", "exec", f"{self.prefix}-{name}", "ping", "-n", "-q", "-c", str(count), "-i", "0.1",
                   "-W", "1", "-s", str(size), *extra, to, check=False)
        return done.returncode == 0

    def listen(self, name, address, port):
        with self.inside(name):
            s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen()
        s.settimeout(5)
        return s

    def connect(self, name, to, port, seconds=1.5):
        """A connected socket, or None when nobody answers in time."""
        with self.inside(name):
            s = socket.socket()
        s.settimeout(seconds)
        try:
            s.connect((to, port))
        except OSError:
            s.close()
            return None
        s.settimeout(5)
        return s

    def udp(self, name, address="0.0.0.0", port=0):
        with self.inside(name):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, port))
        s.settimeout(1.5)
        return s

    # ---- processes ----

    def start(self, *command, **more):
        process = subprocess.Popen(command, **more)
        self.processes.append(process)
        return process

    def start_switch(self, *more):
        log = open(self.folder + "/switch.log", "ab")
        self.switch = self.start(
            *self.switch_program, "--socket", self.socket, "--state-dir", self.state_dir, "--netns",
            f"{self.prefix}-switch", "--hugepages", "off", *more, stdout=log, stderr=log)
        log.close()
        if not wait_for(self.answers, 15):
            raise RuntimeError("the switch does not come up: " + self.switch_log())

    def answers(self):
        try:
            return self.control.call("version")
        except (OSError, ValueError):
            return None

    def kill_switch(self, how=signal.SIGKILL):
        self.switch.send_signal(how)
        return self.switch.wait(10)

    def switch_log(self):
        with open(self.folder + "/switch.log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for name in self.namespaces:
            run("ip", "netns", "del", name, check=False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.flow_memory)
        shutil.rmtree(self.folder, ignore_errors=True)


class Tap:
    """Runs test functions one after the other and prints TAP. A test may raise Skip."""

    class Skip(Exception):
        pass

    def __init__(self, tests):
        self.tests = tests
        self.failed = 0

    def run(self, *arguments):
        print(f"1..{len(self.tests)}", flush=True)
        for number, (name, test) in enumerate(self.tests, 1):
            try:
                test(*arguments)
                print(f"ok {number} - {name}", flush=True)
            except Tap.Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except Exception as why:  # pylint: disable=broad-except
                self.failed += 1
                print(f"not ok {number} - {name}", flush=True)
                for line in f"{type(why).__name__}: {why}".splitlines():
                    print(f"# {line}", flush=True)
        return self.failed == 0


def run_tests(make_world, tests, each=lambda test: test):
    """Runs those of the tests whose names have $TESTS in them, in a world of their own; a program's exit status.

    make_world: makes it, with build(), switch_log() and close(). each: what a test becomes before it is run.
    """
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to make network namespaces")
        return 0
    wanted = os.environ.get("TESTS", "")
    world = make_world()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        world.build()
        ok = Tap([(name, each(test)) for name, test in tests if wanted in name]).run(world)
        if not ok:
            print("# the switch's log:", *world.switch_log().splitlines()[-30:], sep="\n# ", flush=True)
        return 0 if ok else 1
    finally:
        world.close()
