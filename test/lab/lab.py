"""A cloud in the lab: the real az here, everything else in the compute host, whose second port, on the same wire, is in the
namespace `out`, a machine of the VLAN that has nothing of the cloud's."""
import json
import math
import os
import re
import shlex
import socket
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import note, wait_for  # noqa: E402

STATE, PF, VLAN, OUTSIDE = "/run/cloud", "0000:01:00.0", 100, "10.9.0.200"
VFS = 3
AZ_SECONDS = 400 # within them az ends, whatever it was told to do
SIZES = [{"name": "Standard_Lab", "family": "standardLabFamily", "vcpus": 2, "memory_mib": 320, "max_nics": 2, "bandwidth_mbps": 1000,
          "os_disk_mib": 65536, "resource_disk_mib": 1024, "max_data_disks": 4, "accelerated": True}]
ALIASES = {"LabGuest": {"publisher": "Sluice", "offer": "Lab", "sku": "guest", "version": "latest", "architecture": "x64",
                        "image": "lab-guest", "accelerated": True}}
# Takes connections to the machine's address to the same port of its loopback, which is all that `sluice up` listens on.
RELAY = """
import socket, sys, threading
def move(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for end in (a, b):
        try:
            end.shutdown(2)
        except OSError:
            pass
port = int(sys.argv[1])
listener = socket.create_server(("10.0.2.15", port))
while True:
    near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", port))
    for pair in ((near, far), (far, near)):
        threading.Thread(target=move, args=pair, daemon=True).start()
"""
# Says a line to the guest's other echo service, and the next one when it is told to.
QUIET = """
import os, socket, sys, time
connection = socket.create_connection((sys.argv[1], 9), 20)
connection.settimeout(60)
lines = connection.makefile()
for line in ("first", "second"):
    connection.sendall(line.encode() + b"\\n")
    assert lines.readline().strip() == line
    print(line, flush=True)
    while not os.path.exists("/run/speak"):
        time.sleep(0.2)
"""
# Sends numbered lines to the guest's echo service and notes each that comes back, as long as none is missing.
COUNT = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], 7), 20)
connection.settimeout(120)
lines, n = connection.makefile(), 0
while True:
    connection.sendall(b"%d\\n" % n)
    assert int(lines.readline()) == n
    n += 1
    print(time.time(), n, flush=True)
    time.sleep(0.1)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spread(values):
    """The distribution of some milliseconds in a line."""
    ordered = sorted(values)
    p95 = ordered[math.ceil(len(ordered) * 0.95) - 1]
    return f"min {ordered[0]:.0f}, median {statistics.median(ordered):.0f}, p95 {p95:.0f}, max {ordered[-1]:.0f} ms"


