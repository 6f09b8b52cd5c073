"""A whole cloud for tests: `sluice up` with state, namespace, ports and keys of its own, and what is seen of it from outside.

    with Cloud("build/src/cmd/sluice") as cloud:
        cloud.start()
        cloud.arm.group("g").create()

Everything it makes lies in a temporary folder or is named after it, and is gone at the end; processes are ended by pid.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import arm
import tap

IMAGES = pathlib.Path(os.environ.get("SLUICE_IMAGES", "/var/cache/sluice/images"))
READY_LIMIT_S, STOP_LIMIT_S = 60, 90
PROGRAMS = {"controller": "sluice-controller", "agent": "sluice-agent", "switch": "sluice-switch", "libvirtd": "libvirtd"}


def run(*command, check=True, **options):
    return subprocess.run([str(word) for word in command], check=check, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **options)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def processes():
    """(pid, parent's pid, command line) of all processes."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # it may end while it is looked at
            stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if stat[0] != "Z":
                yield int(folder.name), int(stat[1]), (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")


def links(namespace=None):
    where = ("-n", namespace) if namespace else ()
    return {link["ifname"] for link in json.loads(run("ip", "-j", *where, "link").stdout or "[]")}


def namespaces():
    return {line.split()[0] for line in run("ip", "netns").stdout.splitlines() if line}


class CallFailed(Exception):
    """A call to a program's control socket was refused, or never answered."""


def rpc(path, method, parameters=None, seconds=70):
    """The result of one JSON-RPC call."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": parameters} if parameters else {})}
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as answers:
                answer = json.loads(answers.readline() or "{}")
    except (OSError, ValueError) as error:
        raise CallFailed(f"{method} of {path}: {error}") from error
    if "result" not in answer:
        raise CallFailed(f"{method}: {answer.get('error', {}).get('message', 'no answer')}")
    return answer["result"]


class Cloud:
    def __init__(self, sluice, options=()):
        self.sluice, self.options, self.process, self.arm = pathlib.Path(sluice).resolve(), options, None, None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kill-", dir="/tmp"))
        self.folder.chmod(0o711)  # the switch's user passes through
        self.state = self.folder / "state"
        self.outside = self.folder.name
        self.namespace = "sluice-" + hashlib.sha256(str(self.state).encode()).hexdigest()[:8]
        self.ports = free_ports(2)
        self.watchers = contextlib.ExitStack()  # what watches the cloud, and ends before it

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what meson's time limit sends
        run("ip", "netns", "add", self.outside)
        run("ip", "-n", self.outside, "link", "set", "lo", "up")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.folder / "key")
        self.key = (self.folder / "key.pub").read_text().strip()
        if not (IMAGES / "aliases.json").exists():
            tap.note("building the image")
            run(self.sluice, "image", "build", "--images", IMAGES)
        return self

    def __exit__(self, *_):
        self.watchers.close()
        if self.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        for pid in self.all_pids():  # only when `sluice up` was killed or hangs
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in {self.outside, self.namespace, self.namespace + "-meta"} & namespaces():
            run("ip", "netns", "del", name, check=False)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- processes ----

    def command(self):
        listen, agent_listen = (f"127.0.0.1:{port}" for port in self.ports)
        return [str(self.sluice), "up", "--state", str(self.state), "--images", str(IMAGES), "--outside",
                "netns:" + self.outside, "--listen", listen, "--agent-listen", agent_listen,
                "--cpu-allocation-ratio", "16", "--ram-allocation-ratio", "5", *self.options]

    def start(self, environment=None):
        """Starts the cloud and returns when it is ready."""
        with open(self.folder / "up.log", "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *self.command()], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={**os.environ, **(environment or {})})
        tap.wait_for("the cloud is ready", READY_LIMIT_S, lambda: self.said("ready:", begin) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError("`sluice up` ended: " + (self.folder / "up.log").read_text())
        if (self.state / "principal.json").exists():  # a host of another's cloud has none
            self.arm = arm.Arm(self.state)

    def said(self, start, begin):
        text = (self.folder / "up.log").read_bytes()[begin:].decode(errors="replace")
        return any(line.startswith(start) for line in text.splitlines())

    def stop(self):
        """SIGTERM, as a user stops it; its exit status."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def pid(self, part):
        """The process that now is the part, or None while it is dead."""
        up = self.process
        for pid, parent, command in processes():
            if up and parent == up.pid and pathlib.Path(command[0]).name == PROGRAMS[part]:
                return pid
        return None

    def all_pids(self):
        """Every process that works on this cloud's state, virtual machines too."""
        mine = str(self.state)
        return [pid for pid, _, command in processes() if pid != os.getpid() and any(mine in word for word in command)]

    def qemu_pid(self, uid):
        """The process of the virtual machine, or None while it is off."""
        for pid, _, command in processes():
            if "qemu" in command[0] and any(str(self.state) in word for word in command) and any(uid in word for word in command):
                return pid
        return None

    def qemu_count(self):
        return sum("qemu" in command[0] and any(str(self.state) in word for word in command) for _, _, command in processes())

    def defined(self):
        """The uids of the machines that the libvirt daemon knows."""
        return {re.search("<uuid>(.*)</uuid>", path.read_text())[1] for path in (self.state / "libvirt/etc/qemu").glob("*.xml")}

    def provider_ledger(self):
        """Names of the functions that the NIC provider has on disk."""
        return {function["name"] for function in json.loads((self.state / "agent/functions.json").read_text())["functions"]}

    def kill(self, part):
        """kill -9; the pid that died, or None when it was dead already."""
        pid = self.pid(part)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def faults(self):
        """What the supervisor says of parts that ended neither by kill -9 nor, as agents do, for want of a libvirt daemon."""
        lines = (self.folder / "up.log").read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r": killed by signal (?!9 )|(?<!sluice-agent): ended with status", line)]

    def wait_part(self, part, not_pid=None):
        return tap.wait_for(f"{part} runs again", READY_LIMIT_S, lambda: self.pid(part) not in (None, not_pid) and self.pid(part))

    def wait_healthy(self, seconds=READY_LIMIT_S):
        """All parts answer and know each other."""
        def healthy():
            try:
                self.switch("version")
                self.arm.get("/subscriptions")
                return self.agent("status")["controller"] == "connected"
            except (CallFailed, arm.Unreachable, arm.Refused):
                return False
        tap.wait_for("controller, agent and switch answer", seconds, healthy)

    def agent(self, method, **parameters):
        return rpc(self.state / "run/agent.sock", method, parameters)

    @property
    def switch_socket(self):
        return next(self.state.glob("*/switch.sock"), self.state / "switch/switch.sock")

    def switch(self, method, **parameters):
        return rpc(self.switch_socket, method, parameters)

    def cli(self, *words, check=True):
        return run(self.sluice, *words, "--state", self.state, check=check, timeout=120)

    def logs(self, lines=25):
        consoles = sorted(self.state.glob("agent/vms/*/console.log"))
        emulators = sorted(self.state.glob("**/log/qemu/*.log"))
        for path in (self.folder / "up.log", *sorted((self.state / "log").glob("*.log")), *emulators, *consoles):
            if path.exists():
                tap.note(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:]))

    # ---- from outside ----

    def ssh_command(self, address, *words, port=22):
        return ["ip", "netns", "exec", self.outside, "ssh", "-F", "none", "-p", str(port), "-i", str(self.folder / "key"),
                "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "ServerAliveInterval=0", f"azureuser@{address}", *words]

    def ssh(self, address, command, seconds=30, port=22):
        """The output; RuntimeError when it fails."""
        try:
            result = run(*self.ssh_command(address, command, port=port), check=False, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"ssh {address}: no end within {seconds} s") from error
        if result.returncode != 0:
            raise RuntimeError(f"ssh {address} '{command}' ({result.returncode}): {result.stderr}{result.stdout}")
        return result.stdout

    def wait_ssh(self, address, seconds=60, port=22):
        """Until a login works; the seconds that took."""
        def works():
            with contextlib.suppress(RuntimeError):
                return self.ssh(address, "true", 10, port) == ""
            return False
        start = time.monotonic()
        tap.wait_for(f"ssh to {address}", seconds, works)
        return time.monotonic() - start

    def answers(self, address):
        return run("ip", "netns", "exec", self.outside, "ping", "-q", "-c", "1", "-W", "1", address, check=False).returncode == 0

    def wait_ping(self, address, seconds=30):
        tap.wait_for(f"a reply from {address}", seconds, lambda: self.answers(address))


class Ping:
    """A ping every 0.1 s while the block runs; then what was lost of it, and gap_s, the longest time without a reply."""

    def __init__(self, cloud, address):
        self.command = ["ip", "netns", "exec", cloud.outside, "ping", "-D", "-O", "-i", "0.1", address]
        self.lost = self.gap_s = self.replies = self.outages = self.last = None

    def __enter__(self):
        # It ends by SIGINT, which what a shell starts in the background ignores.
        self.process = subprocess.Popen(["env", "--default-signal=INT", *self.command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.replies is not None:
            return  # it was stopped before
        time.sleep(0.5)
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.reader.join()
        self.count()

    def count(self):
        seen = {}  # number: time of its first reply
        for line in self.lines:
            if match := re.match(r"\[([\d.]+)\].*icmp_seq=(\d+) ttl=", line):
                seen.setdefault(int(match[2]), float(match[1]))
        self.replies = len(seen)
        self.lost = max(seen, default=0) - len(seen)
        times = sorted(seen.values())
        self.gap_s = max((later - sooner for sooner, later in zip(times, times[1:])), default=float("inf"))
        self.last = max(times, default=0)
        numbers = sorted(seen)
        self.outages = [(seen[before], seen[after], after - before - 1)  # between which replies, and how many are missing
                        for before, after in zip(numbers, numbers[1:]) if after - before > 1]

    def __str__(self):
        return f"{self.replies} replies, {self.lost} lost, longest gap {self.gap_s * 1000:.0f} ms"


class Stream:
    """One TCP connection (ssh, `cat` at the other end) that carries noise to the machine and back."""

    def __init__(self, cloud, address):
        self.process = subprocess.Popen(cloud.ssh_command(address, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.sent, self.back, self.bytes_sent, self.bytes_back = hashlib.sha256(), hashlib.sha256(), 0, 0
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.feed, self.read)]
        for thread in self.threads:
            thread.start()

    def feed(self):
        with contextlib.suppress(BrokenPipeError):
            while not self.ending.wait(0.1):
                data = os.urandom(8000)
                self.process.stdin.write(data)
                self.process.stdin.flush()
                self.sent.update(data)
                self.bytes_sent += len(data)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def read(self):
        while data := self.process.stdout.read1(65536):
            self.back.update(data)
            self.bytes_back += len(data)

    def wait_bytes(self, more=20000, seconds=30):
        """Until so many bytes more came back."""
        target = self.bytes_back + more
        tap.wait_for("bytes of the stream", seconds, lambda: self.bytes_back >= target)

    def is_alive(self, seconds=30):
        with contextlib.suppress(tap.Timeout):
            self.wait_bytes(seconds=seconds)
            return True
        return False

    def abandon(self):
        self.ending.set()
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ends it; whether every byte came back."""
        self.ending.set()
        for thread in self.threads:
            thread.join(30)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.poll() is None:
            self.abandon()
        return self.bytes_back == self.bytes_sent > 0 and self.sent.digest() == self.back.digest()


def skip_unless_possible():
    """Ends the program with a TAP plan of nothing, and the reason, where no cloud can run."""
    missing = [tool for tool in ("qemu-system-x86_64", "qemu-img", "libvirtd", "setpriv", "ssh", "ip", "ping")
               if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        print("1..0 # SKIP " + (f"{', '.join(missing)} not installed" if missing else "this needs root"))
        sys.exit(0)
