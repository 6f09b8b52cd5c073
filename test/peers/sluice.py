"""sluice-switch as a peer."""
import os
import pathlib

import rules as rule_sets
from peers import MEMORY_MIB, SIDES, Peer, mac
from lab import Control  # peers.py has found its folder


FLOWS_MIB = 640  # what connections take
UNDERLAY, VTEP, UNDERLAY_PREFIX = "172.31.0.1", "172.31.0.2", "172.31.0.0/24"  # as in tunnel.h


class Sluice(Peer):
    """sluice-switch: two NICs of one subnet in each lane; the rules are the far one's group."""

    name = "sluice-switch"

    def __init__(self, setup, rules, connections=2200000, tunnel=False, **more):
        super().__init__(setup, **more)
        self.rules = rules
        self.connections = connections
        self.tunnel = tunnel  # the far side is behind VXLAN: net_gen.c's tunnel=1

    def start(self):
        socket, flows = self.folder / "switch.sock", self.setup.huge / "flows"
        flows.unlink(missing_ok=True)  # a new switch has no connections
        process = self.spawn(
            self.setup.switch, "--socket", socket, "--workers", self.lanes, "--memory", MEMORY_MIB // 4,
            "--hugepages", "on", "--flow-memory", flows, "--connections", self.connections * self.lanes,
            "--nic-connections", self.connections, "--driver", self.setup.driver,
            *([] if self.vhost else self.vdevs()), cores=self.setup.all_cores)
        self.json = Control(str(socket))
        self.wait_up(process, self.answers)
        self.pin(process)
        self.json.call("apply", self.state())
        return process

    def answers(self):
        try:
            return self.json.call("version")
        except (OSError, ValueError):
            return None

    def pin(self, process):
        """Workers on their cores, all else on the other: the program itself leaves that to the kernel."""
        workers = self.threads(process, self.poller)
        for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
            core = self.setup.poll_cores[workers.index(task)] if task in workers else self.setup.control_core
            os.sched_setaffinity(int(task.name), {int(core)})

    def devices(self):
        devices = super().devices()
        return [(name, arguments + ",tunnel=1" * (self.tunnel and side == 1))
                for side, (name, arguments) in zip(SIDES * self.lanes, devices)]

    def tunnel_state(self):
        """One NIC here, whose group has the rules; all others of the network are behind the VTEP."""
        network = {"uid": "n0", "vni": 100, "prefixes": [rule_sets.SUBNET], "subnets": [
            {"uid": "s0", "prefix": rule_sets.SUBNET, "gateway": rule_sets.GATEWAY, "dns": []}],
            "mappings": [{"prefix": str(address), "vtep": VTEP, "mac": mac(0, 1)} for address in rule_sets.destinations()]}
        underlay = {"device": "net_gen1", "mac": "02:00:5e:00:00:03", "address": UNDERLAY, "prefix": UNDERLAY_PREFIX, "mtu": 1600}
        group = {"uid": "rules", "name": "rules", "revalidate": True, "rules": self.rules.security_rules()}
        return {"generation": 1, "groups": [group], "networks": [network], "underlay": underlay,
                "nics": [self.nic(0, 0, rule_sets.sources(), "rules")]}

    def state(self):
        if self.tunnel:
            return self.tunnel_state()
        networks, nics = [], []
        for lane in range(self.lanes):
            networks.append({"uid": f"n{lane}", "vni": 100 + lane, "prefixes": [rule_sets.SUBNET], "subnets": [
                {"uid": f"s{lane}", "prefix": rule_sets.SUBNET, "gateway": rule_sets.GATEWAY, "dns": []}]})
        # Workers take NICs in turns: this way each has one that sends.
        nics += [self.nic(lane, 0, rule_sets.sources(), None) for lane in range(self.lanes)]
        nics += [self.nic(lane, 1, rule_sets.destinations(), "rules") for lane in range(self.lanes)]
        group = {"uid": "rules", "name": "rules", "revalidate": True, "rules": self.rules.security_rules()}
        return {"generation": 1, "groups": [group], "networks": networks, "nics": nics}

    def nic(self, lane, side, addresses, group):
        name = f"nic{lane}{side}"
        attachment = {"kind": "function", "device": f"net_gen{lane * 2 + side}"}
        if self.vhost:
            attachment = {"kind": "synthetic", "socket": str(self.socket(side))}
        return {
            "uid": name, "name": name, "mac": mac(lane, side), "network": f"n{lane}", "subnet": f"s{lane}",
            "group": group, "mtu": 1500, "addresses": [{"ip": str(address)} for address in addresses],
            "attachments": [attachment], "active": attachment["kind"],
        }
