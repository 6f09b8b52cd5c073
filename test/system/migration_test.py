#!/usr/bin/env python3
"""A running virtual machine moves between two hosts of a cloud, there and back. Prints TAP.

    migration_test.py SLUICE        as root

Each host is a `sluice up` in a network namespace and with a host name of its own; a bridge in the namespace of this test
joins them. The machine that moves carries a TCP connection from a machine that stays.
"""
import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import cloud
import tap

CLONE_NEWNET = 0x40000000
HOSTS = {"one": ("172.16.0.11", "172.16.0.1"), "two": ("172.16.0.12", "172.16.0.2")}  # host's own address, its switch's


class Host(cloud.Cloud):
    """`sluice up` in its own network namespace and with its own host name. The first one has the controller."""

    def __init__(self, sluice, name, first=None):
        address, vtep = HOSTS[name]
        super().__init__(sluice, ("--underlay", "eth0", "--underlay-address", vtep + "/24",
                                 "--tunnel", f"{address}:8446"))
        self.name, self.first, self.address = name, first, address
        self.home = f"{self.folder.name}-{name}"

    def __enter__(self):
        super().__enter__()
        cloud.run("ip", "netns", "add", self.home)
        cloud.run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.home)
        cloud.run("ip", "link", "set", self.name, "master", "fabric", "up")
        cloud.run("ip", "-n", self.home, "link", "set", "lo", "up")
        cloud.run("ip", "-n", self.home, "addr", "add", self.address + "/24", "dev", "eth0")
        cloud.run("ip", "-n", self.home, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        super().__exit__()
        cloud.run("ip", "netns", "del", self.home, check=False)

    def command(self):
        if self.first:
            where = ("--controller", f"https://{self.first.address}:8444")
        else:
            where = ("--listen", f"{self.address}:8443", "--agent-listen", f"{self.address}:8444",
                     "--cpu-allocation-ratio", "16", "--ram-allocation-ratio", "5")
        return ["nsenter", f"--net=/run/netns/{self.home}", "unshare", "--uts", "sh", "-c",
                f'hostname {self.name}; exec "$@"', "sh", str(self.sluice), "up", "--state", str(self.state),
                "--images", str(cloud.IMAGES), "--outside", "netns:" + self.outside, *where, *self.options]

    def take_certificate(self):
        """As an operator does it."""
        cloud.run(self.sluice, "host", "add", self.name, "--state", self.first.state)
        (self.state / "tls").mkdir(parents=True)
        for file in (self.first.state / "tls/hosts" / self.name).iterdir():
            shutil.copy(file, self.state / "tls")
        for file in ("key", "key.pub"):  # the machines have one user
            shutil.copy(self.first.folder / file, self.folder)


class Inside:
    """A login in the machine that stays, in the place of the outside: by its public address, at the host where it is."""

    def __init__(self, host, public):
        self.host, self.public = host, public

    def ssh_command(self, address, *words):
        """On the machine with this private address."""
        proxy = shlex.join(self.host.ssh_command(self.public)[4:-1]).replace("%", "%%")
        command = self.host.ssh_command(address, *words)
        return [*command[:5], "-o", f"ProxyCommand={proxy} -W %h:%p azureuser@{self.public}", *command[5:]]


def without_progress(text):
    return "\n".join(line for line in text.splitlines() if not line.endswith("%"))


class PingInside(cloud.Ping):
    def __init__(self, inside, address):
        super().__init__(inside.host, address)
        self.command = inside.host.ssh_command(inside.public, f"ping -D -O -i 0.1 {address}")


class Test:
    """Steps in order; each builds on those before."""

    def __init__(self, one, two):
        self.hosts, self.first, self.uids, self.private, self.public = {"one": one, "two": two}, one, {}, {}, {}

    def starts(self):
        self.first.start()
        self.hosts["two"].take_certificate()
        self.hosts["two"].start()
        tap.wait_for("both hosts with their switches", 30, lambda: {
            host["name"] for host in self.first.arm.get("/sluice/v1/hosts")["hosts"] if host.get("vtep")} == set(HOSTS))
        self.group = self.first.arm.group("g")

    def makes_vms(self):
        group = self.group
        group.create()
        group.network("net")
        group.security_group("nsg")
        group.rule("nsg", "ssh", 100, port="22", sourceAddressPrefix="*")
        group.rule("nsg", "ping", 110, protocol="Icmp", sourceAddressPrefix="*")
        for name in ("moves", "stays"):
            self.public[name] = group.address(name)
            group.nic(name, "net", name, "nsg")
            group.vm(name, name, self.first.key)
            nic = self.first.arm.get(group("networkInterfaces", name))["properties"]
            self.private[name] = nic["ipConfigurations"][0]["properties"]["privateIPAddress"]
            self.uids[name] = self.first.arm.get(group("virtualMachines", name))["properties"]["vmId"]
            tap.note(f"{name} is on host {self.place(name)}")
        for name in self.public:
            host = self.hosts[self.place(name)]
            host.wait_ping(self.public[name], 120)
            host.wait_ssh(self.public[name], 120)

    def place(self, name):
        """The host on which the machine's process is; there must be one."""
        found = [host for host, bed in self.hosts.items() if bed.qemu_pid(self.uids[name])]
        assert len(found) == 1, f"{name} runs on {found}"
        return found[0]

    def moves_to_same(self):
        """So that their connection begins inside one switch."""
        self.migrate("moves", self.place("stays"))

    def migrate(self, name, target):
        if self.place(name) == target:
            return
        result = self.first.cli("vm", "migrate", f"g/{name}", "--to", target)
        tap.note(without_progress(result.stdout))
        assert self.place(name) == target, f"it is on {self.place(name)}"

    def other(self):
        return next(host for host in HOSTS if host != self.place("moves"))

    def carries_on(self, move=None):
        """move: what moves it."""
        source, target = self.place("moves"), self.other()
        inside = self.inside()
        boot = self.boot_id(inside)
        stream = cloud.Stream(inside, self.private["moves"])
        stream.wait_bytes(seconds=60)
        with PingInside(inside, self.private["moves"]) as ping:
            start = time.monotonic()
            if move:
                move()
            else:
                self.migrate("moves", target)
            took = time.monotonic() - start
            stream.wait_bytes(200000, seconds=60)
        tap.note(f"from {source} to {target} in {took:.1f} s: {ping}")
        self.is_whole(stream)
        assert self.boot_id(inside) == boot, "the machine was started anew"
        self.is_gone(source)
        self.wait_function(target)

    def inside(self):
        return Inside(self.hosts[self.place("stays")], self.public["stays"])

    def is_whole(self, stream):
        assert stream.end(), f"of {stream.bytes_sent} bytes {stream.bytes_back} came back, or others"
        tap.note(f"{stream.bytes_back} bytes there and back")

    def boot_id(self, inside):
        result = cloud.run(*inside.ssh_command(self.private["moves"], "cat /proc/sys/kernel/random/boot_id; lspci -n"))
        return result.stdout

    def wait_function(self, host):
        """The machine's function, on the host where it is."""
        tap.wait_for("a function there", 60, lambda: any(
            row["nic_name"] == "moves" and row["active"] == "function" for row in self.hosts[host].agent("vf.list")))

    def is_gone(self, source):
        """Nothing is left where it was."""
        bed, uid = self.hosts[source], self.uids["moves"]

        def gone():
            rows = [row for row in bed.agent("vf.list") if row["nic_name"] == "moves"]
            nics = [nic for nic in bed.switch("nic.list") if nic["name"] == "moves"]
            return not rows and not nics and uid not in bed.defined() and not any(bed.state.glob(f"agent/**/{uid}*"))
        tap.wait_for(f"nothing of it is left on {source}", 30, gone)

    def is_called_off(self, end):
        """By end(source, target), in the middle of the copy: all is as it was. What `sluice vm migrate` said."""
        source, target = self.place("moves"), self.other()
        qemu = self.hosts[source].qemu_pid(self.uids["moves"])
        inside = self.inside()
        boot = self.boot_id(inside)
        stream = cloud.Stream(inside, self.private["moves"])
        stream.wait_bytes(seconds=60)
        with PingInside(inside, self.private["moves"]) as ping:
            asked = subprocess.Popen([self.first.sluice, "vm", "migrate", "g/moves", "--to", target, "--state",
                                      self.first.state], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True)
            tap.wait_for("the machine is on its way", 120, self.percent)
            tap.note(f"{self.percent()} % of it are on {target}")
            end(source, target)
            told = without_progress(asked.communicate(timeout=120)[0])
            tap.note(told)
            assert asked.returncode, "a migration that came to nothing is said to have succeeded"
            tap.wait_for("it is only there", 30, lambda: not self.hosts[target].qemu_pid(self.uids["moves"]))
            assert self.hosts[source].qemu_pid(self.uids["moves"]) == qemu, "the machine is another one"
            stream.wait_bytes(60000)
            self.wait_function(source)
            stream.wait_bytes(60000)
        tap.note(f"on {source}, with its function: {ping}")
        self.is_whole(stream)
        assert self.boot_id(inside) == boot, "the machine was started anew"
        self.is_gone(target)
        return told

    def percent(self):
        """Of its memory that is on the other host."""
        machines = self.first.arm.get("/sluice/v1/virtual-machines")["virtualMachines"]
        migration = next(vm for vm in machines if vm["uid"] == self.uids["moves"]).get("migration") or {}
        return migration.get("percent")

    def is_cancelled(self):
        self.is_called_off(lambda source, target: tap.note(self.first.cli("vm", "migrate", "g/moves", "--cancel").stdout))

    def loses_agent(self):
        """The target's, and with it the way of the copy."""
        def kill(_, target):
            self.hosts[target].wait_part("agent", self.hosts[target].kill("agent"))
            tap.wait_for(f"the agent of {target} is back", 60, lambda: self.reports(target))
        self.is_called_off(kill)

    def reports(self, host):
        with contextlib.suppress(cloud.CallFailed):
            return self.hosts[host].agent("status")["controller"] == "connected"
        return False

    def loses_machine(self):
        """The target's half of it."""
        told = self.is_called_off(lambda source, target: os.kill(self.hosts[target].qemu_pid(self.uids["moves"]), signal.SIGKILL))
        assert "its QEMU failed on one of the hosts" in told, told

    def is_drained(self):
        """The host that has the controller, of all that runs there."""
        self.migrate("stays", "two")
        self.migrate("moves", "one")
        self.wait_function("one")
        self.carries_on(self.drain)
        one = self.hosts["one"]
        assert not one.qemu_count() and not one.agent("vf.list"), one.agent("vf.list")
        hosts = {host["name"]: host for host in self.first.arm.get("/sluice/v1/hosts")["hosts"]}
        tap.note(one.cli("host", "list").stdout)
        assert [hosts[name].get("drained", False) for name in ("one", "two")] == [True, False], hosts
        tap.note(one.cli("host", "undrain").stdout)

    def drain(self):
        told = cloud.run(self.first.sluice, "host", "drain", "--migrate", "--state", self.first.state, timeout=300).stdout
        tap.note(without_progress(told))

    def moves_off(self):
        """Deallocated, it has no machine on either host; what its guest has written goes along."""
        source, target = self.place("moves"), self.other()
        stays = self.inside()
        cloud.run(*stays.ssh_command(self.private["moves"], "echo 'it was here' >kept; sync"))
        self.group.post("moves", "deallocate")
        start = time.monotonic()
        result = self.first.cli("vm", "migrate", "g/moves", "--to", target)
        tap.note(f"{result.stdout}in {time.monotonic() - start:.1f} s")
        self.is_gone(source)
        self.group.post("moves", "start")
        assert self.place("moves") == target, f"it is on {self.place('moves')}"

        def reads():
            return subprocess.run(stays.ssh_command(self.private["moves"], "cat kept"), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        tap.wait_for("its guest has what it wrote on the other host", 120, lambda: reads() == "it was here\n")

    def ends(self):
        self.first.arm.delete(self.group.path)
        for bed in self.hosts.values():
            tap.wait_for("no machine and no function is left", 30,
                         lambda bed=bed: not bed.qemu_count() and not bed.agent("vf.list"))
            assert not bed.faults(), bed.faults()


STEPS = [
    ("a cloud of two hosts starts", "starts"),
    ("two virtual machines are made", "makes_vms"),
    ("they come to one host", "moves_to_same"),
    ("one moves away under a connection between them, which loses nothing", "carries_on"),
    ("a move that is cancelled leaves it as it was", "is_cancelled"),
    ("so does one whose target's agent is killed", "loses_agent"),
    ("so does one whose QEMU on the target is killed", "loses_machine"),
    ("a drain with --migrate moves what runs on the host, and leaves nothing there", "is_drained"),
    ("it comes back under another connection", "carries_on"),
    ("one that is deallocated moves by its disk, and starts there with what it had written", "moves_off"),
    ("deleting them leaves nothing on either host", "ends"),
]


def main():
    cloud.skip_unless_possible()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    cloud.run("ip", "link", "set", "lo", "up")
    cloud.run("ip", "link", "add", "fabric", "type", "bridge")
    cloud.run("ip", "addr", "add", "172.16.0.100/24", "dev", "fabric")  # of who asks the controller
    cloud.run("ip", "link", "set", "fabric", "up")
    points = tap.Tap(len(STEPS))
    with Host(sys.argv[1], "one") as one, Host(sys.argv[1], "two", one) as two:
        test = Test(one, two)
        for promise, name in STEPS:
            points.point(promise, getattr(test, name))
        if points.failed:
            one.logs()
            two.logs()
    sys.exit(1 if points.failed else 0)


if __name__ == "__main__":
    main()
