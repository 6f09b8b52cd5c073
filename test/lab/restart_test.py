#!/usr/bin/python3
"""What `sluice host setup` leaves, on machines that systemd has started: over NICs that come anew, and over a restart.

    restart_test.py SLUICE KERNEL-FOLDER      of kernel.sh

systemd is the first process of a PID namespace, with this machine's own units up to sysinit.target: udev finds the NICs, loads
their driver, names their interfaces and asks for units, nobody else does. A restart is another machine that gets nothing but the
host file, GRUB's, and what setup's ledger says that it wrote; its kernel is started with what GRUB would add.
"""
import json
import os
import shlex
import subprocess
import sys

from machine import Machine, judge, plain
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import Tap, note, wait_for  # noqa: E402

SLUICE, KERNEL = plain(sys.argv[1]), sys.argv[2]
FIRST, SECOND = PORTS = ("0000:01:00.0", "0000:02:00.0")
DEVICES, UNIT, LEDGER = "/sys/bus/pci/devices", "sluice-vfs.service", "/var/lib/sluice/host-setup.json"
FILES = "/etc/default /etc/modules-load.d /etc/modprobe.d /etc/udev /etc/systemd /etc/sysctl.d"
# Of the machine, not of setup: what GRUB has, and its program, which this machine need not have.
GRUB = ("mkdir -p /etc/default /etc/sluice && echo GRUB_DEFAULT=0 >/etc/default/grub && "
        "printf '#!/bin/sh\\necho ran >>/run/update-grub\\n' >/usr/local/sbin/update-grub && chmod +x /usr/local/sbin/update-grub")
# With the stamps nothing is made anew of this machine's files as at the first start of an image; /tmp, where programs under test may
# be, is not emptied; systemd takes itself to be in no container.
SYSTEMD = ("rm -f /.dockerenv && touch /etc/.updated /var/.updated && mkdir -p /etc/tmpfiles.d && ln -s /dev/null /etc/tmpfiles.d/tmp.conf "
           "&& (setsid unshare --pid --fork --mount-proc /lib/systemd/systemd --unit=sysinit.target </dev/null >/run/systemd.log 2>&1 &)")
MODEL = "[physical physnet1]\ndevices = 8086:10c9\nvfs = 2\n[memory]\nhugepages = 8"


