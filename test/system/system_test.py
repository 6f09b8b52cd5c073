#!/usr/bin/env python3
"""A whole cloud with one virtual machine, whose parts die one after another. Prints TAP.

    system_test.py SLUICE
"""
import os
import pathlib
import pwd
import signal
import sys
import time

import arm
import cloud
import tap

OUTAGE_S = 5


class Test:
    """Steps in order; each builds on those before."""

    def __init__(self, bed):
        self.cloud = bed

    def starts(self):
        self.links, self.namespaces = cloud.links(), cloud.namespaces()
        self.cloud.start()
        self.group = self.cloud.arm.group("g")

    def switch_is_confined(self):
        """CAP_NET_ADMIN and CAP_NET_RAW are numbers 12 and 13."""
        user, allowed = pwd.getpwnam("sluice-switch"), f"{1 << 12 | 1 << 13:016x}"
        text = pathlib.Path(f"/proc/{self.cloud.pid('switch')}/status").read_text()
        status = dict(line.split(":\t", 1) for line in text.splitlines())
        tap.note(", ".join(f"{name} {status[name]}" for name in ("Uid", "Gid", "CapEff", "NoNewPrivs")).replace("\t", " "))
        assert status["Uid"].split() == [str(user.pw_uid)] * 4 and status["Gid"].split() == [str(user.pw_gid)] * 4, status
        assert not status["Groups"].strip() and status["NoNewPrivs"] == "1", status
        assert all(status[name] == allowed for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")), status
        refused = cloud.run("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", sys.executable, "-c",
                            "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])",
                            self.cloud.switch_socket, check=False)
        assert "PermissionError" in refused.stderr, f"other users get into the control socket: {refused}"

    def makes_vm(self):
        group = self.group
        group.create()
        group.network("net")
        group.security_group("nsg")
        group.rule("nsg", "ssh", 100, port="22")
        group.rule("nsg", "ping", 110, protocol="Icmp")
        self.address = group.address("ip")
        group.nic("nic", "net", "ip", "nsg")
        group.vm("vm", "nic", self.cloud.key)
        assert group.power("vm") == "running", group.power("vm")
        self.uid = self.vm()["properties"]["vmId"]
        assert self.cloud.qemu_pid(self.uid)

    def vm(self):
        return self.cloud.arm.get(self.group("virtualMachines", "vm"))

    def is_reached(self):
        self.cloud.wait_ping(self.address, 60)
        tap.note(f"ssh after {self.cloud.wait_ssh(self.address):.1f} s more")
        assert self.cloud.ssh(self.address, "hostname").strip() == "vm"

    def is_balanced(self):
        """By a rule, once the probe has found the guest's port, and by a NAT rule."""
        group = self.group
        front = group.address("front")
        group.balancer("lb", "front", "pool", [("ssh", 2222, 22)], [("nat", 50000, 22)])
        lb = group("loadBalancers", "lb")
        group.nic("nic", "net", "ip", "nsg", loadBalancerBackendAddressPools=[{"id": f"{lb}/backendAddressPools/pool"}],
                  loadBalancerInboundNatRules=[{"id": f"{lb}/inboundNatRules/nat"}])
        for port in (50000, 2222):
            self.cloud.wait_ssh(front, 60, port)
            assert self.cloud.ssh(front, "hostname", port=port).strip() == "vm"
        try:
            self.cloud.ssh(front, "hostname", 10)
        except RuntimeError:
            return
        raise AssertionError("port 22 of the load balancer, for which there is no rule, answers")

    def function(self):
        """The row of `sluice vf list` about our NIC, when it is the only one."""
        listed = self.cloud.agent("vf.list")
        assert len(listed) == 1 and listed[0]["nic_name"] == "nic", listed
        return listed[0]

    def wait_active(self, path):
        tap.wait_for(f"the active path is {path}", 30, lambda: self.function()["active"] == path)

    def wait_reported(self, path):
        """The controller has heard of it too."""
        nic = self.group("networkInterfaces", "nic")
        tap.wait_for(f"the NIC's path is said to be {path}", 30, lambda: self.cloud.arm.get(nic)["properties"][
            "accelerationStatus"]["path"] == path)

    def unchanged(self, before):
        """Reports of a host take a moment to arrive."""
        def same():
            self.found = list(arm.changes(before, self.cloud.arm.resources()))
            return not self.found
        try:
            tap.wait_for("the resources as they were", 20, same)
        except tap.Timeout as error:
            raise AssertionError("\n".join(self.found)) from error

    def takes_and_gives(self):
        self.wait_active("function")
        table = self.cloud.cli("vf", "list").stdout
        assert "nic" in table and "function" in table, table
        stream = cloud.Stream(self.cloud, self.address)
        stream.wait_bytes()
        for action, path in (("revoke", "synthetic"), ("restore", "function")):
            with cloud.Ping(self.cloud, self.address) as ping:
                self.cloud.cli("vf", action, "nic")
                assert self.function()["revoked"] is (action == "revoke"), self.function()
                self.wait_active(path)
                stream.wait_bytes()
            tap.note(f"{action}: {ping}")
            assert ping.replies, "nothing answered the ping"
        assert stream.end(), f"of {stream.bytes_sent} bytes {stream.bytes_back} came back, or others"
        tap.note(f"{stream.bytes_back} bytes there and back")

    def replaces_lost(self):
        """Its guest is cut off until the agent's next look at its functions, and a connection outlives that."""
        before, name = self.function()["changes"], self.function()["function"]
        stream = cloud.Stream(self.cloud, self.address)
        stream.wait_bytes()
        with cloud.Ping(self.cloud, self.address) as ping:
            cloud.run("ip", "-n", self.cloud.namespace, "link", "del", name)
            tap.wait_for("the function is replaced", 60, lambda: self.function()["changes"] > before + 1
                         and self.function()["state"] == "attached")
            stream.wait_bytes()
        tap.note(f"'ip link del {name}': {ping}")
        row = self.function()
        assert row["active"] == "function" and row["repairs"] == 1 and "is not there any more" in row["repaired"], row
        assert stream.end(), f"of {stream.bytes_sent} bytes {stream.bytes_back} came back, or others"

    def survives_control(self):
        self.wait_reported("emulated")
        before, qemu = self.cloud.arm.resources(), self.cloud.qemu_pid(self.uid)
        stream = cloud.Stream(self.cloud, self.address)
        stream.wait_bytes()
        with cloud.Ping(self.cloud, self.address) as ping:
            end, kills = time.monotonic() + OUTAGE_S, 0
            while time.monotonic() < end:  # also each process that is started in their place
                kills += sum(self.cloud.kill(part) is not None for part in ("controller", "agent"))
                time.sleep(0.05)
            stream.wait_bytes()
        tap.note(f"{kills} kills in {OUTAGE_S} s: {ping}")
        assert kills >= 4 and ping.replies > 10 * OUTAGE_S // 2, ping
        assert ping.lost == 0, ping
        self.cloud.wait_healthy()
        assert self.cloud.qemu_pid(self.uid) == qemu, "the machine is another one"
        self.unchanged(before)
        assert stream.end(), "the stream lost bytes"

    def takes_commands(self):
        """A rule's removal, and its return, reach the switch."""
        rule = self.group("networkSecurityGroups", "nsg") + "/securityRules/ping"
        self.cloud.arm.delete(rule)
        assert not self.cloud.answers(self.address), "pings are answered without a rule"
        self.group.rule("nsg", "ping", 110, protocol="Icmp")
        assert self.cloud.answers(self.address), "pings are not answered with a rule"

    def survives_switch(self):
        stream = cloud.Stream(self.cloud, self.address)
        stream.wait_bytes()
        with cloud.Ping(self.cloud, self.address) as ping:
            old = self.cloud.kill("switch")
            self.cloud.wait_part("switch", old)
            self.cloud.wait_ping(self.address, 30)
            lived = stream.is_alive(10)
        tap.note(f"kill -9 of the switch: {ping}")
        tap.note(f"an established connection {'lived on' if lived else 'ended'}")
        assert ping.gap_s < 30, ping
        if lived:
            assert stream.end(), "the stream lost bytes"
        else:
            stream.abandon()
        self.cloud.wait_ssh(self.address, 30)
        self.cloud.wait_healthy()
        self.wait_active("function")

    def survives_libvirt(self):
        qemu = self.cloud.qemu_pid(self.uid)
        with cloud.Ping(self.cloud, self.address) as ping:
            old = self.cloud.kill("libvirtd")
            self.cloud.wait_part("libvirtd", old)
            time.sleep(2)
        tap.note(f"kill -9 of the libvirt daemon: {ping}")
        assert ping.replies and ping.lost == 0, ping
        assert self.cloud.qemu_pid(self.uid) == qemu, "the machine is another one"
        self.group.post("vm", "deallocate")
        assert self.group.power("vm") == "deallocated" and not self.cloud.qemu_pid(self.uid)
        self.group.post("vm", "start")
        assert self.group.power("vm") == "running" and self.cloud.qemu_pid(self.uid)
        self.is_reached()

    def revives_vm(self):
        qemu, seen = self.cloud.qemu_pid(self.uid), []
        view = self.group("virtualMachines", "vm") + "/instanceView"

        def died():
            status = next(one for one in self.cloud.arm.get(view)["statuses"] if one["code"].startswith("PowerState"))
            seen.append(status)
            return status["code"] != "PowerState/running" or status.get("message")
        os.kill(qemu, signal.SIGKILL)
        tap.wait_for("the death is reported", 20, died)
        tap.note(f"reported: {seen[-1]}")
        tap.wait_for("another machine", 60, lambda: self.cloud.qemu_pid(self.uid) not in (None, qemu))
        tap.wait_for("it is said to run", 60, lambda: self.group.power("vm") == "running")
        self.is_reached()

    def stops(self):
        self.wait_active("function")
        self.wait_reported("emulated")
        self.resources = self.cloud.arm.resources()
        assert len(self.resources) == 8, self.resources.keys()
        start = time.monotonic()
        status = self.cloud.stop()
        tap.note(f"stopped within {time.monotonic() - start:.1f} s")
        assert status == 0, f"`sluice up` ended with status {status}"
        assert not self.cloud.all_pids(), self.cloud.all_pids()
        left = {name for name in cloud.namespaces() - self.namespaces if name.startswith(self.cloud.namespace)}
        assert not left, f"namespaces {left} are left"
        # The kernel ends a namespace, and with it the pair of the uplink, when it finds the time.
        tap.wait_for("the end of the uplink", 10, lambda: cloud.links(self.cloud.outside) == {"lo"})
        left = {name for name in cloud.links() - self.links if name.startswith("sl-")}
        assert not left, f"links {left} are left"

    def starts_again(self):
        self.cloud.start()
        self.group = self.cloud.arm.group("g")
        self.cloud.wait_healthy()
        tap.wait_for("the machine is said to run", 60, lambda: self.group.power("vm") == "running")
        self.is_reached()
        self.wait_active("function")
        self.unchanged(self.resources)

    def empties(self):
        self.cloud.arm.delete(self.group.path)
        assert not self.cloud.arm.resources(), self.cloud.arm.resources().keys()
        assert not self.cloud.qemu_pid(self.uid)
        # The function's own end is told when its interface is gone, a moment after the machine's.
        tap.wait_for("no function is left", 15, lambda: self.cloud.agent("vf.list") == [])


STEPS = [
    ("the cloud starts", "starts"),
    ("the switch runs as its own user with two capabilities", "switch_is_confined"),
    ("a virtual machine is made by plain requests", "makes_vm"),
    ("it answers ping and ssh from outside", "is_reached"),
    ("a load balancer brings connections to it, by a probed rule and by a NAT rule", "is_balanced"),
    ("a function is taken and given back, and no byte of a connection is lost", "takes_and_gives"),
    ("a function whose interface is deleted is replaced, and no byte of a connection is lost", "replaces_lost"),
    ("while controller and agent are killed again and again, no ping is lost", "survives_control"),
    ("they take commands again", "takes_commands"),
    ("when the switch is killed, the machine is soon reached again", "survives_switch"),
    ("when the libvirt daemon is killed, the machine runs on, and is stopped and started after", "survives_libvirt"),
    ("a machine that is killed is reported and comes back", "revives_vm"),
    ("SIGTERM ends the cloud and leaves no process, namespace or link", "stops"),
    ("with the same state folder everything is back, and the machine runs", "starts_again"),
    ("deleting the group deletes what is in it", "empties"),
]


def main():
    cloud.skip_unless_possible()
    points = tap.Tap(len(STEPS))
    with cloud.Cloud(sys.argv[1]) as bed:
        test = Test(bed)
        for promise, name in STEPS:
            points.point(promise, getattr(test, name))
        if points.failed:
            bed.logs()
    sys.exit(1 if points.failed else 0)


if __name__ == "__main__":
    main()
