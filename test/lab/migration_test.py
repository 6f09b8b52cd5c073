#!/usr/bin/python3
"""A running machine with a VF moves between two hosts with SR-IOV NICs, and the VF of one becomes the VF of the other.

    migration_test.py SLUICE SLUICE-GUEST KERNEL-FOLDER

Each host is a `sluice up` in a network namespace of the lab's machine, with a host name of its own, one of the two ports, and one
VF. The machine outside, in the namespace `out`, has a virtio NIC on their wire. One TCP connection from there goes on.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

from lab import ALIASES, OUTSIDE, RELAY, SIZES, VLAN, Connection, Losses, Quiet, free_port, note, wait_for
from host import PCI, prepare
from machine import Machine, judge, plain
from tap import Tap
import arm

SLUICE, GUEST, KERNEL = [plain(path) for path in sys.argv[1:4]]
NOBODY = ("00:00:00:00:00:00", 0)


class Host:
    """number: of the port. The first one has the controller."""

    def __init__(self, machine, name, number):
        self.machine, self.name, self.state = machine, name, f"/run/{name}"
        self.port, self.pf, self.address = f"eth{number}", f"0000:0{number + 1}:00.0", f"172.16.0.{number + 1}"

    def run(self, command, seconds=200):
        """In its namespace, where /sys shows its port."""
        return self.machine.run(f"ip netns exec {self.name} {command}", seconds=seconds)

    def cli(self, *words, seconds=300):
        return self.run(f"{SLUICE} {shlex.join(words)} --state {self.state}", seconds)

    def set_up(self):
        """A namespace with its port, which has one VF."""
        self.machine.run(f"printf '[physical physnet1]\\ndevices = {self.pf}\\nvfs = 1\\n' >{self.state}.conf && "
                         f"ip netns add {self.name} && ip -n {self.name} link set lo up && ip link set {self.port} netns {self.name} && "
                         f"echo 0 >{PCI}/devices/{self.pf}/sriov_drivers_autoprobe && echo 1 >{PCI}/devices/{self.pf}/sriov_numvfs && "
                         f"ip -n {self.name} link set {self.port} up")

    def start(self, *options):
        command = [SLUICE, "up", "--state", self.state, "--images", "/run/images", "--host-file", f"{self.state}.conf",
                   "--tunnel", f"{self.address}:8446", *options]
        self.machine.run(f"(ip netns exec {self.name} unshare --uts sh -c 'hostname {self.name}; exec \"$@\"' sh {shlex.join(command)} "
                         f">{self.state}.log 2>&1 &)")
        wait_for(f"host {self.name}, or its end", 300,
                 lambda: re.search("^ready:|^sluice up:", self.machine.run(f"cat {self.state}.log"), re.M))
        log = self.machine.run(f"cat {self.state}.log")
        assert re.search("^ready:", log, re.M), log

    def function(self):
        """Its one."""
        return next(row for row in json.loads(self.cli("vf", "list", "--json")) if row["function"])

    def rows(self, nic):
        return [row for row in json.loads(self.cli("vf", "list", "--json")) if row.get("nic_name") == nic]

    def on_pf(self):
        """MAC and VLAN that the PF has for the VF."""
        vf = json.loads(self.run(f"ip -j -d link show dev {self.port}"))[0]["vfinfo_list"][0]
        return vf.get("address") or vf.get("mac"), (vf.get("vlan_list") or [{}])[0].get("vlan", 0)

    def runs(self, uid):
        return self.machine.try_run(f"pgrep -f '^/usr/bin/qemu-system.*{self.state}/.*{uid}'")[0] == 0


class Test:
    """Steps in order; each builds on those before."""

    def __init__(self, machine, folder, port):
        self.machine, self.run, self.folder, self.port = machine, machine.run, pathlib.Path(folder), port
        self.hosts = {name: Host(machine, name, number) for number, name in enumerate(("one", "two"))}
        self.uids, self.addresses, self.group, self.cloud = {}, {}, None, None

    def comes_up(self):
        one, two = self.hosts.values()
        self.run("modprobe -a igb vfio-pci 8021q virtio_net kvm_amd")
        for host in self.hosts.values():
            host.set_up()
        self.run("ip link add hosts netns one type veth peer name hosts netns two && " + " && ".join(
            f"ip -n {host.name} addr add {host.address}/24 dev hosts && ip -n {host.name} link set hosts up" for host in (one, two)))
        self.run(f"ip link set eth2 netns one && ip -n one addr add 10.0.2.15/24 dev eth2 && ip -n one link set eth2 up && "
                 f"ip netns add out && ip link set eth3 netns out && ip -n out link set eth3 up && "
                 f"ip -n out link add wire link eth3 type vlan id {VLAN} && ip -n out addr add {OUTSIDE}/24 dev wire && ip -n out link set wire up")
        self.run(f"mkdir -p /run/images && ln -s {KERNEL}/images/lab-guest /run/images/ && cat {KERNEL}/images/lab-guest/* >/dev/null && "
                 f"echo {shlex.quote(json.dumps(ALIASES))} >/run/images/aliases.json && echo {shlex.quote(json.dumps(SIZES))} >/run/sizes.json")
        one.start("--listen", f"127.0.0.1:{self.port}", "--agent-listen", f"{one.address}:8444", "--sizes", "/run/sizes.json",
                  "--ram-allocation-ratio", "5")
        one.cli("host", "add", "two")
        self.run(f"mkdir -p {two.state}/tls && cp {one.state}/tls/hosts/two/* {two.state}/tls/")
        two.start("--controller", f"https://{one.address}:8444")
        self.reach()
        wait_for("both hosts", 60, lambda: len(self.cloud.get("/sluice/v1/hosts")["hosts"]) == 2)

    def reach(self):
        """The controller, from this machine."""
        self.run(f"(ip netns exec one python3 -c {shlex.quote(RELAY)} {self.port} >/run/relay.log 2>&1 &)")
        for name in ("ca.pem", "endpoint", "principal.json"):
            (self.folder / name).write_text(self.run(f"cat {self.hosts['one'].state}/{name}"), encoding="utf-8")
        self.cloud = arm.Arm(self.folder)
        wait_for("an answer of the controller", 60, self.answers)
        self.group = self.cloud.group("lab")

    def answers(self):
        try:
            return self.cloud.get("/subscriptions")
        except arm.Unreachable:
            return False

    def place(self, name):
        """The host on which the machine's process is; there must be one."""
        found = [host for host in self.hosts.values() if host.runs(self.uids[name])]
        assert len(found) == 1, f"{name} runs on {[host.name for host in found]}"
        return found[0]

    def other(self, name):
        return next(host for host in self.hosts.values() if host is not self.place(name))

    def make(self, name):
        """A machine whose NIC has a VF at once."""
        group = self.group
        group.nic(name, "wire", subnet="s")
        group.vm(name, name, (self.folder / "key.pub").read_text(), "Standard_Lab", ("Sluice", "Lab", "guest", "latest"))
        nic = self.cloud.get(group("networkInterfaces", name))["properties"]
        self.addresses[name] = nic["ipConfigurations"][0]["properties"]["privateIPAddress"]
        self.uids[name] = self.cloud.get(group("virtualMachines", name))["properties"]["vmId"]
        wait_for(f"an answer of {name}", 300, lambda: self.machine.try_run(f"ip netns exec out ping -c 1 -W 5 {self.addresses[name]}")[0] == 0)
        self.wait_function(name, self.place(name))

    def wait_function(self, name, host):
        """The host's VF is in the machine, and the PF has its MAC and VLAN."""
        wait_for(f"{name} has the VF of host {host.name}", 240, lambda: any(row["state"] == "attached" for row in host.rows(name)))
        row = host.function()
        assert (row["nic_name"], host.on_pf()) == (name, (row["mac"], VLAN)), (row, host.on_pf())

    def is_free(self, host):
        wait_for(f"the VF of host {host.name} is free", 60, lambda: host.function()["state"] == "free")
        assert host.on_pf() == NOBODY, host.on_pf()

    def in_guest(self, name, command):
        return self.machine.run_inside(self.addresses[name], command, seconds=240)

    def has_function(self):
        self.hosts["one"].cli("network", "physical", "add", "physnet1", "--vlans", "100-199")
        self.group.create()
        self.group.put("virtualNetworks", "wire", {
            "addressSpace": {"addressPrefixes": ["10.9.0.0/16"]},
            "subnets": [{"name": "s", "properties": {"addressPrefix": "10.9.0.0/24"}}]}, tags={"sluice-segment": f"vlan:physnet1:{VLAN}"})
        self.make("moves")
        note(self.in_guest("moves", "pair; lspci | grep igbvf"))

    def migrate(self, name, target):
        told = self.hosts["one"].cli("vm", "migrate", f"lab/{name}", "--to", target.name)
        note("\n".join(line for line in told.splitlines() if not line.endswith("%")))
        assert self.place(name) is target, f"it is on {self.place(name).name}"

    def looks(self):
        """What shows a new start, or another place of the VF, in the guest."""
        return self.in_guest("moves", "cat /proc/sys/kernel/random/boot_id; lspci")

    def moves(self):
        source, target = self.place("moves"), self.other("moves")
        before = self.looks()
        connection, losses = Connection(self, "moves"), Losses(self, "moves")
        losses.mark("migration")
        self.migrate("moves", target)
        self.wait_function("moves", target)
        (lost, silence), = losses.end()["migration"]
        note(f"from {source.name} to {target.name}: pings lost: {lost}; the longest gap between two of ten pings a second: {silence:.0f} ms")
        note(f"one TCP connection carried {connection.end()} lines in order")
        self.is_free(source)
        assert not source.rows("moves"), source.rows("moves")
        assert self.looks() == before, self.looks()

    def goes_without(self):
        """To the host whose VF another machine has; it gets it when that is gone."""
        target = self.other("moves")
        self.make("stays")
        assert self.place("stays") is target, f"stays is on {self.place('stays').name}, where no VF was free"
        connection, quiet = Connection(self, "moves"), Quiet(self, "moves")
        source = self.place("moves")
        self.migrate("moves", target)
        wait_for("the reason", 60, lambda: target.rows("moves") and target.rows("moves")[0]["reason"])
        note(json.dumps(target.rows("moves")))
        assert target.rows("moves")[0]["active"] == "synthetic", target.rows("moves")
        quiet.end() # neither switch has ever seen it
        self.is_free(source)
        self.cloud.delete(self.group("virtualMachines", "stays"))
        self.wait_function("moves", target)
        note(f"one TCP connection carried {connection.end()} lines in order")

    def is_cancelled(self):
        source, target = self.place("moves"), self.other("moves")
        connection, before = Connection(self, "moves"), self.looks()
        command = f"ip netns exec one {SLUICE} vm migrate lab/moves --to {target.name} --state {self.hosts['one'].state}"
        self.run(f"({command} >/run/migrate.log 2>&1; echo \"status $?\" >>/run/migrate.log) &")
        wait_for("the machine is on its way", 120, lambda: target.runs(self.uids["moves"]))
        note(self.hosts["one"].cli("vm", "migrate", "lab/moves", "--cancel"))
        wait_for("the end of it", 60, lambda: "status" in self.run("cat /run/migrate.log"))
        assert "status 0" not in self.run("cat /run/migrate.log"), "a cancelled migration is said to have succeeded"
        wait_for("it is only where it was", 60, lambda: not target.runs(self.uids["moves"]))
        self.wait_function("moves", source)
        self.is_free(target)
        assert self.looks() == before, self.looks()
        note(f"one TCP connection carried {connection.end()} lines in order")

    def ends(self):
        self.cloud.delete(self.group.path)
        for host in self.hosts.values():
            self.is_free(host)

    def logs(self):
        return self.machine.try_run("tail -n 20 /run/one.log /run/two.log /run/count.log; tail -n 40 /run/one/log/*.log /run/two/log/*.log; "
                                    "tail -n 15 /run/*/agent/vms/*/console.log; dmesg | tail -n 30")[1]


def points(test):
    return (
        ("two hosts with a VF each are one cloud", test.comes_up),
        ("a machine has the VF of one of them", test.has_function),
        ("it moves, and has the VF of the other, in the same place; its connection goes on", test.moves),
        ("it moves back", test.moves),
        ("where no VF is free it goes on by its standby, and gets the VF when that is given back", test.goes_without),
        ("a migration that is cancelled leaves it where it was, with its VF", test.is_cancelled),
        ("when all is deleted both VFs are free", test.ends),
    )


def main():
    if not prepare(KERNEL, GUEST):
        return 0
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, Machine(KERNEL, memory_mib=5120, forward=port, outsider=True) as machine:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/key"], check=True)
        test = Test(machine, folder, port)
        steps = points(test)
        tap = Tap(len(steps))
        for name, run in steps:
            tap.point(name, run)
        if tap.failed:
            note(test.logs())
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
