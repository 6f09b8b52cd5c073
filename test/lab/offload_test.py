#!/usr/bin/python3
"""Offload by tc flower, in the lab: its kernel executes what a NIC would (skip_hw), between veth pairs. The conformance test
compares it with the switch and the model; the provider's own test has its refusals, evictions, counters and meters, and
measures how many flows a second it takes, beside `tc -batch` and Open vSwitch's own tc offload in the same kernel, with as many
flows each. Figures are printed, never held against anything; docs/COMPATIBILITY.md has a table of them.

    offload_test.py CONFORMANCE-TEST TC-LAB-TEST KERNEL-FOLDER
"""
import os
import re
import subprocess
import sys

from machine import Machine, judge, plain
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
from tap import Skip, Tap, note  # noqa: E402

CONFORMANCE, TC = plain(sys.argv[1]), plain(sys.argv[2])
KERNEL = sys.argv[3]
MODULES = ("veth vxlan cls_flower sch_ingress act_gact act_police act_pedit act_csum act_vlan act_tunnel_key act_mirred")
PORTS = 32  # of src/switch/test_executor.c
FLOWS = 10000  # as src/offload/tc_lab_test.c
# Open vSwitch, which `dist/setup.sh lab` unpacks; the lab's machines see it as they see all files.
OVS = plain(os.environ.get("SLUICE_LAB_OVS", "/var/cache/sluice/lab-ovs"))
# The underlay of src/switch/test_pair.h: this switch's address and MAC, and the other's.
VTEP, VTEP_MAC, PEER, PEER_MAC = "172.16.0.1/24", "02:00:00:00:01:01", "172.16.0.2", "02:00:00:00:02:01"


def pairs():
    """Interfaces whose far ends are in the namespace "wire", and a tunnel device."""
    lines = []
    for near, far in [(f"p{i}", f"q{i}") for i in range(PORTS)] + [("under", "underq")]:
        lines += [f"link add {near} type veth peer name {far} netns wire", f"link set {near} up"]
    return lines + [f"link set under address {VTEP_MAC}", f"addr add {VTEP} dev under",
                    f"neigh add {PEER} lladdr {PEER_MAC} dev under",
                    "link add vx0 type vxlan external dstport 4789", "link set vx0 up"]


