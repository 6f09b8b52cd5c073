#!/usr/bin/env python3
"""Builds the image and boots it: provisioning, ssh, the failover pair, power-off, the second boot. Prints TAP.

    image_boot_test.py BUILD-SCRIPT GUEST-TOOL

The machine runs in a network namespace that nothing else can see and that goes with this program.
"""
import ctypes
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import cloud
import machine

ADDRESS = "10.99.0.4"
NETWORK = "10.99.0.0/24"
MAC = "00:0d:3a:00:00:04"
USER = "azureuser"
CLONE_NEWNET = 0x40000000  # linux/sched.h
TAPS = ("standby", "primary")
DOCUMENT = {
    "compute": {
        "name": "myVm",
        "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
        "osProfile": {"computerName": "web-1", "adminUsername": USER, "disablePasswordAuthentication": "true"},
        "publicKeys": [],
    },
    "network": {"interface": [{"macAddress": "000D3A000004"}]},
}


def run(*command, check=True, **options):
    return subprocess.run(command, check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


class Bench:
    """The folder, the network and the keys of one test run."""

    def __init__(self, script, guest_tool):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="image-test-"))
        self.script, self.guest_tool = script, guest_tool
        self.store = str(self.folder / "store")
        self.disk = str(self.folder / "vm.qcow2")
        self.machine = None
        # As `az vm create --generate-ssh-keys` makes them.
        run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(self.folder / "key"))
        DOCUMENT["compute"]["publicKeys"] = [
            {"keyData": (self.folder / "key.pub").read_text(), "path": f"/home/{USER}/.ssh/authorized_keys"}]

    def network(self):
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "a network namespace cannot be made")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        run("ip", "address", "add", "10.99.0.1/24", "dev", "br0")
        run("ip", "address", "add", cloud.METADATA + "/32", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        for tap in TAPS:
            run("ip", "tuntap", "add", tap, "mode", "tap")
            run("ip", "link", "set", tap, "master", "br0", "up")
        self.cloud = cloud.Cloud("br0", NETWORK, ADDRESS, DOCUMENT)

    def build(self):
        return run(self.script, "--store", self.store, "--guest-tool", self.guest_tool, check=False)

    def start(self, **options):
        self.machine = machine.Machine(machine.find_image(self.store), self.disk, self.folder, "standby", MAC,
                                       **options)

    def ssh(self, command, user=USER, key="key", strict="no"):
        return run("ssh", "-i", str(self.folder / key), "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
                   "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o", f"StrictHostKeyChecking={strict}",
                   "-o", f"UserKnownHostsFile={self.folder}/known", f"{user}@{ADDRESS}", command,
                   check=False, timeout=60)

    def status(self):
        result = self.ssh("sluice-guest status --json")
        if result.returncode == 255:
            raise ConnectionError(result.stderr)
        return result.returncode, json.loads(result.stdout)

    def wait_state(self, state, seconds):
        def reached():
            try:
                code, report = self.status()
            except ConnectionError as error:  # plugging has a gap; what the host sees of it is printed
                print(f"# {error}", flush=True)
                return None
            return (code, report) if report["state"] == state else None
        return machine.wait_for(f"acceleration {state}", seconds, reached)

    def ping_lost(self, action):
        """Packets lost of a ping every 0.1 s while action() runs."""
        process = subprocess.Popen(["ping", "-i", "0.1", "-W", "1", ADDRESS], stdout=subprocess.PIPE, text=True)
        try:
            action()
        finally:
            process.send_signal(2)
            output = process.communicate()[0]
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", output).groups())
        return sent - received

    def end(self):
        if self.machine:
            self.machine.end()
        shutil.rmtree(self.folder)


class Test:
    """Steps in order; each is one TAP point and builds on those before."""

    def __init__(self, bench):
        self.bench, self.number, self.failed = bench, 0, False

    def check(self, promise, step):
        self.number += 1
        why = None
        if self.failed:
            why = "a step before it failed"
        else:
            try:
                step()
            except (AssertionError, machine.Timeout, RuntimeError, OSError, subprocess.SubprocessError) as error:
                why, self.failed = f"{type(error).__name__}: {error}", True
        print(f"{'not ok' if why else 'ok'} {self.number} - {promise}", flush=True)
        if why:
            print("\n".join("# " + line for line in why.splitlines()), flush=True)

    def builds(self):
        result = self.bench.build()
        assert result.returncode == 0, result.stderr
        image = machine.find_image(self.bench.store)
        assert result.stdout.strip() == image.manifest["id"], result.stdout
        image.make_disk(self.bench.disk)

    def builds_once(self):
        result = self.bench.build()
        assert result.returncode == 0 and "made from these inputs already" in result.stderr, result.stderr
        machine.find_image(self.bench.store)

    def boots(self):
        self.bench.network()
        self.bench.start()
        self.bench.machine.wait_console("sluice-image: ready, ssh up, address " + ADDRESS, 60)
        took = re.search(r"host web-1, ([\d.]+) s after start", self.bench.machine.console())
        assert took, self.bench.machine.console()
        print(f"# ready {took[1]} s after the kernel's start", flush=True)

    def console_has_keys(self):
        console = self.bench.machine.console()
        assert len(re.findall(r"host key SHA256:\S{43} \(ED25519\)", console)) == 1, console
        assert "login:" not in console and "#" not in console, console

    def ssh_with_key(self):
        result = self.bench.ssh("id -un; hostname; cat /etc/hostname; cat /sys/class/net/eth0/mtu; nproc")
        assert result.stdout.split() == [USER, "web-1", "web-1", "1400", "1"], result.stdout + result.stderr

    def admin_is_root_by_sudo(self):
        result = self.bench.ssh("sudo -n id -u")
        assert result.stdout.strip() == "0", result.stdout + result.stderr

    def refuses_others(self):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.bench.folder / "other"))
        for user, key in ((USER, "other"), ("root", "key"), ("nobody", "key")):
            result = self.bench.ssh("true", user, key)
            assert result.returncode == 255 and "Permission denied" in result.stderr, f"{user} with {key}: {result}"

    def has_tools(self):
        result = self.bench.ssh("for t in ip ethtool lspci iperf3 ping tcpdump; do command -v $t || echo no $t; done")
        assert "no " not in result.stdout and len(result.stdout.split()) == 6, result.stdout + result.stderr

    def copies_files(self):
        folder = self.bench.folder
        result = run("scp", "-q", "-i", str(folder / "key"), "-F", "none", "-o", "BatchMode=yes",
                     "-o", f"UserKnownHostsFile={folder}/known", self.bench.guest_tool, f"{USER}@{ADDRESS}:tool",
                     check=False, timeout=60)
        assert result.returncode == 0, result.stderr
        assert self.bench.ssh("cmp tool /usr/bin/sluice-guest").returncode == 0

    def off_without_primary(self):
        code, report = self.bench.status()
        assert (code, report["state"]) == (1, "off"), report
        nic = report["nics"][0]
        assert (nic["interface"], nic["pairing"], nic["standby"]["interface"]) == ("eth0", "net_failover", "eth0nsby")

    def plug_pairs(self):
        lost = self.bench.ping_lost(lambda: (self.bench.machine.plug("primary"), self.bench.wait_state("working", 30)))
        print(f"# plugging lost {lost} pings of one every 0.1 s", flush=True)
        code, report = self.bench.wait_state("working", 5)
        nic = report["nics"][0]
        assert code == 0 and report["emulated"], report
        assert "emulated (no host bypass, no speed claim)" in report["summary"], report
        assert (nic["primary"]["interface"], nic["primary"]["driver"]) == ("eth0npri", "e1000e"), nic

    def counters(self):
        nic = self.bench.status()[1]["nics"][0]
        return {name: nic[side]["counters"] for name, side in (("standby", "standby"), ("primary", "primary"))
                if nic[side]}

    def primary_carries(self):
        before = self.counters()
        run("ping", "-c", "20", "-i", "0.05", ADDRESS)
        after = self.counters()
        for counter in ("tx_packets", "rx_packets"):
            assert after["primary"][counter] - before["primary"][counter] >= 20, (before, after)
        assert after["standby"]["tx_packets"] == before["standby"]["tx_packets"], (before, after)

    def unplug_and_replug(self):
        lost = self.bench.ping_lost(lambda: (self.bench.machine.unplug(), self.bench.wait_state("off", 20)))
        print(f"# unplugging lost {lost} pings of one every 0.1 s", flush=True)
        before = self.counters()
        run("ping", "-c", "10", "-i", "0.05", ADDRESS)
        assert self.counters()["standby"]["tx_packets"] - before["standby"]["tx_packets"] >= 10
        self.bench.machine.plug("primary")
        self.bench.wait_state("working", 30)

    def powers_off(self):
        self.bench.machine.qmp("system_powerdown")
        machine.wait_for("power-off", 30, self.bench.machine.has_ended)
        self.bench.machine.end()

    def boots_without_metadata(self):
        self.bench.cloud.answering = False
        self.bench.start(vcpus=8)
        self.bench.machine.wait_console("sluice-image: ready, ssh up, address " + ADDRESS, 90)
        result = self.bench.ssh("hostname; nproc", strict="yes")
        assert result.stdout.split() == ["web-1", "8"], result.stdout + result.stderr

    def copy_gets_own_keys(self):
        self.bench.cloud.document["compute"]["vmId"] = "11111111-2222-3333-4444-555555555555"
        self.bench.cloud.document["compute"]["osProfile"]["computerName"] = "web-2"
        self.bench.cloud.answering = True
        self.bench.machine.wait_console("host web-2", 60)
        result = self.bench.ssh("true", strict="yes")
        assert result.returncode == 255, "the host key is still the first machine's"
        os.unlink(self.bench.folder / "known")
        assert self.bench.ssh("hostname").stdout.strip() == "web-2"

    def root_grows(self):
        def grown():
            return int(self.bench.ssh("df -m / | awk 'END {print $2}'").stdout) > 2500
        machine.wait_for("a root file system of the disk's 3 GiB", 20, grown)


