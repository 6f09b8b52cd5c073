"""Debian's Open vSwitch with DPDK as a peer."""
import os
import subprocess

from peers import MEMORY_MIB, SIDES, Failed, Peer, mac
from lab import wait_for  # peers.py has found its folder

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"


class OpenVSwitch(Peer):
    """Debian's Open vSwitch with DPDK: `rules` by connection tracking, or plain L2 forwarding (rules None).

    The rules are the near port's; the far one may send replies only. Of what sluice-switch also checks, source
    addresses and ARP, nothing is asked of it.
    """

    poller = "pmd-"

    def __init__(self, setup, rules, **more):
        self.name = "ovs-dpdk" if rules else "ovs-dpdk L2"
        super().__init__(setup, **more)
        self.rules = rules

    def start(self):
        self.database = f"unix:{self.folder}/db.sock"
        self.environment = dict(os.environ, **{
            name: str(self.folder) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")})
        self.tool("ovsdb-tool", "create", self.folder / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        self.spawn("ovsdb-server", self.folder / "conf.db", f"--remote=p{self.database}",
                   f"--unixctl={self.folder}/db.ctl", cores=self.setup.control_core, env=self.environment)
        if not wait_for((self.folder / "db.sock").exists, 10):
            raise Failed("ovsdb-server does not come up: " + self.logs())
        self.configure()
        process = self.spawn(VSWITCHD, self.database, f"--unixctl={self.folder}/vswitchd.ctl",
                             cores=self.setup.control_core, env=self.environment)
        self.wait_up(process, (self.folder / "vswitchd.ctl").exists)
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=secure")
        for side in SIDES:
            self.add_port(side)
        self.check_ports()
        self.flows()
        return process

    def add_port(self, side):
        name, arguments = self.devices()[side]
        words = ["type=dpdk", f"options:dpdk-devargs={name},{arguments}"]
        if self.vhost:
            words = ["type=dpdkvhostuserclient", f"options:vhost-server-path={self.socket(side)}"]
        port = f"p{side + 1}"
        self.vsctl("add-port", "br0", port, "--", "set", "Interface", port, *words, f"ofport_request={side + 1}")

    def configure(self):
        other = {
            "dpdk-init": "true", "pmd-cpu-mask": hex(1 << int(self.setup.poll_cores[0])),
            "dpdk-lcore-mask": hex(1 << int(self.setup.control_core)), "dpdk-socket-mem": MEMORY_MIB,
            "n-handler-threads": 1, "n-revalidator-threads": 1, "max-idle": 30000,
            "dpdk-extra": f"--no-pci --in-memory --no-telemetry -d {self.setup.driver}",
        }
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *(f'other_config:{k}="{v}"' for k, v in other.items()))

    def check_ports(self):
        rows = self.vsctl("--columns=name,error", "--format=csv", "--no-headings", "list", "Interface")
        bad = [row for row in rows.splitlines() if row.startswith("p") and not row.endswith("[]")]
        if bad:
            raise Failed(f"Open vSwitch refuses a port: {bad}; {self.logs()}")

    def flows(self):
        lines = ["table=0,priority=0,actions=NORMAL"]
        if self.rules:
            lines = [
                f"table=0,priority=10,ip,in_port=1,dl_src={mac(0, 0)},actions=ct(zone=1,table=10)",
                f"table=0,priority=10,ip,in_port=2,dl_src={mac(0, 1)},actions=ct(zone=1,table=11)",
                "table=0,priority=0,actions=drop",
                "table=10,priority=20,ip,ct_state=+trk+inv,actions=drop",
                "table=10,priority=10,ip,ct_state=+trk+est-inv,actions=output:2",
                "table=10,priority=10,ip,ct_state=+trk+new,actions=resubmit(,20)",
                "table=11,priority=10,ip,ct_state=+trk+est-inv,actions=output:1",
                *self.rules.openflow(20, "ct(commit,zone=1),output:2"),
            ]
        path = self.folder / "flows"
        path.write_text("\n".join(lines) + "\n")
        self.tool("ovs-ofctl", "-O", "OpenFlow14", "del-flows", "br0")
        self.tool("ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows", "br0", path)

    def vsctl(self, *words):
        return self.tool("ovs-vsctl", f"--db={self.database}", "--timeout=30", *words)

    def tool(self, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=self.environment,
                              check=False)
        if done.returncode:
            raise Failed(f"{command[0]}: {done.stderr.strip()}; {self.logs() if self.processes else ''}")
        return done.stdout
