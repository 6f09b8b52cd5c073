"""A host of a cloud whose controller is away, in the lab: `sluice up` works on the goal that it has stored.

The host's first port is the physical network physnet1; the second, on the same wire, is in the namespace `out`, a machine of
VLAN 100. On the host is one virtual machine (guest.sh). Its NIC number N, from 0, is accelerated and in a subnet of its own: it
has 10.9.N.4, and the machine outside 10.9.N.200 there.

What the host wants is what its goal says, so a test changes the goal on disk and kills the agent: the next one follows it.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import note, wait_for  # noqa: E402

STATE, PF, VLAN, VM = "/run/cloud", "0000:01:00.0", 100, "11111111-1111-4111-8111-111111111111"
FAILPOINT = "/run/failpoint"
PCI = "/sys/bus/pci"
# Sends numbered lines to the guest's echo service and notes each that comes back, as long as none is missing.
COUNT = ("import socket,time\nc=socket.create_connection((\"TO\",7),20)\nc.settimeout(100)\nlines=c.makefile()\nn=0\nwhile True:\n"
         " c.sendall(b\"%d\\n\" % n)\n assert int(lines.readline())==n\n n+=1\n print(n, flush=True)\n time.sleep(0.2)")


def name_of(number):
    return f"nic{number}"


def mac_of(number):
    return f"00:0d:3a:00:00:{number + 4:02x}"


def address_of(number):
    return f"10.9.{number}.4"


class Host:
    """vfs: of the port; nics: of the virtual machine. kernel: folder that kernel.sh and guest.sh have filled."""

    def __init__(self, machine, sluice, kernel, vfs, nics):
        self.machine, self.run, self.sluice, self.kernel = machine, machine.run, sluice, kernel
        self.vfs, self.nics = vfs, nics
        self.version, self.power, self.restarts = 0, "running", 0
        self.before = None  # the inventory

    # ---- the host ----

    def set_up(self):
        """Drivers, VFs by `sluice host setup`, the wire's other end."""
        self.run("hostname lab && modprobe -a igb igbvf vfio-pci 8021q kvm_amd && mkdir -p /etc/sluice && "
                 f"printf '[physical physnet1]\\ndevices = {PF}\\nvfs = {self.vfs}\\n' >/etc/sluice/host.conf && {self.sluice} host setup --apply")
        addresses = "".join(f"ip -n out addr add 10.9.{number}.200/24 dev wire && " for number in range(self.vfs))
        self.run(f"ip netns add out && ip link set eth1 netns out && ip -n out link add wire link eth1 type vlan id {VLAN} && "
                 f"ip -n out link set eth1 up && {addresses} ip -n out link set wire up")
        self.before = self.inventory()

    def goal(self):
        """A deallocated machine has no NICs."""
        numbers = range(self.nics if self.power != "deallocated" else 0)
        return {
            "version": self.version, "host": "lab",
            "networks": [{"uid": "n", "name": "n", "physical": "physnet1", "vlan": VLAN, "prefixes": ["10.9.0.0/16"], "subnets": [
                {"uid": f"s{number}", "prefix": f"10.9.{number}.0/24", "gateway": f"10.9.{number}.1"} for number in numbers]}],
            "vms": [{"uid": VM, "name": "guest", "power": self.power, "restarts": self.restarts, "vcpus": 1, "memory_mib": 320,
                     "image": "lab-guest"}],
            "nics": [{"uid": f"22222222-2222-4222-8222-{number:012}", "name": name_of(number), "mac": mac_of(number), "vm": VM,
                      "network": "n", "subnet": f"s{number}", "host_address": f"100.64.0.{number + 4}", "accelerated": True,
                      "primary": number == 0, "addresses": [{"ip": address_of(number)}]} for number in numbers],
        }

    def write_goal(self):
        self.version += 1
        self.run(f"mkdir -p {STATE}/agent && cat >{STATE}/agent/goal.new <<'END'\n{json.dumps(self.goal())}\nEND\n"
                 f"mv {STATE}/agent/goal.new {STATE}/agent/goal.json")

    def start(self):
        """Where the machine below is busy, parts may take longer than the minute that they are given."""
        self.run(f"mkdir -p {STATE}/tls && cd {STATE}/tls && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                 "-keyout host.key -out host.pem -days 9 -subj /CN=lab 2>/dev/null && cp host.pem ca.pem")
        self.write_goal()
        # What the guest starts from is read now, once, and not while it is waited for.
        self.run(f"cat {self.kernel}/images/lab-guest/* >/dev/null; (SLUICE_FAILPOINT=@{FAILPOINT} {self.sluice} up --state {STATE} "
                 f"--images {self.kernel}/images --controller https://127.0.0.1:1 >/run/up.log 2>&1 &)")
        wait_for("the host, or its end", 300, lambda: re.search("^ready|^sluice up:", self.run("cat /run/up.log"), re.M))

    def agent(self):
        return self.machine.try_run("pidof sluice-agent")[1].strip()

    def follow(self, **changes):
        """Gives the host another goal, by the next agent."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.write_goal()
        self.run(f"kill -KILL {self.agent()}")

    def wait_old(self):
        """What supervises the agent starts it at once when it has lived for 10 s, and pauses ever longer when it has not."""
        wait_for("the agent has lived for long", 60, lambda: int(self.machine.try_run(
            "ps -o etimes= -p $(pidof sluice-agent)")[1].strip() or 0) > 10)

    def dies_at(self, point, command=None):
        """The command's agent, or the one that carries a change on, dies there."""
        before = self.agent()
        self.run(f"echo {point} >{FAILPOINT}.new && mv {FAILPOINT}.new {FAILPOINT}")
        if command:
            self.machine.try_run(f"{self.sluice} {command} --state {STATE}")
        wait_for(f"the agent dies at {point}", 60, lambda: self.machine.try_run(f"test -e {FAILPOINT}")[0])
        wait_for("another agent", 60, lambda: self.agent() not in ("", before))

    def cli(self, *words, seconds=200):
        return self.run(f"{self.sluice} {shlex.join(words)} --state {STATE}", seconds=seconds)

    def inventory(self):
        return json.loads(self.run(f"{self.sluice} host show --json"))

    def functions(self):
        """Rows of `sluice vf list`; none while there is no agent."""
        status, text = self.machine.try_run(f"{self.sluice} vf list --json --state {STATE} 2>/dev/null")
        return json.loads(text) if status == 0 else []

    def function(self, number=0):
        return next((row for row in self.functions() if row.get("nic_name") == name_of(number)), {})

    def wait_states(self, wanted, seconds=180):
        """{state: number of NICs}"""
        def states():
            found = [row["state"] for row in self.functions() if row.get("nic_name")]
            return {state: found.count(state) for state in found}
        try:
            wait_for(f"NICs are {wanted}", seconds, lambda: states() == wanted)
        except Exception as error:
            raise AssertionError(f"{error}: {json.dumps(self.functions())}") from error

    def wait_attached(self, seconds=300):
        """All NICs. From a guest that takes too long to begin with it, where machines are slow, a function is taken back: it gets it again."""
        def attached():
            rows = [row for row in self.functions() if row.get("nic_name")]
            for row in rows:
                if row["state"] == "detached" and "by its standby" in (row["reason"] or ""):
                    note(self.cli("vf", "restore", row["nic_name"]))
            return len(rows) == self.nics and all(row["state"] == "attached" for row in rows)
        try:
            wait_for("all NICs have functions", seconds, attached)
        except Exception as error:
            raise AssertionError(f"{error}: {json.dumps(self.functions())}") from error

    def on_pf(self):
        """{VF: (MAC, VLAN)} of those that the PF has either for, and the MACs that it hears besides its own."""
        text = self.run("ip -j -d link show dev eth0; bridge fdb show dev eth0")
        links, heard = text.split("\n", 1)
        rows = {vf["vf"]: (vf.get("address") or vf.get("mac"), (vf.get("vlan_list") or [{}])[0].get("vlan", 0))
                for vf in json.loads(links)[0]["vfinfo_list"]}
        return ({vf: row for vf, row in rows.items() if row != ("00:00:00:00:00:00", 0)},
                {line.split()[0] for line in heard.splitlines() if line})

    def check_attached(self):
        """Each NIC has one VF, with its MAC and VLAN, and no other VF has any; the PF hears none of their MACs. Of a guest that
        sends something by its standby, as kernels do of themselves, the agent looks anew at what it uses: no longer than this waits."""
        numbers = range(self.nics)
        vfs, heard = self.on_pf()
        assert sorted(vfs.values()) == sorted((mac_of(number), VLAN) for number in numbers), vfs
        assert not heard & {mac_of(number) for number in numbers}, heard
        try:
            wait_for("the agent has the VFs that the PF has", 30, lambda: vfs == {
                row["index"]: (row["mac"], row["vlan"]) for row in self.functions() if row.get("nic_name") and row["state"] == "attached"})
        except Exception as error:
            raise AssertionError(f"{error}: {vfs}, {json.dumps(self.functions())}") from error

    def check_free(self):
        """The host is as it was found, but that its PF hears the MACs of NICs that the goal names."""
        (vfs, heard), macs = self.on_pf(), {mac_of(number) for number in range(self.nics)}
        assert vfs == {}, vfs
        assert heard & macs == (macs if self.power != "deallocated" else set()), heard
        wait_for("the agent, which looks at them once a second, has all VFs as free", 10, lambda: ["free"] * self.vfs == [
            row["state"] for row in self.functions() if row["function"]])
        now = self.inventory()
        assert now == self.before, (now, self.before)

    # ---- the guest ----

    def wait_guest(self, times=1, seconds=300):
        """Its shell, after so many starts, and its addresses."""
        wait_for("the guest's shell", seconds, lambda: self.machine.try_run(
            f"cat {STATE}/agent/vms/{VM}/console.log")[1].count("guest: up") >= times)
        wait_for("answers of the guest", seconds, lambda: not self.silent())

    def in_guest(self, command, seconds=60):
        """A command in it, sent to its first NIC."""
        return self.machine.run_inside(address_of(0), command, seconds)

    def silent(self, count=3):
        """Addresses of its NICs that answer no ping from outside; all are asked at once."""
        addresses = " ".join(address_of(number) for number in range(self.nics))
        ask = f"for a in {addresses}; do (ping -n -q -c {count} -i 0.1 -W 5 $a >/dev/null || echo $a) & done; wait"
        return self.run(f"ip netns exec out sh -c {shlex.quote(ask)}").split()

    def deallocate(self):
        """Ends with all VFs free."""
        self.follow(power="deallocated")
        wait_for("no machine", 120, lambda: self.machine.try_run("pidof qemu-system-x86_64")[0])
        wait_for("no VF is held", 60, lambda: {row["state"] for row in self.functions() if row["function"]} == {"free"})
        self.check_free()


class Stream:
    """One TCP connection from outside, on which the guest's first NIC echoes numbered lines."""

    def __init__(self, host):
        self.host, self.count = host, 0
        count = shlex.quote(COUNT.replace("TO", address_of(0)))
        host.run(f"(ip netns exec out python3 -c {count} >/run/count.log 2>&1 &)")
        wait_for("the connection", 60, self.goes_on)

    def goes_on(self):
        """Whether there are more lines than at the last look."""
        last, self.count = self.count, self.lines()
        return self.count > last

    def lines(self):
        text = self.host.run("tail -n 1 /run/count.log").strip()
        assert re.fullmatch(r"\d*", text), self.host.run("cat /run/count.log | grep -v '^[0-9]*$'")
        return int(text or 0)

    def check(self, seconds=30):
        """It lives: lines come."""
        self.count = self.lines()
        wait_for("lines on the connection", seconds, self.goes_on)


class Pings:
    """Of the guest's first NIC from a namespace, ten a second, and what was lost between marks."""

    def __init__(self, host, name="out", address=address_of(0)):
        self.host, self.marks, self.log = host, [], f"/run/ping-{name}"
        host.run(f"(ip netns exec {name} ping -D -n -i 0.1 {address} >{self.log} 2>&1 & echo $! >{self.log}.pid)")

    def mark(self, name):
        self.marks.append((float(self.host.run("date +%s.%N")), name))

    def end(self):
        """[(mark, pings lost until the next one, longest silence in seconds)]"""
        self.mark("end")
        self.host.run(f"kill $(cat {self.log}.pid)")
        found = re.findall(r"^\[([\d.]+)\].*icmp_seq=(\d+)", self.host.run(f"cat {self.log}"), re.M)
        got, told = sorted((float(when), int(number)) for when, number in found), []
        for (begin, name), (end, _) in zip(self.marks, self.marks[1:]):
            steps = [(after[1] - before[1] - 1, after[0] - before[0]) for before, after in zip(got, got[1:]) if begin <= after[0] < end]
            told.append((name, sum(max(0, lost) for lost, _ in steps), max((silence for _, silence in steps), default=end - begin)))
        return told


def prepare(kernel, guest):
    """Unpacks kernel and guest where that has not been done; False when this cannot run here, which is said."""
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return False
    subprocess.run([f"{HERE}/kernel.sh", kernel], check=True)
    subprocess.run([f"{HERE}/guest.sh", kernel, guest], check=True)
    return True


def show_logs(machine):
    note(machine.try_run(f"cat /run/up.log; tail -n 60 {STATE}/log/*.log; tail -n 3 /run/count.log; ip -d link show dev eth0; "
                         f"bridge fdb show dev eth0; dmesg | tail -n 15; tail -n 15 {STATE}/agent/vms/*/console.log; tail -n 12 $(find {STATE} -path '*log/qemu/*.log')")[1])