class Client:
    """az, with a configuration of its own."""

    def __init__(self, sluice, az, folder):
        self.sluice, self.az, self.folder = sluice, az, folder
        self.environment = {**os.environ, "AZURE_CONFIG_DIR": f"{folder}/azure", "REQUESTS_CA_BUNDLE": f"{folder}/ca.pem"}

    def log_in(self):
        subprocess.run([self.sluice, "az-env", "--state", self.folder, "--az", self.az, "--do"], check=True, env=self.environment,
                       stdout=subprocess.DEVNULL)

    def __call__(self, *words):
        """What the command answers."""
        done = subprocess.run([self.az, *words, "--output", "json"], env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=AZ_SECONDS)
        if done.returncode:
            raise AssertionError(f"az {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None


class Lab:
    """The compute host: what runs on it, and what is seen of it."""

    def __init__(self, machine, sluice, az, folder, port):
        self.machine, self.run, self.sluice, self.port = machine, machine.run, sluice, port
        self.az = Client(sluice, az, folder)
        self.uids, self.addresses, self.before = {}, {}, None

    def set_up(self):
        """VFs by `sluice host setup`, the wire's other end, a port for az."""
        self.run("hostname lab && modprobe -a igb igbvf vfio-pci 8021q virtio_net kvm_amd && mkdir -p /etc/sluice && "
                 f"printf '[physical physnet1]\\ndevices = {PF}\\nvfs = {VFS}\\n' >/etc/sluice/host.conf")
        note(self.run(f"{self.sluice} host setup --apply"))
        self.run("ip netns add out && ip addr add 10.0.2.15/24 dev eth2 && ip link set eth2 up")
        self.connect_out()
        self.before = self.inventory()

    def connect_out(self):
        """The second port goes to the namespace, where the VLAN is an interface."""
        self.run(f"ip link set eth1 netns out && ip -n out link add wire link eth1 type vlan id {VLAN} && "
                 f"ip -n out link set eth1 up && ip -n out addr add {OUTSIDE}/24 dev wire && ip -n out link set wire up")

    def inventory(self):
        return json.loads(self.run(f"{self.sluice} host show --json"))

    def start(self, images):
        self.run(f"mkdir -p /run/images && ln -s {images}/lab-guest /run/images/ && cat {images}/lab-guest/* >/dev/null && "
                 f"echo {shlex.quote(json.dumps(ALIASES))} >/run/images/aliases.json && "
                 f"echo {shlex.quote(json.dumps(SIZES))} >/run/sizes.json && "
                 f"({self.sluice} up --state {STATE} --images /run/images --sizes /run/sizes.json --listen 127.0.0.1:{self.port} "
                 "--ram-allocation-ratio 5 >/run/up.log 2>&1 &)")
        wait_for("the cloud, or its end", 300, lambda: re.search("^ready:|^sluice up:", self.run("cat /run/up.log"), re.M))
        self.run(f"(python3 -c {shlex.quote(RELAY)} {self.port} >/run/relay.log 2>&1 &)")
        for name in ("ca.pem", "endpoint", "principal.json"):
            with open(f"{self.az.folder}/{name}", "w", encoding="utf-8") as file:
                file.write(self.run(f"cat {STATE}/{name}"))
        self.az.log_in()

    def cli(self, *words, seconds=200):
        return self.run(f"{self.sluice} {shlex.join(words)} --state {STATE}", seconds=seconds)

    def functions(self):
        return json.loads(self.cli("vf", "list", "--json"))

    def function(self, nic):
        return next(row for row in self.functions() if row.get("nic_name") == nic)

    def on_pf(self, index):
        """MAC and VLAN that the PF has for a VF."""
        vf = json.loads(self.run("ip -j -d link show dev eth0"))[0]["vfinfo_list"][index]
        return vf.get("address") or vf.get("mac"), (vf.get("vlan_list") or [{}])[0].get("vlan", 0)

    def in_guest(self, vm, command, seconds=120):
        """A command in the guest, sent from outside the cloud."""
        return self.machine.run_inside(self.addresses[vm], command, seconds)

    def out(self, command, seconds=120):
        return self.run(f"ip netns exec out {command}", seconds=seconds)

    def out_succeeds(self, command):
        return self.machine.try_run(f"ip netns exec out {command}")[0] == 0

    def pings(self, vm):
        return self.out_succeeds(f"ping -c 5 -i 0.3 -W 5 {self.addresses[vm]}")

    def connects(self, vm):
        """Whether the guest's echo service takes a connection from outside."""
        call = f"import socket; socket.create_connection((\"{self.addresses[vm]}\", 7), 5)"
        return self.out_succeeds(f"python3 -c {shlex.quote(call)}")

    def ask(self, *words):
        """az, of what is in the group lab."""
        return self.az(*words, "-g", "lab")

    def acceleration(self, nic):
        """What the NIC says of its path; az's own command for NICs knows no such member."""
        return self.ask("resource", "show", "-n", nic, "--resource-type", "Microsoft.Network/networkInterfaces",
                       "--api-version", "2022-07-01")["properties"]["accelerationStatus"]

    def nic_create(self, name, *words):
        self.ask("network", "nic", "create", "-n", name, "--vnet-name", "wire", "--subnet", "s", "--accelerated-networking", "true", *words)
        self.addresses[name] = self.ask("network", "nic", "show", "-n", name)["ipConfigurations"][0]["privateIPAddress"]

    def vm_create(self, name):
        """With the NIC of the same name; returns when its guest is up and has its address."""
        self.ask("vm", "create", "-n", name, "--nics", name, "--image", "LabGuest", "--size", "Standard_Lab",
                "--admin-username", "azureuser", "--ssh-key-values", f"{self.az.folder}/key.pub")
        self.uids[name] = self.ask("vm", "show", "-n", name)["vmId"]
        console = f"{STATE}/agent/vms/{self.uids[name]}/console.log"
        wait_for(f"the guest of {name}", 400, lambda: self.machine.try_run(f"grep -q 'guest: up' {console}")[0] == 0)
        wait_for(f"an answer of {name}", 120, lambda: self.out_succeeds(f"ping -c 1 -W 5 {self.addresses[name]}"))

    def wait_state(self, nic, state, seconds=240):
        try:
            wait_for(f"the function of {nic} is {state}", seconds, lambda: self.function(nic)["state"] == state)
        except Exception as error:
            raise AssertionError(f"{error}: {self.function(nic)}") from error

    def wait_status(self, nic, **wanted):
        """What az shows of the NIC's acceleration, until it is so."""
        def shown():
            status = self.acceleration(nic)
            return all(status.get(key) == value for key, value in wanted.items()) and status
        return wait_for(f"az shows {wanted} of {nic}", 60, shown)

    def state_of_things(self):
        """For a person who looks why a step failed."""
        return self.machine.try_run(
            f"cat /run/up.log /run/relay.log /run/count.log | tail -n 20; tail -n 60 {STATE}/log/*.log; {self.sluice} vf list --state {STATE}; "
            f"tail -n 15 {STATE}/agent/vms/*/console.log; ip -d link; bridge fdb show dev eth0; dmesg | tail -n 30; "
            "ss -tanpi; ip -s link show eth2; cat /proc/interrupts; ps -eLo pid,tid,stat,wchan:20,time,comm")[1]


class Connection:
    """A TCP connection from outside to a guest's echo service; it must carry all its lines in order, whatever happens."""

    def __init__(self, lab, vm):
        self.lab = lab
        lab.run(f"(ip netns exec out python3 -c {shlex.quote(COUNT)} {lab.addresses[vm]} >/run/count.log 2>&1 & echo $! >/run/count.pid)")
        wait_for("the connection", 60, lambda: lab.run("cat /run/count.log"))

    def end(self):
        """The lines that it has carried, when it still carries more."""
        def lines():
            return int(self.lab.run("tail -n 1 /run/count.log").split()[1])
        before = lines()
        wait_for("the connection carries more", 60, lambda: lines() > before)
        self.lab.run("kill $(cat /run/count.pid)")
        return lines()


class Quiet:
    """A TCP connection from outside to a guest, on which nothing is said before its end."""

    def __init__(self, lab, vm):
        self.lab = lab
        lab.run(f"rm -f /run/speak; (ip netns exec out python3 -c {shlex.quote(QUIET)} {lab.addresses[vm]} >/run/quiet.log 2>&1 &)")
        wait_for("the quiet connection", 60, lambda: "first" in lab.run("cat /run/quiet.log"))

    def end(self):
        self.lab.run("touch /run/speak")
        wait_for("an answer on the quiet connection", 60, lambda: "second" in self.lab.run("cat /run/quiet.log"))


class Losses:
    """Pings of a guest from outside, ten a second, and what was lost between marks."""

    def __init__(self, lab, vm):
        self.lab, self.marks = lab, []
        lab.run(f"(ip netns exec out ping -D -n -i 0.1 {lab.addresses[vm]} >/run/ping.log 2>&1 & echo $! >/run/ping.pid)")

    def mark(self, name):
        self.marks.append((float(self.lab.run("date +%s.%N")), name))

    def end(self):
        """{name of a mark: [(pings lost until the next mark, longest time without an answer in ms)]}"""
        self.mark("end")
        self.lab.run("kill $(cat /run/ping.pid)")
        found = re.findall(r"^\[([\d.]+)\].*icmp_seq=(\d+) ttl", self.lab.run("cat /run/ping.log"), re.M)
        got, told = sorted((float(when), int(number)) for when, number in found), {}
        for (begin, name), (end, _) in zip(self.marks, self.marks[1:]):
            steps = [(after[1] - before[1] - 1, after[0] - before[0]) for before, after in zip(got, got[1:]) if begin <= after[0] < end]
            told.setdefault(name, []).append((sum(max(0, lost) for lost, _ in steps),
                                              1000 * max((silence for _, silence in steps), default=end - begin)))
        return told
