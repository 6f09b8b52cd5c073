"""A guest and its host in two network namespaces, for tests of what the guest applies.

    host: 169.254.169.254:80, host0 ~~ eth0 :guest: far0 ~~ host1 :host

eth0 is the NIC; host0 has the gateway's MAC, as what the platform sends to NICs has. The host's metadata service is a small one of the test's own: it serves the document that the test has set
and holds requests, as docs/API.md says. What comes in by eth0 for others the guest forwards to far0, and the reverse, so
that a test sees by the packet what rules let through in either direction.
"""
import contextlib
import ctypes
import hashlib
import http.server
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from lab import CLONE_NEWNET, GATEWAY_MAC, run, wait_for

PREFIX = "sgp"
SERVICE = ("169.254.169.254", 80)
HOST, GUEST = "100.127.0.1", "100.127.0.2"
HOST6, GUEST6 = "fd7f::1", "fd7f::2"
NFNL_CONNTRACK_DELETE = 1 << 8 | 2

libc = ctypes.CDLL(None, use_errno=True)


def canonical(policy):
    return json.dumps(policy, separators=(",", ":"), sort_keys=True)


def end(address, port):
    """For a socket; a link-local address with the number of its interface: "fe80::1%2"."""
    ip, _, scope = address.partition("%")
    return (ip, port, 0, int(scope)) if scope else (ip, port)


def hash_of(policy):
    return hashlib.sha256(canonical(policy).encode()).hexdigest()


