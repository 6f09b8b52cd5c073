"""Commands against a cloud whose parts die meanwhile: repeated until they succeed, as a user would."""
import time

import arm
import cloud
import tap

REPEAT_LIMIT_S = 120
OUTAGE_LIMIT_S = 45  # of a machine whose switch died: the longest pause before it is started again, and its start
# What a user is told to try again; every other refusal is an error of the test or of the cloud.
PASSING = {"ServiceUnavailable", "InternalServerError", "AnotherOperationInProgress", "Conflict", "AllocationFailed"}


def is_passing(refusal):
    return refusal.code in PASSING or (refusal.status or 0) >= 500


class Patience:
    """How long commands are repeated: while parts die, and for a while after the last one died."""

    def __init__(self):
        self.last_death, self.failures, self.switch_deaths = 0, 0, []

    def note_death(self, part):
        self.last_death = time.monotonic()
        if part == "switch":
            self.switch_deaths.append(time.time())

    def is_over(self, start):
        return time.monotonic() > max(start, self.last_death) + REPEAT_LIMIT_S


patience = Patience()


def repeat(what, command):
    """Runs command() until it succeeds; its answer."""
    start = time.monotonic()
    while True:
        try:
            return command()
        except arm.Refused as refusal:
            if not is_passing(refusal):
                raise
            why = refusal
        except (arm.Unreachable, cloud.CallFailed, OSError) as error:
            why = error
        patience.failures += 1
        if patience.is_over(start):
            raise tap.Timeout(f"{what}: not within {REPEAT_LIMIT_S} s: {why}")
        time.sleep(0.5)


