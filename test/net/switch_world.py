"""The network that the tests of one switch have: five guests of two networks, the outside and the host.

Guests are network namespaces, each behind one veth pair that is a `function` attachment of its NIC:

    a 192.168.1.4  b 192.168.1.5 (one subnet)  c 192.168.2.4 (another)      network one
    x 192.168.1.4  y 192.168.1.5 (the same prefixes)                        network two
    out 203.0.113.1: the gateway and all the world       host: metadata at 169.254.169.254
"""
import copy

from lab import Lab, mac_of, rule, wait_for

OUT_MAC = "02:00:5e:00:00:01"
HOST_MAC = "02:00:5e:00:00:02"
METADATA = "169.254.169.254"
SSH = rule("ssh", 100, 22, tags=["Internet"])


def nic(name, network, subnet, ip, public=None, host=None, group=None):
    return {
        "uid": name, "name": "nic-" + name, "mac": mac_of(name), "network": network, "subnet": subnet,
        "group": group, "mtu": 1500, "addresses": [{"ip": ip, "public": public, "standard": True}],
        "host_address": host, "hostname": "vm-" + name,
        "attachments": [{"kind": "function", "interface": "sw-" + name}], "active": "function",
    }


def subnet(uid, prefix, gateway, group=None):
    return {"uid": uid, "prefix": prefix, "gateway": gateway, "dns": ["9.9.9.9"], "group": group}


BASE = {
    "generation": 1,
    "outside": {"interface": "sw-out", "mac": OUT_MAC, "prefix": "203.0.113.0/24", "gateway": "203.0.113.1"},
    "host_port": {"interface": "sw-host", "mac": HOST_MAC, "prefix": "100.64.0.0/10"},
    "groups": [{"uid": "g", "name": "web", "revalidate": True, "rules": []},
               {"uid": "keep", "name": "keep", "revalidate": False, "rules": []}],
    "networks": [
        {"uid": "one", "vni": 4096, "prefixes": ["192.168.0.0/16"], "subnets": [
            subnet("one-1", "192.168.1.0/24", "192.168.1.1"), subnet("one-2", "192.168.2.0/24", "192.168.2.1")]},
        {"uid": "two", "vni": 4097, "prefixes": ["192.168.0.0/16"], "subnets": [
            subnet("two-1", "192.168.1.0/24", "192.168.1.1")]},
    ],
    "nics": [
        nic("a", "one", "one-1", "192.168.1.4", "203.0.113.10", "100.64.0.4", "g"),
        nic("b", "one", "one-1", "192.168.1.5", "203.0.113.11", "100.64.0.5"),
        nic("c", "one", "one-2", "192.168.2.4", None, "100.64.0.6", "keep"),
        nic("x", "two", "two-1", "192.168.1.4", None, "100.64.0.7"),
        nic("y", "two", "two-1", "192.168.1.5", None, "100.64.0.8"),
    ],
}

GUESTS = {"a": ("192.168.1.4/24", "192.168.1.1"), "b": ("192.168.1.5/24", "192.168.1.1"),
          "c": ("192.168.2.4/24", "192.168.2.1"), "x": ("192.168.1.4/24", "192.168.1.1"),
          "y": ("192.168.1.5/24", "192.168.1.1")}


class World(Lab):
    """The lab with all guests, and the state that was applied last."""

    def __init__(self, switch):
        super().__init__(switch)
        self.state = copy.deepcopy(BASE)
        self.log_before = 0

    def build(self):
        for name, (address, gateway) in GUESTS.items():
            self.namespace(name)
            self.wire("sw-" + name, name, mac_of(name))
            self.address(name, address)
            self.ip(name, "route", "add", "default", "via", gateway)
        self.namespace("out")
        self.wire("sw-out", "out")
        self.address("out", "203.0.113.1/24", "198.51.100.7/32")
        self.namespace("host")
        self.wire("sw-host", "host")
        self.address("host", METADATA + "/32", routes=["100.64.0.0/10"])
        self.start_switch()
        self.apply()

    def apply(self):
        self.state["generation"] += 1
        return self.control.call("apply", self.state)

    def rules(self, group, *rules):
        for g in self.state["groups"]:
            if g["uid"] == group:
                g["rules"] = list(rules)
        self.apply()

    def nic_state(self, uid):
        return next(row for row in self.control.call("nic.list") if row["uid"] == uid)

    def restart(self, how, *more):
        """Ends the switch by the signal and starts another."""
        self.kill_switch(how)
        self.log_before = len(self.switch_log())
        self.start_switch(*more)

    def since_start(self):
        """What the switch that was started by restart() has logged."""
        return self.switch_log()[self.log_before:]


def counted(w, nic_uid, reason, action):
    """Runs action and returns by how much the NIC's drops for the reason grew."""
    before = w.control.drops(nic_uid).get(reason, 0)
    action()
    wait_for(lambda: w.control.drops(nic_uid).get(reason, 0) > before, 2)
    return w.control.drops(nic_uid).get(reason, 0) - before


def exchange(client, server):
    """Both directions of a TCP connection carry data."""
    client.sendall(b"ping")
    if server.recv(4) != b"ping":
        return False
    server.sendall(b"pong")
    return client.recv(4) == b"pong"