class Service:
    """The host's side of /sluice/v1/policy and /sluice/v1/guest, for one NIC."""

    def __init__(self, listening, hold=0.5):
        self.changed = threading.Condition()
        self.policy, self.hold, self.reports, self.identities = None, hold, [], []
        self.known = self.honest = True
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(*service.get(self.path, self.headers))

            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(*service.put(self.path, json.loads(body)))

            def answer(self, status, text=""):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(text.encode())

        self.server = http.server.ThreadingHTTPServer(SERVICE, Handler, bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = listening
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def get(self, path, headers):
        base, _, after = path.partition("?after=")
        if base != "/sluice/v1/policy" or headers.get("Metadata") != "true" or not self.known:
            return 404, "{}"
        with self.changed:
            self.changed.wait_for(lambda: hash_of(self.policy) != after, self.hold)
            if hash_of(self.policy) == after:
                return (204,)
            # Members in another order than the hashed text has them: the guest is to hash what it understood.
            return 200, json.dumps({"policy": self.policy, "hash": hash_of(self.policy if self.honest else 0)})

    def put(self, path, report):
        lists = {"/sluice/v1/policy": self.reports, "/sluice/v1/guest": self.identities}
        if path not in lists:
            return 404, "{}"
        with self.changed:
            lists[path].append(report)
        return (204,)

    def set(self, policy):
        with self.changed:
            self.policy = policy
            self.reports.clear()
            self.changed.notify_all()

    def last_report(self):
        """The newest about the present policy; None: none yet."""
        with self.changed:
            return next((r for r in reversed(self.reports) if r["hash"] == hash_of(self.policy)), None)


class World:
    """with_service False: the host's namespace is for a real agent's service."""

    def __init__(self, tool, with_service=True):
        self.tool, self.with_service = tool, with_service
        self.folder = tempfile.mkdtemp(prefix=PREFIX)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.environment = dict(os.environ, RUNTIME_DIRECTORY=self.folder)
        self.agent = self.service = None
        self.sockets = []

    # ---- namespaces ----

    @contextlib.contextmanager
    def inside(self, name):
        fd = os.open(f"/run/netns/{PREFIX}-{name}", os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            libc.setns(self.home, CLONE_NEWNET)
            os.close(fd)

    def at(self, name, *command, check=True):
        return run("ip", "netns", "exec", f"{PREFIX}-{name}", *command, check=check)

    def wire(self, device, host_device, *host_options):
        guest, host = f"{PREFIX}-guest", f"{PREFIX}-host"
        run("ip", "-n", guest, "link", "add", device, "type", "veth", "peer", "name", host_device, *host_options, "netns",
            host)
        run("ip", "-n", guest, "link", "set", device, "up")
        run("ip", "-n", host, "link", "set", host_device, "up")

    def mac(self, name, device):
        return json.loads(self.at(name, "ip", "-j", "link", "show", device).stdout)[0]["address"]

    def build(self):
        for name in ("guest", "host"):
            run("ip", "netns", "del", f"{PREFIX}-{name}", check=False)
            run("ip", "netns", "add", f"{PREFIX}-{name}")
            run("ip", "-n", f"{PREFIX}-{name}", "link", "set", "lo", "up")
            self.at(name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        self.wire("eth0", "host0", "address", GATEWAY_MAC)
        self.wire("far0", "host1")
        for name, device, address, address6 in (("guest", "eth0", GUEST, GUEST6), ("host", "host0", HOST, HOST6)):
            run("ip", "-n", f"{PREFIX}-{name}", "addr", "add", f"{address}/30", "dev", device)
            run("ip", "-n", f"{PREFIX}-{name}", "addr", "add", f"{address6}/64", "dev", device, "nodad")
        run("ip", "-n", f"{PREFIX}-guest", "route", "add", SERVICE[0], "via", HOST, "src", GUEST)
        self.forward()
        if self.with_service:
            self.serve()

    def serve(self):
        run("ip", "-n", f"{PREFIX}-host", "addr", "add", SERVICE[0] + "/32", "dev", "host0")
        with self.inside("host"):
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(SERVICE)
            listening.listen(16)
        self.service = Service(listening)

    def forward(self):
        """From eth0 to far0 and back, whatever the addresses are."""
        self.at("guest", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0", "net.ipv4.conf.far0.rp_filter=0",
                "net.ipv4.conf.all.send_redirects=0", "net.netfilter.nf_conntrack_checksum=0")
        guest = f"{PREFIX}-guest"
        for number, (come, go, beyond) in enumerate((("eth0", "far0", "host1"), ("far0", "eth0", "host0"))):
            table, hops = str(100 + number), {"-4": f"198.18.{number}.1", "-6": f"fd7e:{number}::1"}
            for family, hop in hops.items():
                run("ip", family, "-n", guest, "neigh", "add", hop, "lladdr", self.mac("host", beyond), "dev", go, "nud",
                    "permanent")
                run("ip", family, "-n", guest, "rule", "add", "iif", come, "table", table)
                run("ip", family, "-n", guest, "route", "add", "default", "via", hop, "dev", go, "onlink", "table", table)

    # ---- packets ----

    def raw(self, device):
        """A packet socket in the host, big enough for a batch."""
        with self.inside("host"):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((device, 3))
        s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
        s.settimeout(5)
        self.sockets.append(s)
        return s

    def forget_connections(self):
        with self.inside("guest"):
            s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        with s:
            s.send(struct.pack("=IHHII", 20, NFNL_CONNTRACK_DELETE, 5, 1, 0) + bytes(4))
            error = struct.unpack("=i", s.recv(100)[16:20])[0]
            assert error == 0, f"connections cannot be forgotten: {os.strerror(-error)}"

    def listen(self, name, address, port, kind=socket.SOCK_STREAM):
        with self.inside(name):
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(end(address, port))
        if kind == socket.SOCK_STREAM:
            s.listen(8)
        s.settimeout(1)
        self.sockets.append(s)
        return s

    def connect(self, name, address, port):
        """A connected socket, or None."""
        with self.inside(name):
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        s.settimeout(0.6)
        self.sockets.append(s)
        try:
            s.connect((address, port))
        except OSError:
            return None
        return s

    def pings(self, name, address):
        return self.at(name, "ping", "-n", "-c", "1", "-W", "1", address, check=False).returncode == 0

    # ---- the guest's tool ----

    def run_tool(self, *arguments, environment=None):
        return subprocess.run(
            ["ip", "netns", "exec", f"{PREFIX}-guest", self.tool, "enforce", "--interface", "eth0", *arguments],
            capture_output=True, text=True, timeout=30, env=environment or self.environment)

    def apply(self, policy):
        """Once, and the report of it."""
        self.service.set(policy)
        done = self.run_tool("--once")
        assert done.returncode == 0, done.stderr
        return self.service.last_report()

    def start_service(self, environment=None):
        self.agent = subprocess.Popen(
            ["ip", "netns", "exec", f"{PREFIX}-guest", self.tool, "enforce", "--interface", "eth0"],
            stderr=open(self.folder + "/log", "ab"), env=environment or self.environment)

    def stop_service(self):
        if self.agent:
            self.agent.terminate()
            self.agent.wait()
            self.agent = None

    def follow(self, policy):
        """Sets a policy that the running service is to apply; its report."""
        self.service.set(policy)
        report = wait_for(self.service.last_report, 5)
        assert report, "no report: " + self.switch_log()
        return report

    def table(self):
        """As nft lists it; None when there is none."""
        done = self.at("guest", "nft", "list", "table", "inet", "sluice", check=False)
        return done.stdout if done.returncode == 0 else None

    def calm(self):
        """The state in which each test begins."""
        self.stop_service()
        for s in self.sockets:
            s.close()
        self.sockets.clear()
        if self.service:
            self.service.known = self.service.honest = True
            self.service.set(None)
        self.at("guest", "nft", "flush", "ruleset")
        for name in os.listdir(self.folder):
            if name != "host":
                os.unlink(os.path.join(self.folder, name))
        self.forget_connections()

    def switch_log(self):
        with contextlib.suppress(FileNotFoundError), open(self.folder + "/log", encoding="utf-8") as log:
            return log.read()
        return ""

    def close(self):
        self.stop_service()
        for s in self.sockets:
            s.close()
        for name in ("guest", "host"):
            run("ip", "netns", "del", f"{PREFIX}-{name}", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
