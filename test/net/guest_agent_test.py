#!/usr/bin/python3
"""A real guest tool that follows a real agent: the rules of a goal reach the packets of the NIC's guest.

    guest_agent_test.py SLUICE-AGENT SLUICE-GUEST     as root; prints TAP. TESTS=TEXT selects
"""
import json
import os
import shutil
import socket
import subprocess
import sys

from guest_world import GUEST, HOST, PREFIX, SERVICE, World
from lab import expect, run, run_tests, wait_for

VM, NIC = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def rule(port, priority):
    side = {"addresses": ["*"], "ports": ["*"]}
    return {"name": f"allow-{port}", "direction": "inbound", "access": "allow", "protocol": "tcp", "priority": priority,
            "source": side, "destination": {"addresses": ["*"], "ports": [str(port)]}}


def goal(version, ports, enforced=True):
    """Of one NIC, whose guest's address at the host is the guest's in this test."""
    return {
        "version": version, "host": "host-uid",
        "networks": [{"uid": "net", "name": "net", "vni": 4096, "prefixes": ["192.168.0.0/16"],
                      "subnets": [{"uid": "subnet", "prefix": "192.168.1.0/24", "gateway": "192.168.1.1"}]}],
        "groups": [{"uid": "group", "name": "group", "rules": [rule(p, 100 + i) for i, p in enumerate(ports)]}],
        "vms": [{"uid": VM, "name": "vm", "vcpus": 1, "memory_mib": 1, "power": "stopped"}],
        "nics": [{"uid": NIC, "name": "nic", "mac": "00:0d:3a:00:00:04", "vm": VM, "network": "net", "subnet": "subnet",
                  "security_group": "group", "host_address": GUEST, "accelerated": True, "primary": True,
                  "guest_enforcement": enforced, "addresses": [{"ip": "192.168.1.4"}]}],
    }


class Host(World):
    def __init__(self, agent, tool):
        super().__init__(tool, with_service=False)
        self.program, self.process = agent, None
        self.state = os.path.join(self.folder, "host")

    def build(self):
        super().build()
        run("ip", "netns", "add", f"{PREFIX}-switch")
        os.makedirs(self.state)

    def follow_goal(self, wanted):
        """Another agent starts with this goal, after the last one was killed."""
        self.kill_agent()
        with open(os.path.join(self.state, "goal.json"), "w", encoding="utf-8") as file:
            json.dump(wanted, file)
        with open(os.path.join(self.state, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "--state", self.state, "--run", self.state, "--vm", "fake", "--provider", "none",
                 "--netns-switch", f"{PREFIX}-switch", "--netns-meta", f"{PREFIX}-host", "--switch-socket",
                 self.state + "/none"], stdout=log, stderr=log)
        expect(wait_for(self.answers, 10), "the agent does not serve: " + self.switch_log())

    def answers(self):
        with self.inside("host"):
            s = socket.socket()
        with s:
            return s.connect_ex(SERVICE) == 0

    def kill_agent(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def reaches(self, port):
        listening = self.listen("guest", GUEST, port)
        reached = self.connect("host", GUEST, port)
        listening.close()
        return reached is not None

    def guest_log(self):
        return super().switch_log()

    def switch_log(self):
        try:
            with open(os.path.join(self.state, "log"), encoding="utf-8") as log:
                return log.read() + self.guest_log()
        except FileNotFoundError:
            return self.guest_log()

    def calm(self):
        self.kill_agent()
        super().calm()

    def close(self):
        self.kill_agent()
        super().close()
        run("ip", "netns", "del", f"{PREFIX}-switch", check=False)


def test_goal(host):
    host.follow_goal(goal(1, [22]))
    done = host.run_tool("--once")
    expect(done.returncode == 0, done.stderr)
    expect(host.reaches(22), "what the goal allows is not let in")
    expect(not host.reaches(23), "what the goal does not allow is let in")
    listening = host.listen("host", HOST, 5001)
    expect(host.connect("guest", HOST, 5001), "the default rule for outside does not hold")
    listening.close()


def test_changes(host):
    host.follow_goal(goal(1, [22]))
    host.start_service()
    expect(wait_for(lambda: not host.reaches(23), 5), "the rules do not come")
    host.follow_goal(goal(2, [22, 23]))
    expect(wait_for(lambda: host.reaches(23), 10), "the next agent's rules do not come within the guest's grace")
    expect(host.reaches(22), "the rule that stays does not hold")
    host.follow_goal(goal(3, [22], enforced=False))
    expect(wait_for(lambda: host.table() is None, 10), "the table outlives the opt-in")
    expect("refuses" not in host.guest_log(), host.guest_log())


def test_stranger(host):
    other = goal(1, [22])
    other["nics"][0]["host_address"] = "100.127.0.9"
    host.follow_goal(other)
    done = host.run_tool("--once")
    expect(done.returncode == 0 and host.table() is None, "rules of a NIC reach another NIC's guest")


TESTS = [
    ("a goal's rules hold in the guest", test_goal),
    ("new rules, and no rules, come by the next agent too", test_changes),
    ("a guest gets its own NIC's rules only", test_stranger),
]


def calmly(test):
    def begin(host):
        host.calm()
        test(host)
    return begin


def main():
    if os.geteuid() == 0 and not shutil.which("nft"):
        print("1..0 # SKIP nft is not installed (dist/setup.sh test)")
        return 0
    return run_tests(lambda: Host(sys.argv[1], sys.argv[2]), TESTS, calmly)


if __name__ == "__main__":
    sys.exit(main())