class Tenant:
    """One network with a reachable, accelerated machine `steady` and a guest `passing`, and commands that change them.

    Every command says what it wants, not what it changes, so that it can be repeated. `want` is what the last ones
    asked for. No command names the machine `bystander`, which is accelerated too and is pinged all the time.
    """

    def __init__(self, bed):
        self.cloud, self.arm, self.group = bed, bed.arm, bed.arm.group("g")
        self.want = {"power": "running", "revoked": False, "rule": True, "passing": False, "tiny": 0}

    def make(self):
        group = self.group
        group.create()
        group.network("net", subnets=(("subnet", "192.168.1.0/24"), ("tiny", "192.168.2.0/29")))
        group.security_group("nsg")
        group.rule("nsg", "ssh", 100, port="22")
        group.rule("nsg", "ping", 110, protocol="Icmp")
        self.address = group.address("ip")
        group.nic("nic", "net", "ip", "nsg")
        group.nic("nic2", "net")
        group.vm("steady", "nic", self.cloud.key)
        self.make_bystander()
        self.cloud.wait_ssh(self.address)

    def make_bystander(self):
        group = self.group
        group.security_group("open")
        group.rule("open", "ping", 100, protocol="Icmp")
        address = group.address("ip3")
        group.nic("nic3", "net", "ip3", "open")
        group.vm("bystander", "nic3", self.cloud.key)
        self.bystander_pid = self.cloud.qemu_pid(self.vm_id("bystander"))
        self.cloud.wait_ping(address, 60)
        tap.wait_for("the bystander's function", 60, lambda: any(
            row["nic_name"] == "nic3" and row["active"] == "function" for row in self.cloud.agent("vf.list")))
        self.ping = self.cloud.watchers.enter_context(cloud.Ping(self.cloud, address))

    def vm_id(self, name):
        return self.arm.get(self.group("virtualMachines", name))["properties"]["vmId"]

    def power(self, state):
        self.want["power"] = state
        action = {"running": "start", "deallocated": "deallocate"}[state]
        repeat(action, lambda: self.group.post("steady", action))

    def restart(self):
        repeat("restart", lambda: self.group.post("steady", "restart"))

    def reimage(self):
        repeat("reimage", lambda: self.group.post("steady", "reimage"))

    def rule(self, there):
        self.want["rule"] = there
        path = self.group("networkSecurityGroups", "nsg") + "/securityRules/ping"
        if there:
            repeat("rule put", lambda: self.group.rule("nsg", "ping", 110, protocol="Icmp"))
        else:
            repeat("rule delete", lambda: self.arm.delete(path))

    def function(self, revoked):
        self.want["revoked"] = revoked
        method = "vf.revoke" if revoked else "vf.restore"
        repeat(method, lambda: self.cloud.agent(method, nic="nic"))

    def passing(self, there):
        self.want["passing"] = there
        if there:
            repeat("vm create", lambda: self.group.vm("passing", "nic2", self.cloud.key))
        else:
            repeat("vm delete", lambda: self.arm.delete(self.group("virtualMachines", "passing")))

    def tiny(self, count):
        """So many NICs in the subnet that has room for three: what leaks of its pool is missed soon."""
        self.want["tiny"] = count
        for number in range(3):
            name = f"tiny{number}"
            if number < count:
                repeat("nic create", lambda name=name: self.group.nic(name, "net", subnet="tiny", accelerated=False))
            else:
                repeat("nic delete", lambda name=name: self.arm.delete(self.group("networkInterfaces", name)))

    def side_group(self):
        """A group of its own, made and deleted with what is in it."""
        side = self.arm.group("side")

        def delete():
            try:
                self.arm.delete(side.path)
            except arm.Refused as refusal:
                if refusal.status != 404:  # an earlier try has done it
                    raise
        repeat("group create", side.create)
        repeat("network create", lambda: side.network("net"))
        repeat("address create", lambda: side.address("ip"))
        repeat("group delete", delete)

    # ---- what must hold when nothing dies any more ----

    def settle(self):
        """Everything on, and everyone at rest."""
        self.cloud.wait_healthy(120)
        self.power("running")
        self.function(False)
        self.rule(True)
        tap.wait_for("the machine is said to run", 120, lambda: self.group.power("steady") == "running")
        self.cloud.wait_ssh(self.address, 120)
        self.cloud.wait_ping(self.address)

    def check_bystander(self):
        """It is the process of old, and missed packets only while the switch was dead."""
        assert self.cloud.qemu_pid(self.vm_id("bystander")) == self.bystander_pid, "the bystander is another process"
        self.ping.stop()
        tap.note(f"{self.ping} with {len(patience.switch_deaths)} deaths of the switch")
        for last, first, missing in self.ping.outages:
            killed = [death for death in patience.switch_deaths if last - 1 < death < first]
            assert killed, f"{missing} pings were lost after {time.ctime(last)}, while the switch was alive"
            assert first - killed[-1] < OUTAGE_LIMIT_S, f"no reply for {first - killed[-1]:.1f} s after a kill of the switch"
        assert time.time() - self.ping.last < 5, "the bystander does not answer any more"

    def check_parts(self):
        assert not self.cloud.faults(), "\n".join(self.cloud.faults())

    def expected_vms(self):
        names = ["steady", "bystander"] + (["passing"] if self.want["passing"] else [])
        return {name: self.vm_id(name) for name in names}

    def check_machines(self):
        """What runs, is defined and has a folder is what the API names."""
        expected = self.expected_vms()
        for uid in expected.values():
            assert self.cloud.qemu_pid(uid), f"machine {uid} does not run"
        assert self.cloud.qemu_count() == len(expected), f"{self.cloud.qemu_count()} processes for {len(expected)} machines"
        assert self.cloud.defined() == set(expected.values()), (self.cloud.defined(), expected)
        folders = {path.name for path in (self.cloud.state / "agent/vms").iterdir()}
        assert folders == set(expected.values()), (folders, expected)

    def check_functions(self):
        """Functions in the guests, the agent's and the provider's ledgers and the links are the same."""
        def settled():
            rows = self.cloud.agent("vf.list")
            return all(row["active"] == "function" for row in rows) and rows
        rows = tap.wait_for("all functions are active", 60, settled)
        accelerated = {"nic", "nic3"} | ({"nic2"} if self.want["passing"] else set())
        assert {row["nic_name"] for row in rows} == accelerated, rows
        functions = {row["function"] for row in rows}
        taps = {name for name in cloud.links(self.cloud.namespace) if name.startswith("sl-f")}
        assert taps == functions, f"taps {taps}, functions {functions}"
        assert self.cloud.provider_ledger() == functions, (self.cloud.provider_ledger(), functions)

    def check_switch(self):
        """The switch has the machines' ports, and each is ready."""
        ports = self.cloud.switch("nic.list")
        assert len(ports) == len(self.expected_vms()), ports
        for port in ports:
            assert all(attachment["state"] == "ready" for attachment in port["attachments"]), port
        vhost = self.cloud.state / "run/vhost"
        sockets = list(vhost.glob("*.sock"))
        assert len(sockets) == len(ports), sockets
        assert not list((vhost / "exchange").iterdir()), "connections that were to be carried to another host are left behind"

    def check_namespaces(self):
        mine = {name for name in cloud.namespaces() if name.startswith(self.cloud.namespace)}
        assert mine == {self.cloud.namespace, self.cloud.namespace + "-meta"}, mine
        plain = {name for name in cloud.links(self.cloud.namespace) if not name.startswith("sl-f")}
        assert plain == {"lo", "sl-out", "sl-host"}, plain

    def check_pool(self):
        """No address of the small subnet was lost, and none is given twice."""
        self.tiny(0)
        self.tiny(3)
        addresses = {self.arm.get(self.group("networkInterfaces", f"tiny{number}"))
                     ["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] for number in range(3)}
        assert addresses == {f"192.168.2.{host}" for host in (4, 5, 6)}, addresses

    def check_empty(self):
        self.arm.delete(self.group.path)
        assert not self.arm.resources(), self.arm.resources().keys()
        assert self.cloud.qemu_count() == 0 and self.cloud.defined() == set(), (self.cloud.qemu_count(), self.cloud.defined())
        for what, left in (("NIC in the switch", lambda: self.cloud.switch("nic.list")),
                           ("function", lambda: self.cloud.agent("vf.list"))):  # their host forgets them a moment later
            tap.wait_for(f"no {what} to be left", 10, lambda left=left: left() == [])
        tap.wait_for("no tap", 10, lambda: cloud.links(self.cloud.namespace) == {"lo", "sl-out", "sl-host"})


END = [
    ("the end state is what the commands asked for, and the machine is reached", "settle"),
    ("a machine that no command named ran on, and packets reached it whenever the switch lived", "check_bystander"),
    ("no part crashed or gave up", "check_parts"),
    ("no machine, definition or disk is left over or missing", "check_machines"),
    ("no function is left over or missing", "check_functions"),
    ("the switch has the machines' ports, all ready", "check_switch"),
    ("no namespace or link is left over or missing", "check_namespaces"),
    ("no address is lost", "check_pool"),
    ("deleting the group leaves nothing", "check_empty"),
]