def set_up(machine):
    machine.run(f"modprobe -a {MODULES} && ip netns add wire")
    for where in ("", "ip netns exec wire "):  # nobody is to speak unasked
        machine.run(f"{where}sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
    batch = "\n".join(pairs())
    machine.run(f"ip -batch - <<'END'\n{batch}\nEND")
    far = "\n".join(f"link set q{i} up" for i in range(PORTS)) + "\nlink set underq up"
    machine.run(f"ip -n wire -batch - <<'END'\n{far}\nEND")
    two(machine)


def two(machine):
    """The provider's own two ports."""
    machine.run("for i in 0 1; do ip link add t$i type veth peer name t${i}q && ip link set t$i up && ip link set t${i}q up; done")


def ovs_flows(machine):
    """What src/offload/tc_lab_test.c measures: UDP flows whose MACs and time to live are rewritten."""
    shown = machine.run("ovs-appctl dpctl/show")
    t0, t1 = (re.search(rf"port (\d+): {name}\n", shown)[1] for name in ("t0", "t1"))
    return machine.run(
        f"""for i in $(seq 1 {FLOWS}); do printf 'ufid:00000000-0000-0000-0000-%012x,recirc_id(0),in_port({t0}),'\
'eth(src=02:00:00:00:00:09,dst=02:00:00:00:00:08),eth_type(0x0800),ipv4(src=10.0.%d.%d,dst=10.0.1.1,proto=17,ttl=64,frag=no),'\
'udp(src=1000,dst=53) set(eth(src=02:00:00:00:00:02,dst=02:00:00:00:00:01)),set(ipv4(ttl=63)),{t1}\n' \
$i $((i >> 8)) $((i & 255)); done >/run/flows""")


def seconds(machine, command):
    words = machine.run(f"date +%s.%N; {command}; date +%s.%N", seconds=600).split()
    return float(words[-1]) - float(words[0])


def in_tc(machine, n):
    there = int(machine.run("tc filter show dev t0 ingress | grep -c 'handle 0x'", check=False))
    assert there == n, f"{there} of {n} flows are in tc"


def batch_rate(machine):
    """Flows a second of iproute2's tc, from a file."""
    machine.run(
        f"""for i in $(seq 1 {FLOWS}); do echo "filter add dev t0 ingress protocol ip pref 32 handle $i flower skip_hw """
        """src_ip 10.1.$((i >> 8)).$((i & 255)) dst_ip 10.0.1.1 ip_proto udp src_port 1000 dst_port 53 """
        """action pedit ex munge eth dst set 02:00:00:00:00:01 munge eth src set 02:00:00:00:00:02 munge ip ttl dec pipe """
        """action csum ip pipe action mirred egress redirect dev t1"; done >/run/batch && tc qdisc add dev t0 clsact""")
    took = seconds(machine, "tc -batch /run/batch")
    in_tc(machine, FLOWS)
    machine.run("tc qdisc del dev t0 clsact")
    return FLOWS / took


def start_ovs(machine):
    """Open vSwitch with t0 and t1 in a bridge, still without tc, and the flows in a file."""
    status, text = machine.try_run("modprobe openvswitch")
    if status:
        raise Skip(f"the lab's kernel has no Open vSwitch: {text.strip()}")
    machine.run(f"PATH={OVS}/programs:$PATH; mkdir -p /run/openvswitch /var/log/openvswitch && cd /run/openvswitch && "
                f"ovsdb-tool create conf.db {OVS}/usr/share/openvswitch/vswitch.ovsschema && "
                "ovsdb-server conf.db --remote=punix:db.sock --detach --pidfile --log-file=/run/ovsdb.log && "
                "ovs-vsctl --no-wait init && ovs-vswitchd --detach --pidfile --log-file=/run/ovs.log && "
                "ovs-vsctl add-br br0 -- add-port br0 t0 -- add-port br0 t1")
    ovs_flows(machine)


def offload_ovs(machine):
    machine.run("ovs-appctl dpctl/del-flows && ovs-appctl revalidator/resume && "
                "ovs-vsctl set Open_vSwitch . other_config:tc-policy=skip_hw other_config:hw-offload=true")


def ovs_rate(machine):
    """Flows a second that Open vSwitch takes, asked by dpctl, which also parses their text. It would throw out flows that it has
    not thought of itself."""
    machine.run("ovs-appctl revalidator/pause")
    return FLOWS / seconds(machine, "ovs-appctl -T 600 dpctl/add-flows system@ovs-system /run/flows")


class Test:
    def __init__(self, machine):
        self.machine, self.rate = machine, None

    def conforms(self):
        note(self.machine.run(f"{CONFORMANCE} --wire wire", seconds=400))

    def provider(self):
        status, text = self.machine.try_run(TC, seconds=200)
        note(text)
        assert status == 0, f"status {status}"
        self.rate = float(re.search(r"figure: insertion (\d+)", text)[1])

    def show(self, what, rate):
        note(f"figure: {what}: {rate:.0f} flows/s; ours: {self.rate:.0f} flows/s, {self.rate / rate:.2f} times as many")

    def beside_tc(self):
        note(self.machine.run("uname -sr; cat /proc/loadavg"))
        two(self.machine)
        self.show("tc -batch", batch_rate(self.machine))

    def beside_ovs(self):
        if not os.path.exists(f"{OVS}/.complete"):
            raise Skip(f"Open vSwitch is not in {OVS} (dist/setup.sh lab)")
        start_ovs(self.machine)
        self.show("Open vSwitch, flows in its own module", ovs_rate(self.machine))
        offload_ovs(self.machine)
        rate = ovs_rate(self.machine)
        in_tc(self.machine, FLOWS)
        self.show("Open vSwitch's tc offload", rate)

def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", KERNEL], check=True)
    with Machine(KERNEL, memory_mib=3072) as machine:
        set_up(machine)
        test, tap = Test(machine), Tap(4, chained=False)
        tap.point("the kernel's flower does as the switch and the model do", test.conforms)
        tap.point("the provider tells what becomes of flows", test.provider)
        tap.point("its rate stands beside that of tc -batch", test.beside_tc)
        tap.point("its rate stands beside that of Open vSwitch's tc offload", test.beside_ovs)
        return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