def main():
    steps = [
        ("the image builds", "builds"),
        ("the same inputs are not built again", "builds_once"),
        ("it boots on one processor and says that it is ready", "boots"),
        ("the console shows the host key and no login", "console_has_keys"),
        ("ssh with an RSA key works; host name and MTU are as told", "ssh_with_key"),
        ("the admin user is root by sudo", "admin_is_root_by_sudo"),
        ("other keys and other users are refused", "refuses_others"),
        ("the tools of the tutorial are there", "has_tools"),
        ("scp copies a file", "copies_files"),
        ("without primary, acceleration is off", "off_without_primary"),
        ("a plugged e1000e is paired, and called emulated", "plug_pairs"),
        ("the primary carries the packets, the standby none", "primary_carries"),
        ("after unplug the standby carries; a replugged e1000e is paired again", "unplug_and_replug"),
        ("the power button powers off", "powers_off"),
        ("with eight processors and no metadata the second boot is ready, with the same host key",
         "boots_without_metadata"),
        ("a disk that starts as another machine gets its own name and host key", "copy_gets_own_keys"),
        ("the root file system takes all of a bigger disk", "root_grows"),
    ]
    print(f"1..{len(steps)}", flush=True)
    bench = Bench(*sys.argv[1:3])
    try:
        test = Test(bench)
        for promise, name in steps:
            test.check(promise, getattr(test, name))
        if test.failed and bench.machine:
            print("\n".join("# console: " + line for line in bench.machine.console().splitlines()), flush=True)
    finally:
        bench.end()
    sys.exit(1 if test.failed else 0)


def skip_unless_possible():
    missing = [tool for tool in ("qemu-system-x86_64", "qemu-img", "ssh", "ip", "ping") if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        print("1..0 # SKIP " + (f"{', '.join(missing)} not installed" if missing else "this needs root"))
        sys.exit(0)


if __name__ == "__main__":
    skip_unless_possible()
    main()