class Host:
    """A machine, from before systemd starts."""

    def __init__(self, machine):
        self.machine, self.within = machine, ""
        self.run(GRUB)

    def run(self, command):
        return self.machine.run(self.where(command))

    def try_run(self, command):
        return self.machine.try_run(self.where(command))

    def where(self, command):
        """Among systemd's processes: it takes orders of no others."""
        return f"TERM=dumb SYSTEMD_COLORS=0 {self.within} bash -c {shlex.quote(command)}" if self.within else command

    def start(self):
        self.run(SYSTEMD)
        systemd = wait_for("systemd", 60, lambda: self.try_run("pgrep -o -x systemd")[1].strip())
        self.within = f"nsenter --target {systemd} --pid --mount"
        try:
            wait_for("systemd has started what it is to start", 240, lambda: self.try_run(
                "sleep 2; systemctl is-system-running")[1].strip() in ("running", "degraded"))
            wait_for("interfaces", 60, lambda: all(self.netdev(port) for port in PORTS))
            self.wait_seen()
        except Exception:
            note(self.log())
            raise

    def log(self):
        return self.try_run(f"cat /run/systemd.log; systemctl --failed --no-pager; systemd-analyze blame --no-pager | head; "
                            f"systemctl list-jobs --no-pager; systemctl status --no-pager -l {UNIT}; journalctl --no-pager -n 40; ip link")[1]

    def host_file(self, text):
        self.run(f"cat >/etc/sluice/host.conf <<'END'\n{text}\nEND")

    def setup(self, action):
        """The steps: {(kind, object): step}."""
        status, text = self.try_run(f"{SLUICE} host setup --{action} --json 2>/dev/null")
        assert status == 0, (status, text)
        return {(step["kind"], step["object"]): step for step in json.loads(text)}

    def check(self, action, *states):
        steps = self.setup(action)
        assert {step["state"] for step in steps.values()} == set(states), steps

    def netdev(self, port):
        return self.try_run(f"ls {DEVICES}/{port}/net")[1].strip() if self.is_there(port) else None

    def is_there(self, port):
        return self.try_run(f"test -d {DEVICES}/{port}/net")[0] == 0

    def vfs(self, port):
        """Addresses, in their order; none has a driver."""
        text = self.try_run(f"cd {DEVICES}/{port} && for i in $(seq 0 $(($(cat sriov_numvfs) - 1))); do "
                                    "basename $(readlink virtfn$i); ! test -e virtfn$i/driver || echo driver; done")[1]
        return text.split()

    def wait_seen(self):
        """udev has told systemd of both ports, which then has what they ask for among its jobs."""
        self.run("udevadm settle --timeout=60")
        for port in PORTS:
            device = f"sys-subsystem-net-devices-{self.netdev(port)}.device"
            wait_for(f"{device} is active", 30, lambda name=device: self.try_run(f"systemctl is-active {name}")[0] == 0)

    def unit(self):
        """(state, how its last run ended, that run)"""
        text = self.run(f"systemctl show --property=ActiveState,Result,InvocationID {UNIT}")
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return values["ActiveState"], values["Result"], values.get("InvocationID", "")

    def wait_unit(self, before=None):
        """It has run, by itself, and to a good end."""
        def ended():
            state, result, run = self.unit()
            return state in ("inactive", "failed") and run not in ("", before) and (state, result)
        try:
            self.wait_seen()
            got = wait_for(f"{UNIT} has been run", 60, ended)
            assert got == ("inactive", "success"), got
        except Exception:
            note(self.log())
            raise

    def come_anew(self, *ports):
        """The kernel forgets the ports, and finds them again; then it is udev's and systemd's."""
        before = self.unit()[2]
        for port in ports:
            self.run(f"echo 1 >{DEVICES}/{port}/remove && ! test -e {DEVICES}/{port}")
        self.run("echo 1 >/sys/bus/pci/rescan")
        self.wait_unit(before)

    def snapshot(self):
        """Files, and what the kernel has of both ports."""
        return self.run(
            f"find {FILES} -type f -exec md5sum {{}} + | sort -k 2; cd {DEVICES}; for port in {' '.join(PORTS)}; do "
            "grep . $port/sriov_numvfs $port/sriov_drivers_autoprobe; ip -o link show $(ls $port/net) | grep -o '<.*>' | grep -ow UP || "
            "echo down; done; cat /proc/sys/vm/nr_hugepages")


