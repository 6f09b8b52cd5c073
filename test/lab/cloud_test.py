#!/usr/bin/python3
"""A whole cloud on a host with SR-IOV NICs, driven by the real az: a virtual network on a VLAN, NICs that get a function, one
that must not, one whose guest applies the rules, and what becomes of connections when functions go and come.

    cloud_test.py SLUICE SLUICE-GUEST AZ KERNEL-FOLDER      CYCLES=20: revocations

The cloud runs in the lab's compute host. Its first port is the physical network physnet1; the second, on the same wire, is in
the namespace `out`, a machine of VLAN 100. az runs on this machine and reaches the controller by a forwarded port.
"""
import json
import os
import re
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from machine import Machine
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import Tap, note, wait_for  # noqa: E402

SLUICE, GUEST, AZ, KERNEL = [os.path.abspath(path) for path in sys.argv[1:5]]
CYCLES = int(os.environ.get("CYCLES", "20"))
STATE, PF, VLAN, OUTSIDE = "/run/cloud", "0000:01:00.0", 100, "10.9.0.200"
VFS = 3
SIZES = [{"name": "Standard_Lab", "family": "standardLabFamily", "vcpus": 2, "memory_mib": 320, "max_nics": 2, "bandwidth_mbps": 1000,
          "os_disk_mib": 65536, "resource_disk_mib": 1024, "max_data_disks": 4, "accelerated": True}]
ALIASES = {"LabGuest": {"publisher": "Sluice", "offer": "Lab", "sku": "guest", "version": "latest", "architecture": "x64",
                        "image": "lab-guest"}}
# Sends numbered lines to the guest's echo service and notes each that comes back, as long as none is missing.
COUNT = ("import socket,time\nc=socket.create_connection((\"TO\",7),20)\nc.settimeout(60)\nlines=c.makefile()\nn=0\nwhile True:\n"
         " c.sendall(b\"%d\\n\" % n)\n assert int(lines.readline())==n\n n+=1\n print(time.time(), n, flush=True)\n time.sleep(0.2)")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """az, with a configuration of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "AZURE_CONFIG_DIR": f"{folder}/azure", "REQUESTS_CA_BUNDLE": f"{folder}/ca.pem"}

    def log_in(self):
        subprocess.run([SLUICE, "az-env", "--state", self.folder, "--az", AZ, "--do"], check=True, env=self.environment,
                       stdout=subprocess.DEVNULL)

    def __call__(self, *words, check=True):
        done = subprocess.run([AZ, *words, "--output", "json"], env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=900)
        if check and done.returncode:
            raise AssertionError(f"az {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else done.stderr


class Lab:
    """The compute host: what runs on it, and what is seen of it."""

    def __init__(self, machine, folder, port):
        self.machine, self.run, self.port = machine, machine.run, port
        self.az = Client(folder)
        self.uids = {}

    def set_up(self):
        """VFs by `sluice host setup`, the wire's other end, a port for az."""
        self.run("hostname lab && modprobe -a igb igbvf vfio-pci 8021q virtio_net && mkdir -p /etc/sluice && "
                 f"printf '[physical physnet1]\\ndevices = {PF}\\nvfs = {VFS}\\n' >/etc/sluice/host.conf")
        note(self.run(f"{SLUICE} host setup --apply"))
        self.run(f"ip netns add out && ip link set eth1 netns out && ip -n out link add wire link eth1 type vlan id {VLAN} && "
                 f"ip -n out link set eth1 up && ip -n out addr add {OUTSIDE}/24 dev wire && ip -n out link set wire up && "
                 "ip addr add 10.0.2.15/24 dev eth2 && ip link set eth2 up")
        self.before = self.inventory()

    def inventory(self):
        return json.loads(self.run(f"{SLUICE} host show --json"))

    def start(self):
        sizes, images = json.dumps(SIZES), "/run/images"
        self.run(f"mkdir -p {images} && ln -s {KERNEL}/images/lab-guest {images}/lab-guest && cat {images}/lab-guest/* >/dev/null && "
                 f"echo {shlex.quote(json.dumps(ALIASES))} >{images}/aliases.json && echo {shlex.quote(sizes)} >/run/sizes.json && "
                 f"({SLUICE} up --state {STATE} --images {images} --sizes /run/sizes.json --listen 127.0.0.1:{self.port} "
                 "--ram-allocation-ratio 5 >/run/up.log 2>&1 &)")
        wait_for("the cloud, or its end", 300, lambda: re.search("^ready:|^sluice up:", self.run("cat /run/up.log"), re.M))
        relay = ("import socket,threading\ndef move(a,b):\n try:\n  while d:=a.recv(65536): b.sendall(d)\n except OSError: pass\n"
                 " for s in (a,b):\n  try: s.shutdown(2)\n  except OSError: pass\n"
                 f"l=socket.create_server((\"10.0.2.15\",{self.port}))\nwhile True:\n c=l.accept()[0]\n"
                 f" s=socket.create_connection((\"127.0.0.1\",{self.port}))\n for p in ((c,s),(s,c)): threading.Thread(target=move,args=p,daemon=True).start()")
        self.run(f"(python3 -c {shlex.quote(relay)} >/run/relay.log 2>&1 &)")
        for name in ("ca.pem", "endpoint", "principal.json"):
            with open(f"{self.az.folder}/{name}", "w", encoding="utf-8") as file:
                file.write(self.run(f"cat {STATE}/{name}"))
        self.az.log_in()

    def cli(self, *words, seconds=200):
        return self.run(f"{SLUICE} {shlex.join(words)} --state {STATE}", seconds=seconds)

    def functions(self):
        return json.loads(self.cli("vf", "list", "--json"))

    def function(self, nic):
        return next(row for row in self.functions() if row.get("nic_name") == nic)

    def in_guest(self, vm, command, seconds=120):
        """A command on the machine's console."""
        return self.run(f"{HERE}/guest.py {STATE}/agent/vms/{self.uids[vm]}/console.sock {seconds} {shlex.quote(command)}",
                        seconds=seconds + 30)

    def out(self, command, seconds=120, check=True):
        return self.run(f"ip netns exec out {command}", seconds=seconds, check=check)

    def nic(self, name):
        return self.az("network", "nic", "show", "-g", "lab", "-n", name)

    def acceleration(self, nic):
        """What the NIC says of its path; az's own command for NICs knows no such member."""
        return self.az("resource", "show", "-g", "lab", "-n", nic, "--resource-type", "Microsoft.Network/networkInterfaces",
                       "--api-version", "2022-07-01")["properties"]["accelerationStatus"]

    def vm(self, name):
        self.uids[name] = self.az("vm", "show", "-g", "lab", "-n", name)["vmId"]


