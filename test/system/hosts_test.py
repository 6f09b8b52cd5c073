#!/usr/bin/python3
"""A cloud of two hosts on one machine: real controller, agents and switches, pretended machines. Prints TAP.

    hosts_test.py SLUICE SLUICE-CONTROLLER SLUICE-AGENT SLUICE-SWITCH        as root

Each host is a network namespace with an interface on one bridge, which carries its agent's calls to the controller and,
by a macvlan of its own, its switch's packets to the other's. The virtual machines' manager is the fake one; a guest is a
network namespace, and one testpmd joins each guest's interface to its NIC's vhost-user socket, as a QEMU would.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import arm  # noqa: E402
import lab as net  # noqa: E402
import tap  # noqa: E402

HOSTS = {"one": "172.16.0.1", "two": "172.16.0.2"}  # and the VTEP of each
CONTROLLER = "172.16.0.100"
OUTSIDE = "198.18.0.1"  # of each host
SHARED = {"198.18.0.253", "198.18.0.254"}  # the last ones of the pool, in any order
ALIASES = {"UbuntuLTS": {"publisher": "Canonical", "offer": "UbuntuServer", "sku": "18.04-LTS", "version": "latest",
                         "architecture": "x64", "image": "pretended", "accelerated": True}}
MTU = 1450  # what is left of the bridge's 1500
TESTPMD = "dpdk-testpmd"


class World(net.Lab):
    def __init__(self, sluice, controller, agent, switch):
        super().__init__(switch, "hosts")
        self.sluice, self.controller_program, self.agent_program = sluice, controller, agent
        self.state = pathlib.Path(self.folder) / "cloud"
        self.running = {}  # name: process
        self.sharing = set()  # hosts whose switch is in their own namespace, and tunnels by their own address
        self.arm = None

    # ---- what is built once ----

    def build(self):
        self.namespace("fabric")
        self.ip("fabric", "link", "add", "bridge", "type", "bridge")
        net.run("ip", "netns", "exec", f"{self.prefix}-fabric", "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0",
                check=False)
        self.ip("fabric", "link", "set", "bridge", "up")
        self.join("cloud", CONTROLLER)
        self.make_certificates()
        (self.state / "aliases.json").write_text(json.dumps(ALIASES))
        (self.state / "endpoint").write_text(f"https://{CONTROLLER}:8443\n")
        self.start_controller()
        for number, host in enumerate(HOSTS):
            self.join(host, f"172.16.0.{11 + number}")
            for part in ("switch", "meta", "outside"):
                self.namespace(f"{host}-{part}")
            self.start_host_switch(host)
            self.start_agent(host)

    def join(self, name, address):
        """A namespace with an interface on the bridge."""
        self.namespace(name)
        self.ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", f"{self.prefix}-fabric")
        self.ip(name, "addr", "add", address + "/24", "dev", "eth0")
        self.ip(name, "link", "set", "eth0", "up")
        self.ip("fabric", "link", "set", name, "master", "bridge", "up")

    def make_certificates(self):
        """A CA and the controller's; those of hosts are made as operators make them."""
        tls = self.state / "tls"
        tls.mkdir(parents=True)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
        ca, server = str(tls / "ca"), str(tls / "controller")
        net.run("openssl", "req", "-x509", *key, "-subj", "/CN=Test CA", "-keyout", ca + ".key", "-out", ca + ".pem",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        net.run("openssl", "req", "-x509", *key, "-subj", "/CN=sluice-controller", "-CA", ca + ".pem", "-CAkey",
                ca + ".key", "-keyout", server + ".key", "-out", server + ".pem", "-addext",
                f"subjectAltName=IP:{CONTROLLER}", "-addext", "extendedKeyUsage=serverAuth", "-addext",
                "basicConstraints=critical,CA:FALSE")
        (self.state / "ca.pem").write_text((tls / "ca.pem").read_text())
        for host in HOSTS:
            self.add_host(host)

    def add_host(self, host):
        """Its certificate is copied to where its agent has it."""
        net.run(self.sluice, "host", "add", host, "--state", str(self.state))
        shutil.copytree(self.state / "tls/hosts" / host, f"{self.folder}/{host}-tls", dirs_exist_ok=True)

    # ---- processes ----

    def start_in(self, namespace, name, *command):
        with open(f"{self.folder}/{name}.log", "ab") as log, self.inside(namespace):
            self.running[name] = self.start(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop_process(self, name, kill=False):
        process = self.running.pop(name)
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(20)

    def start_controller(self):
        tls, sizes = self.state / "tls", pathlib.Path(__file__).resolve().parent.parent.parent / "dist/catalog/sizes.json"
        self.start_in("cloud", "controller", self.controller_program, "--state", str(self.state / "controller"), "--listen",
                      f"{CONTROLLER}:8443", "--agent-listen", f"{CONTROLLER}:8444", "--cert", str(tls / "controller.pem"),
                      "--key", str(tls / "controller.key"), "--ca", str(tls / "ca.pem"), "--sizes", str(sizes),
                      "--aliases", str(self.state / "aliases.json"), "--ram-allocation-ratio", "100",
                      "--cpu-allocation-ratio", "100", "--print-principal", str(self.state / "principal.json"))

    def start_host_switch(self, host):
        self.start_in(host, f"{host}-switch", self.switch_program, "--socket", self.switch_socket(host), "--state-dir",
                      f"{self.folder}/{host}-switch", "--netns", self.switch_namespace(host), "--hugepages", "off")

    def switch_namespace(self, host):
        return f"{self.prefix}-{host}" + ("" if host in self.sharing else "-switch")

    def start_agent(self, host, underlay=True):
        tls = pathlib.Path(f"{self.folder}/{host}-tls")
        address = "host" if host in self.sharing else HOSTS[host] + "/24"
        more = ("--underlay", "eth0", "--underlay-address", address) if underlay else ()
        if host not in self.sharing:
            more += ("--netns-switch", self.switch_namespace(host))
        self.start_in(host, f"{host}-agent", self.agent_program, "--host-name", host, "--state",
                      f"{self.folder}/{host}-agent", "--run", f"{self.folder}/{host}", "--controller",
                      f"https://{CONTROLLER}:8444", "--cert", str(tls / "host.pem"), "--key", str(tls / "host.key"), "--ca",
                      str(tls / "ca.pem"), "--vm", "fake", "--switch-socket", self.switch_socket(host), "--netns-meta",
                      f"{self.prefix}-{host}-meta", "--outside", f"netns:{self.prefix}-{host}-outside", "--outside-address",
                      f"{OUTSIDE}/24", "--memory-start-mib", "1", "--memory-reserve-mib", "0", *more)

    def close(self):
        for host in HOSTS:
            digest = hashlib.sha256(f"{self.folder}/{host}-switch".encode()).hexdigest()
            pathlib.Path(f"/dev/shm/sluice-{digest[:16]}-flows").unlink(missing_ok=True)
        super().close()

    def switch_socket(self, host):
        return f"{self.folder}/{host}-switch.sock"

    def ask_agent(self, host, method="status"):
        """None while nobody answers."""
        with contextlib.suppress(OSError, ValueError):
            return net.Control(f"{self.folder}/{host}/agent.sock").call(method)
        return None

    def ask_switch(self, host, method, parameters=None):
        return net.Control(self.switch_socket(host)).call(method, parameters)

    def wait_hosts(self):
        for host in HOSTS:
            tap.wait_for(f"host {host} has the controller and its switch", 30, lambda host=host: (
                (status := self.ask_agent(host)) and status["controller"] == "connected" and status["switch"] == "in step"))

    def log_tails(self):
        for name in ("controller", "one-agent", "two-agent", "one-switch", "two-switch", "guests"):
            path = pathlib.Path(f"{self.folder}/{name}.log")
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            tap.note(f"--- {name}\n" + "\n".join(lines[-15:]))

    # ---- guests ----

    def state_of(self, host):
        """What the host's switch was told; {} before."""
        with contextlib.suppress(OSError):
            return json.loads(pathlib.Path(f"{self.folder}/{host}-switch/state.json").read_text(encoding="utf-8"))
        return {}

    def add_guest(self, nic):
        """A namespace in the place of a virtual machine, with what DHCP would give it; eth0's other end is in "switch"."""
        name = nic["name"]
        self.namespace(name)
        self.wire("to-" + name, name, nic["mac"])
        self.ip(name, "link", "set", "eth0", "mtu", str(nic["mtu"]))
        # testpmd takes frames off the pair as they are, with nothing that would say what is open in them.
        net.run("ip", "netns", "exec", f"{self.prefix}-{name}", "ethtool", "-K", "eth0", "tx", "off", "tso", "off")
        self.address(name, nic["addresses"][0]["ip"] + "/24", routes=("default via 192.168.1.1",))

    def start_guests(self, nics):
        """For all NICs, as the switches know them."""
        vdevs = []
        for number, nic in enumerate(nics):
            self.add_guest(nic)
            vdevs += ["--vdev", f"net_virtio_user{number},path={nic['attachments'][0]['socket']},server=1,queues=1,"
                      f"mac={nic['mac']}", "--vdev", f"net_af_packet{number},iface=to-{nic['name']}"]
        self.start_in("switch", "guests", "nice", TESTPMD, "-l", "0-1", "--no-huge", "-m", "256", "--no-pci",
                      "--no-telemetry", "--file-prefix", self.prefix, *vdevs, "--", "--forward-mode=io", "--auto-start",
                      "--total-num-mbufs=16384", "--no-mlockall", "--nb-cores=1", "--stats-period=3600")


class Test:
    """Steps in order; each builds on those before."""

    def __init__(self, world):
        self.world, self.group, self.address, self.place = world, None, {}, {}

    @contextlib.contextmanager
    def cloud(self):
        """Where the controller is reached from."""
        with self.world.inside("cloud"):
            yield self.world.arm

    def starts(self):
        tap.wait_for("the controller", 30, (self.world.state / "principal.json").exists)
        self.world.arm = arm.Arm(self.world.state)
        self.world.wait_hosts()
        with self.cloud() as cloud:
            hosts = {host["name"]: host for host in cloud.get("/sluice/v1/hosts")["hosts"]}
        assert {name: host["vtep"] for name, host in hosts.items()} == HOSTS, hosts
        assert all(host["conditions"] == [] for host in hosts.values()), hosts

    def places(self):
        with self.cloud() as cloud:
            self.group = group = cloud.group("g")
            group.create()
            group.network("net")
            group.security_group("nsg")
            for name in ("a", "b"):
                group.nic(name, "net", security_group="nsg", accelerated=False)
            starts = [threading.Thread(target=group.vm, args=(name, name, "ssh-ed25519 AAAA test")) for name in ("a", "b")]
            for start in starts:
                start.start()
        nics = tap.wait_for("the switches to know the NICs", 30, self.find_nics)
        self.world.start_guests(nics)
        for start in starts:
            start.join()
        assert sorted(self.place.values()) == ["one", "two"], self.place
        with self.cloud():
            assert group.power("a") == group.power("b") == "running"

    def find_nics(self):
        """None until both are there."""
        nics = [(host, nic) for host in HOSTS for nic in self.world.state_of(host).get("nics", [])]
        for host, nic in nics:
            self.place[nic["name"]], self.address[nic["name"]] = host, nic["addresses"][0]["ip"]
        return len(nics) == 2 and [nic for _, nic in nics]

    def reaches(self, size=56):
        return self.world.ping("a", self.address["b"], size=size, extra=("-M", "do"))

    def wait_reaches(self, reaches=True):
        tap.wait_for("the guests' reach", 30, lambda: self.reaches() == reaches)

    def pings(self):
        self.wait_reaches()
        assert self.reaches(MTU - 28), "a full packet"
        rows = self.world.ask_switch(self.place["a"], "flow.list")["flows"]
        assert any("vxlan" in action and HOSTS[self.place["b"]] in action for row in rows for action in row["actions"]), rows

    def tells_mtu(self):
        for host in HOSTS:
            nics = self.world.state_of(host)["nics"]
            assert [nic["mtu"] for nic in nics] == [MTU], nics

    def reaches_outside(self):
        """Without a public address: by the one that the host's NICs share."""
        networks = [network for host in HOSTS for network in self.world.state_of(host)["networks"]]
        assert {address for network in networks for address in network["source_nat"]["addresses"]} == SHARED, networks
        assert self.world.ping("a", OUTSIDE) and self.world.ping("b", OUTSIDE)

    def limits_rate(self):
        limits = [nic["limits"] for host in HOSTS for nic in self.world.state_of(host)["nics"]]
        assert limits == [{"send": {"bits_per_s": 1500 * 10**6}}] * 2, limits

    def keeps_host(self):
        """The interface stays the host's: its own address answers, beside the switch's."""
        assert self.world.ping("cloud", "172.16.0.11") and self.world.ping("one", "172.16.0.12")

    def holds_policy(self):
        listener = self.world.listen("b", self.address["b"], 7000)
        deny = {"access": "Deny", "sourceAddressPrefix": "VirtualNetwork"}
        with self.cloud():
            self.group.rule("nsg", "no", 100, port="7000", **deny)
        assert not self.world.connect("a", self.address["b"], 7000), "denied"
        with self.cloud() as cloud:
            cloud.delete(self.group("networkSecurityGroups", "nsg") + "/securityRules/no")
        client = self.world.connect("a", self.address["b"], 7000)
        assert client, "allowed again"
        accepted = listener.accept()[0]
        sender = threading.Thread(target=lambda: client.sendall(b"x" * 300000))
        sender.start()
        received = 0
        while received < 300000:
            received += len(accepted.recv(65536))
        sender.join()

    def survives(self):
        """Nothing of a network is lost when all that controls it dies, and comes again host by host."""
        for name in ("controller", "one-agent", "two-agent"):
            self.world.stop_process(name, kill=True)
        assert self.reaches(), "while nobody is there"
        self.world.start_controller()
        self.world.start_agent("one")
        tap.wait_for("host one has the controller", 30, lambda: (
            (status := self.world.ask_agent("one")) and status["controller"] == "connected" and status["switch"] == "in step"))
        assert self.reaches(), "while host two has not reported"
        self.world.start_agent("two")
        self.world.wait_hosts()
        self.wait_reaches()

    def says_so(self):
        """A host that has no underlay."""
        self.world.stop_process("two-agent")
        self.world.start_agent("two", underlay=False)
        self.world.wait_hosts()
        self.wait_reaches(False)
        for host in HOSTS:
            said = tap.wait_for("a condition", 30, lambda host=host: self.world.ask_agent(host)["conditions"])
            tap.note(said)
            assert len(said) == 1 and "Host two has no underlay" in said[0], said
        with self.cloud() as cloud:
            hosts = {host["name"]: host["conditions"] for host in cloud.get("/sluice/v1/hosts")["hosts"]}
        assert all("no underlay" in host[0] for host in hosts.values()), hosts
        self.world.stop_process("two-agent")
        self.world.start_agent("two")
        self.wait_reaches()

    def shares_address(self):
        """Where the switch is in the host's namespace it can tunnel by the host's own address, which stays that."""
        address = "172.16.0.12"
        for name in ("two-agent", "two-switch"):
            self.world.stop_process(name)
        self.world.start_in("two", "two-agent", self.world.agent_program, "--underlay", "eth0", "--underlay-address",
                            f"{address}/24", "--state", f"{self.world.folder}/two-agent", "--run", f"{self.world.folder}/two",
                            "--netns-meta", f"{self.world.prefix}-two-meta")
        assert self.world.running.pop("two-agent").wait(20) == 1
        log = pathlib.Path(f"{self.world.folder}/two-agent.log").read_text()
        assert f"'{address}/24' is the host's own on eth0" in log.splitlines()[-1], log
        self.world.sharing.add("two")
        self.world.start_host_switch("two")
        self.world.start_agent("two")
        self.world.wait_hosts()
        self.wait_reaches()
        assert self.reaches(MTU - 28), "a full packet"
        self.keeps_host()
        assert self.world.ask_agent("two")["underlay"]["kernel"], self.world.ask_agent("two")
        lines = [line.split() for line in net.run("ip", "netns", "exec", f"{self.world.prefix}-two", "cat",
                                                  "/proc/net/snmp").stdout.splitlines() if line.startswith("Icmp:")]
        assert dict(zip(*lines))["OutDestUnreachs"] == "0", "the kernel calls VXLAN's port unreachable"
        with self.cloud() as cloud:
            hosts = {host["name"]: host for host in cloud.get("/sluice/v1/hosts")["hosts"]}
        assert hosts["two"]["vtep"] == address and not hosts["two"]["conditions"], hosts

    def forgets(self):
        with self.cloud() as cloud:
            cloud.delete(self.group("virtualMachines", "b"))
        tap.wait_for("host one's mappings to go", 30, lambda: not self.mappings())

    def remove(self, host, *options):
        with self.cloud():
            return net.run(self.world.sluice, "host", "remove", host, *options, "--state", str(self.world.state), check=False)

    def gives_up(self):
        """A host that died with a machine."""
        host = self.place["a"]
        refused = self.remove(host, "--lost")
        assert refused.returncode == 1 and f"host {host} reports" in refused.stderr, refused
        self.world.stop_process(f"{host}-agent", kill=True)
        done = tap.wait_for("the host to be silent", 60, lambda: (
            (done := self.remove(host, "--lost")).returncode == 0 and done))
        tap.note(done.stdout)
        assert "virtual machine g/a is lost" in done.stdout, done
        with self.cloud() as cloud:
            assert host not in {other["name"] for other in cloud.get("/sluice/v1/hosts")["hosts"]}
            cloud.delete(self.group("virtualMachines", "a"))
        self.world.start_agent(host)
        log = pathlib.Path(f"{self.world.folder}/{host}-agent.log")
        tap.wait_for("it to be told", 30, lambda: f"host {host} was removed from the cloud" in log.read_text())
        self.world.stop_process(f"{host}-agent")
        shutil.rmtree(f"{self.world.folder}/{host}-agent")
        self.world.add_host(host)
        self.world.start_agent(host)
        self.world.wait_hosts()

    def mappings(self):
        networks = self.world.state_of(self.place["a"])["networks"]
        return [mapping for network in networks for mapping in network.get("mappings", [])]


POINTS = [
    ("both hosts report their VTEPs, and nothing is amiss", Test.starts),
    ("two machines of one network are placed on two hosts", Test.places),
    ("their guests reach each other through VXLAN, with full packets", Test.pings),
    ("NICs are told an MTU that fits the tunnel", Test.tells_mtu),
    ("guests without a public address reach the outside", Test.reaches_outside),
    ("what NICs send is limited by the size of their machine", Test.limits_rate),
    ("the interface of the underlay stays the host's", Test.keeps_host),
    ("policy is applied between hosts, and bytes cross whole", Test.holds_policy),
    ("a controller and agents that die and come again lose no mapping", Test.survives),
    ("a host without underlay is named by all that it concerns", Test.says_so),
    ("a host's switch can tunnel by the host's own address, which stays the host's", Test.shares_address),
    ("what is gone is mapped no more", Test.forgets),
    ("a host that died is given up, and takes part again with a new certificate", Test.gives_up),
]


def main():
    if os.geteuid() != 0 or not shutil.which(TESTPMD):
        print("1..0 # SKIP " + (f"{TESTPMD} is not installed" if os.geteuid() == 0 else "this needs root"))
        return 0
    world = World(*sys.argv[1:])
    points = tap.Tap(len(POINTS))
    test = Test(world)
    try:
        world.build()
        for promise, step in POINTS:
            points.point(promise, lambda step=step: step(test))
        if points.failed:
            world.log_tails()
    finally:
        world.close()
    return points.failed


if __name__ == "__main__":
    sys.exit(main())