class Before:
    """The machine that is set up."""

    def __init__(self, machine):
        self.host, self.fresh, self.carried, self.line, self.vfs = Host(machine), None, None, None, None

    def applies(self):
        host = self.host
        host.start()
        self.fresh = host.snapshot()
        note(f"interfaces: {host.netdev(FIRST)}, {host.netdev(SECOND)}")
        host.host_file(f"[physical physnet1]\ndevices = {host.netdev(FIRST)}\nvfs = 3\n"
                       f"[physical physnet2]\ndevices = {host.netdev(SECOND)}\n[memory]\nhugepages = 8")
        host.check("apply", "done")
        assert len(host.vfs(FIRST)) == 3 and host.vfs(SECOND) == [], (host.vfs(FIRST), host.vfs(SECOND))

    def comes_by_name(self):
        host = self.host
        before = host.netdev(FIRST), host.vfs(FIRST)
        host.come_anew(FIRST)
        assert (host.netdev(FIRST), host.vfs(FIRST)) == before, (host.netdev(FIRST), host.vfs(FIRST), before)
        host.check("plan", "is so")

    def comes_by_model(self):
        """Both at once: the unit is at work for the one when the other comes."""
        host = self.host
        host.host_file(MODEL)
        host.check("apply", "done", "is so")
        before = [host.vfs(port) for port in PORTS]
        assert [len(vfs) for vfs in before] == [2, 2], before
        for _ in range(3):
            host.come_anew(*PORTS)
            assert [host.vfs(port) for port in PORTS] == before, [host.vfs(port) for port in PORTS]
            host.check("plan", "is so")
        host.run(f"for i in $(seq 7); do systemctl start {UNIT} || exit 1; done")  # as on a host with many PFs

    def comes_renamed(self):
        host = self.host
        before, other = host.vfs(FIRST), host.netdev(SECOND)
        host.run("printf '[Match]\\nMACAddress=52:54:00:00:00:01\\n[Link]\\nName=uplink0\\n' >/etc/systemd/network/10-lab.link && "
                 "udevadm control --reload")
        for text in (MODEL, MODEL.replace("8086:10c9", f"uplink0;{other}")):
            host.host_file(text)
            host.come_anew(FIRST)
            assert (host.netdev(FIRST), host.vfs(FIRST)) == ("uplink0", before), (host.netdev(FIRST), host.vfs(FIRST))
            host.check("plan", "is so")
        host.run("rm /etc/systemd/network/10-lab.link")

    def is_left(self):
        """What the restarted machine gets."""
        host = self.host
        host.host_file(MODEL)
        host.check("plan", "is so")
        written = [entry["object"] for entry in json.loads(host.run(f"cat {LEDGER}"))["entries"] if entry["kind"] == "file"]
        drop_in, = (path for path in written if path.startswith("/etc/default/grub.d/"))
        note("carried over: " + " ".join(written))
        self.line = host.run(f"GRUB_CMDLINE_LINUX_DEFAULT=; . {drop_in}; echo $GRUB_CMDLINE_LINUX_DEFAULT").strip()
        self.carried = host.run(f"tar -C / -cz {LEDGER[1:]} etc/sluice/host.conf {' '.join(path[1:] for path in written)} | base64 -w 76")
        self.vfs = [host.vfs(port) for port in PORTS]
        assert set(self.line.split()).isdisjoint(host.run("cat /proc/cmdline").split()), self.line


class After:
    """The one that was restarted."""

    def __init__(self, machine, before):
        self.host, self.before = Host(machine), before

    def boots(self):
        host = self.host
        host.run(f"base64 -d <<'END' | tar -C / -xz\n{self.before.carried}END")
        assert not host.is_there(FIRST), "nobody has loaded its driver yet"
        host.start()
        host.wait_unit()
        assert [host.vfs(port) for port in PORTS] == self.before.vfs, [host.vfs(port) for port in PORTS]
        for vf in sum(self.before.vfs, []):
            host.run(f"test -e {DEVICES}/{vf}/iommu_group")
        host.run("test -d /sys/bus/pci/drivers/vfio-pci && test $(cat /proc/sys/vm/nr_hugepages) = 8 && ! systemctl is-failed "
                 f"{UNIT} systemd-modules-load.service systemd-sysctl.service systemd-udevd.service")

    def plans(self):
        self.host.check("plan", "is so")

    def reverts(self):
        host = self.host
        host.check("revert", "undone")
        assert host.snapshot() == self.before.fresh, (host.snapshot(), self.before.fresh)
        assert json.loads(host.run(f"cat {LEDGER}"))["entries"] == [] and host.run("cat /run/update-grub") == "ran\n"
        host.run(f"! systemctl cat {UNIT}")


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    tap = Tap(8)
    with Machine(KERNEL, line="") as machine:
        before = Before(machine)
        tap.point("on a machine that systemd has started an apply makes the VFs of a device that is named", before.applies)
        tap.point("a PF that goes and comes anew has its VFs again, by the rule and the unit, and a plan has nothing to do", before.comes_by_name)
        tap.point("so have two at once that the host file has by their model", before.comes_by_model)
        tap.point("and one whose interface has another name now", before.comes_renamed)
        tap.point("all that is to outlive a restart is in files that the ledger knows", before.is_left)
        if tap.failed:
            note(before.host.log())
    with Machine(KERNEL, line=before.line or "") as machine:
        after = After(machine, before)
        tap.point("after a restart VFs, their IOMMU groups, vfio and huge pages are there, by what setup has left", after.boots)
        tap.point("a plan has nothing to do there", after.plans)
        tap.point("a revert leaves a machine that was never set up", after.reverts)
        if tap.failed:
            note(after.host.log())
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