class Losses:
    """Pings of a guest from outside, ten a second, and what was lost between marks."""

    def __init__(self, lab, address):
        self.lab, self.marks = lab, []
        lab.run(f"(ip netns exec out ping -D -n -i 0.1 {address} >/run/ping.log 2>&1 & echo $! >/run/ping.pid)")

    def mark(self, name):
        self.marks.append((float(self.lab.run("date +%s.%N")), name))

    def end(self):
        """[(mark, pings lost until the next one, longest silence in seconds)]"""
        self.mark("end")
        self.lab.run("kill $(cat /run/ping.pid)")
        found = re.findall(r"^\[([\d.]+)\].*icmp_seq=(\d+)", self.lab.run("cat /run/ping.log"), re.M)
        got, told = sorted((float(when), int(number)) for when, number in found), []
        for (begin, name), (end, _) in zip(self.marks, self.marks[1:]):
            steps = [(after[1] - before[1] - 1, after[0] - before[0]) for before, after in zip(got, got[1:]) if begin <= after[0] < end]
            told.append((name, sum(max(0, lost) for lost, _ in steps), max((silence for _, silence in steps), default=end - begin)))
        return told


class Test:
    """Steps in order; each builds on those before."""

    def __init__(self, lab):
        self.lab, self.az, self.addresses = lab, lab.az, {}

    def comes_up(self):
        self.lab.set_up()
        self.lab.start()
        status = self.lab.cli("status")
        assert "sriov" in status, status
        assert [row["state"] for row in self.lab.functions()] == ["free"] * VFS, self.lab.functions()

    def has_networks(self):
        lab, az = self.lab, self.az
        lab.cli("network", "physical", "add", "physnet1", "--vlans", "100-199", "--guest-enforcement")
        az("group", "create", "-n", "lab", "-l", "centralus")
        az("network", "vnet", "create", "-g", "lab", "-n", "wire", "--address-prefixes", "10.9.0.0/16", "--subnet-name", "s",
           "--subnet-prefixes", "10.9.0.0/24", "--tags", f"sluice-segment=vlan:physnet1:{VLAN}")
        az("network", "vnet", "create", "-g", "lab", "-n", "cloud", "--address-prefixes", "10.8.0.0/16", "--subnet-name", "s",
           "--subnet-prefixes", "10.8.0.0/24")
        az("network", "nsg", "create", "-g", "lab", "-n", "guard")
        az("network", "nsg", "rule", "create", "-g", "lab", "--nsg-name", "guard", "-n", "ping", "--priority", "100", "--protocol", "Icmp",
           "--access", "Allow", "--direction", "Inbound")
        note(lab.cli("network", "list"))

    def nic_create(self, name, *words, vnet="wire"):
        return self.az("network", "nic", "create", "-g", "lab", "-n", name, "--vnet-name", vnet, "--subnet", "s",
                       "--accelerated-networking", "true", *words)

    def has_nics(self):
        self.nic_create("open")
        self.nic_create("guarded", "--network-security-group", "guard")
        self.nic_create("trusted", "--network-security-group", "guard", "--tags", "sluice-enforcement=guest")
        for name in ("open", "guarded", "trusted"):
            self.addresses[name] = self.lab.nic(name)["ipConfigurations"][0]["privateIPAddress"]

    def vm_create(self, name):
        self.az("vm", "create", "-g", "lab", "-n", name, "--nics", name, "--image", "LabGuest", "--size", "Standard_Lab",
                "--admin-username", "azureuser", "--ssh-key-values", f"{self.az.folder}/key.pub")
        self.lab.vm(name)
        wait_for(f"the shell of {name}", 400, lambda: "guest: up" in self.lab.machine.try_run(
            f"cat {STATE}/agent/vms/{self.lab.uids[name]}/console.log")[1])

    def wait_state(self, nic, state, seconds=240):
        try:
            wait_for(f"the function of {nic} is {state}", seconds, lambda: self.lab.function(nic)["state"] == state)
        except Exception as error:
            raise AssertionError(f"{error}: {self.lab.function(nic)}") from error

    def on_pf(self, index):
        """MAC and VLAN that the PF has for a VF."""
        vf = json.loads(self.lab.run("ip -j -d link show dev eth0"))[0]["vfinfo_list"][index]
        return vf.get("address") or vf.get("mac"), (vf.get("vlan_list") or [{}])[0].get("vlan", 0)

    def wait_status(self, nic, **wanted):
        """What az shows of the NIC's acceleration, until it is so."""
        def shown():
            status = self.lab.acceleration(nic)
            return all(status.get(key) == value for key, value in wanted.items()) and status
        return wait_for(f"az shows {wanted} of {nic}", 60, shown)

    def pings(self, address, count=5):
        return self.lab.machine.try_run(f"ip netns exec out ping -c {count} -i 0.3 -W 5 {address}")[0] == 0

    def connects(self, address):
        """Whether the guest's echo service takes a connection from outside."""
        call = f"import socket; socket.create_connection((\"{address}\", 7), 5)"
        return self.lab.machine.try_run(f"ip netns exec out python3 -c {shlex.quote(call)}")[0] == 0

    def open_is_accelerated(self):
        lab = self.lab
        self.vm_create("open")
        self.wait_state("open", "attached")
        row = lab.function("open")
        assert self.on_pf(row["index"]) == (row["mac"], VLAN), (self.on_pf(row["index"]), row)
        note(lab.cli("vf", "list"))
        note(lab.in_guest("open", "pair; lspci | grep igbvf; sluice-guest doctor"))
        self.wait_status("open", path="vf", enforcement="hardware")
        assert self.pings(self.addresses["open"]), "no answer by the function"

    def is_answered_on_it(self):
        """DHCP and metadata, which the host answers, come back by the function."""
        note(self.lab.in_guest("open", "udhcpc -n -q -t 5 -i eth0 -s /etc/dhcp 2>&1 | tail -n 1"))
        document = self.lab.in_guest("open", "wget -q -O - --header 'Metadata: true' 'http://169.254.169.254/metadata/instance?api-version=2021-02-01'")
        assert json.loads(document)["compute"]["name"] == "open", document

    def cycles(self):
        lab = self.lab
        count = COUNT.replace("TO", self.addresses["open"])
        lab.run(f"(ip netns exec out python3 -c {shlex.quote(count)} >/run/count.log 2>&1 &)")
        wait_for("the connection", 60, lambda: lab.run("cat /run/count.log"))
        losses = Losses(lab, self.addresses["open"])
        for cycle in range(CYCLES):
            losses.mark("revoke")
            lab.cli("vf", "revoke", "open")
            time.sleep(1)
            losses.mark("restore")
            lab.cli("vf", "restore", "open")
            self.wait_state("open", "attached")
            time.sleep(1)
        told = losses.end()
        for name in ("revoke", "restore"):
            lost, gaps = zip(*[(lost, gap) for mark, lost, gap in told if mark == name])
            note(f"{name}: {CYCLES} times, pings lost {sorted(lost)}; longest silences, seconds: median {statistics.median(gaps):.1f}, "
                 f"all {[round(gap, 1) for gap in sorted(gaps)]}")
        last = lab.run("tail -n 1 /run/count.log").split()
        assert re.match(r"[\d.]+$", last[0]) and float(last[0]) > float(lab.run("date +%s")) - 20, last
        note(f"one TCP connection carried {last[1]} lines in order")

    def guarded_is_not(self):
        lab = self.lab
        self.vm_create("guarded")
        status = wait_for("the reason", 120, lambda: lab.acceleration("guarded").get("reason") and lab.acceleration("guarded"))
        note(json.dumps(status))
        assert status["path"] == "synthetic" and status["enforcement"] == "switch" and "security groups" in status["reason"], status
        assert self.pings(self.addresses["guarded"]), "the group allows ping"
        assert not self.connects(self.addresses["guarded"]), "the group forbids TCP"

    def reach_each_other(self):
        """On one host: a function, a virtio NIC."""
        lab = self.lab
        lab.in_guest("open", f"ping -c 5 -W 5 {self.addresses['guarded']}")
        lab.in_guest("guarded", f"ping -c 5 -W 5 {self.addresses['open']}")

    def trusted_is_accelerated(self):
        lab = self.lab
        self.vm_create("trusted")
        self.wait_state("trusted", "attached", 400)
        note(json.dumps(self.wait_status("trusted", path="vf", enforcement="guest")))
        assert self.pings(self.addresses["trusted"]), "the group allows ping"
        assert not self.connects(self.addresses["trusted"]), "the guest lets in what it must not"
        note(lab.in_guest("trusted", "nft list table inet sluice | head -n 20"))

    def rule_ends_it(self):
        """A group on the open NIC: the function goes before the rule counts as applied."""
        self.az("network", "nic", "update", "-g", "lab", "-n", "open", "--network-security-group", "guard")
        assert self.lab.function("open")["state"] != "attached", self.lab.function("open")
        self.wait_status("open", path="synthetic", enforcement="switch")
        assert self.pings(self.addresses["open"]), "the group allows ping"
        self.az("network", "nic", "update", "-g", "lab", "-n", "open", "--network-security-group", "")
        self.wait_state("open", "attached")

    def drains(self):
        """The PF's driver is taken away and comes back while the machines run."""
        lab = self.lab
        note(lab.cli("host", "drain"))
        lab.run("modprobe -r igb", seconds=120)
        assert self.lab.machine.try_run(f"test -e /sys/bus/pci/devices/{PF}/net")[0], "the driver is still there"
        lab.run(f"modprobe igb && ip link set eth1 netns out && ip -n out link add wire link eth1 type vlan id {VLAN} && "
                f"ip -n out link set eth1 up && ip -n out addr add {OUTSIDE}/24 dev wire && ip -n out link set wire up")
        note(lab.run(f"{SLUICE} host setup --boot"))
        lab.cli("host", "undrain")
        self.wait_state("open", "attached")
        assert self.pings(self.addresses["open"]), "no answer by the function"

    def ends(self):
        self.az("group", "delete", "-n", "lab", "-y")
        wait_for("all functions are free", 60, lambda: [row["state"] for row in self.lab.functions()] == ["free"] * VFS)
        assert self.lab.inventory() == self.lab.before, (self.lab.inventory(), self.lab.before)


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    subprocess.run([f"{HERE}/guest.sh", KERNEL, GUEST], check=True)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, Machine(KERNEL, memory_mib=5120, forward=port) as machine:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        test = Test(Lab(machine, folder, port))
        points = (
            ("a host is set up for functions, and a cloud runs on it", test.comes_up),
            ("a virtual network travels on a VLAN of a physical network", test.has_networks),
            ("NICs of it are made: open, guarded by a group, and with a guest that applies the group", test.has_nics),
            ("the open NIC gets a function, with its MAC and VLAN on the PF", test.open_is_accelerated),
            ("DHCP and metadata are answered on the function", test.is_answered_on_it),
            ("a connection outlives that the function goes and comes", test.cycles),
            ("the guarded NIC stays synthetic, with the reason, and its group holds", test.guarded_is_not),
            ("a function and a virtio NIC of one host reach each other", test.reach_each_other),
            ("the NIC whose guest applies the rules gets a function, and the rules hold", test.trusted_is_accelerated),
            ("a rule takes the function before it counts as applied", test.rule_ends_it),
            ("a drained host lets the PF's driver go, and gives functions again", test.drains),
            ("when all is deleted the functions are as they were found", test.ends),
        )
        tap = Tap(len(points))
        for name, run in points:
            began = time.monotonic()
            tap.point(name, run)
            note(f"took {time.monotonic() - began:.0f} s")
            if tap.failed:
                note(machine.try_run(f"cat /run/up.log /run/relay.log; tail -n 40 {STATE}/log/*.log; {SLUICE} vf list --state {STATE}; "
                                     f"tail -n 5 {STATE}/agent/vms/*/console.log; ip -d link show dev eth0; bridge fdb show dev eth0; dmesg | tail -n 15")[1])
                break
        return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
