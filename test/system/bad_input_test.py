#!/usr/bin/env python3
"""What a whole cloud refuses: an error of ARM's shape with a sentence that helps, and nothing changed. Prints TAP.

    bad_input_test.py SLUICE

One virtual machine runs, so that there is something to be in the way of.
"""
import socket
import sys

import arm
import cloud
import tap

# A ratio that no machine's memory makes up for: 140 GiB of a size are more than half of it.
OPTIONS = ("--ram-allocation-ratio", "0.5")
TOO_BIG, PLAIN, UNKNOWN = "Standard_D15_v2", "Standard_D1_v2", "Standard_Z80_v9"
IMAGE = ("Canonical", "UbuntuServer", "18.04-LTS", "latest")


class World:
    """What is there, and bodies that are right but for one thing."""

    def __init__(self, bed):
        self.cloud, self.arm, self.group = bed, bed.arm, bed.arm.group("g")

    def make(self):
        group = self.group
        group.create()
        group.network("net", subnets=(("subnet", "192.168.1.0/24"), ("tiny", "192.168.2.0/29")))
        group.security_group("nsg")
        group.rule("nsg", "ssh", 100, port="22")
        self.address = group.address("ip")
        group.nic("nic", "net", "ip", "nsg", accelerated=False)
        group.nic("free", "net", accelerated=False)
        group.nic("fast", "net", accelerated=True)
        for number in range(3):  # of eight addresses five are the platform's
            group.nic(f"tiny{number}", "net", subnet="tiny", accelerated=False)
        group.vm("vm", "nic", self.cloud.key, size="Standard_D2_v2")
        self.before = self.arm.resources()

    def located(self, properties, location="centralus"):
        return {"location": location, "properties": properties}

    def network(self, prefix="10.0.0.0/16", *subnets):
        return self.located({"addressSpace": {"addressPrefixes": [prefix]}, "subnets": [
            {"name": f"s{number}", "properties": {"addressPrefix": part}} for number, part in enumerate(subnets)]})

    def rule(self, **changes):
        return {"properties": {
            "protocol": "Tcp", "access": "Allow", "direction": "Inbound", "priority": 200, "sourceAddressPrefix": "*",
            "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "80", **changes}}

    def nic(self, subnet="net/subnets/subnet", accelerated=False, security_group=None, address=None):
        configuration = {"subnet": {"id": self.group("virtualNetworks", subnet)}}
        if address:
            configuration["publicIPAddress"] = {"id": self.group("publicIPAddresses", address)}
        properties = {"enableAcceleratedNetworking": accelerated,
                      "ipConfigurations": [{"name": "ipconfig1", "properties": configuration}]}
        if security_group:
            properties["networkSecurityGroup"] = {"id": self.group("networkSecurityGroups", security_group)}
        return self.located(properties)

    def vm(self, nics=("free",), size=PLAIN, image=IMAGE, without=None, **changes):
        properties = self.group.vm_properties("other", nics, self.cloud.key, size, image)
        properties.pop(without, None)
        properties["osProfile"] = {**properties["osProfile"], **changes} if "osProfile" in properties else None
        return self.located(properties)


def cases(world):
    """(promise, method, path, body, status, code, word of the sentence)."""
    group = world.group
    nets, nsgs, ips, nics, vms = (lambda name, kind=kind: group(kind, name) for kind in (
        "virtualNetworks", "networkSecurityGroups", "publicIPAddresses", "networkInterfaces", "virtualMachines"))
    rules = lambda name: nsgs("nsg") + "/securityRules/" + name  # noqa: E731
    root, no_group = world.arm.subscription_path(), world.group.path.rsplit("/", 1)[0] + "/none"
    no_subscription = "/subscriptions/00000000-0000-0000-0000-000000000000"
    return [
        ("text that is no JSON", "PUT", nets("x"), b"{location: ", 400, "InvalidRequestContent", "line 1"),
        ("a list where an object is needed", "PUT", nets("x"), [], 400, None, ""),
        ("no location", "PUT", nets("x"), {"properties": {}}, 400, None, "location"),
        ("a location that is not on offer", "PUT", nets("x"), {**world.network(), "location": "atlantis"}, 400,
         "LocationNotAvailableForResourceType", "atlantis"),
        ("no address space", "PUT", nets("x"), world.located({}), 400, None, "prefix"),
        ("a field of the wrong type", "PUT", nets("x"), world.located({"addressSpace": {"addressPrefixes": 7}}), 400, None,
         "addressPrefixes"),
        ("a prefix that is none", "PUT", nets("x"), world.network("300.0.0.0/8"), 400, None, "300.0.0.0/8"),
        ("a prefix with bits behind its length", "PUT", nets("x"), world.network("10.0.0.1/8"), 400, None, "10.0.0.1/8"),
        ("a subnet outside of its network", "PUT", nets("x"), world.network("10.0.0.0/16", "10.9.0.0/24"), 400, None, "s0"),
        ("overlapping subnets", "PUT", nets("x"), world.network("10.0.0.0/16", "10.0.0.0/24", "10.0.0.128/25"), 409, None,
         "overlaps"),
        ("a subnet without room", "PUT", nets("x"), world.network("10.0.0.0/16", "10.0.0.0/30"), 400, None, "/29"),
        ("a name with a space", "PUT", nets("a%20b"), world.network(), 400, None, "a b"),
        ("a name that is too long", "PUT", nets("n" * 81), world.network(), 400, None, "characters"),
        ("a bad name of a group", "PUT", root + "/resourceGroups/bad%3Fname", {"location": "centralus"}, 400, None, "name"),
        ("a subnet in use taken away", "PUT", nets("net"), world.network("192.168.0.0/16"), 409, None, "in use"),
        ("a type that nobody knows", "PUT", f"{group.path}/providers/Microsoft.Network/flyingCarpets/x", world.located({}),
         400, None, "flyingCarpets"),
        ("a classic virtual machine", "PUT", f"{group.path}/providers/Microsoft.ClassicCompute/virtualMachines/x",
         world.located({}), 400, None, "ClassicCompute"),
        ("a group that is not there", "PUT", f"{no_group}/providers/Microsoft.Network/virtualNetworks/x", world.network(),
         404, "ResourceGroupNotFound", "none"),
        ("a subscription that is not there", "GET", no_subscription + "/resourceGroups", None, 404, "SubscriptionNotFound",
         "0000"),
        ("a resource that is not there", "GET", nets("nowhere"), None, 404, "ResourceNotFound", "nowhere"),
        ("a rule with a priority out of range", "PUT", rules("x"), world.rule(priority=99), 400, None, "99"),
        ("a rule with a priority that is taken", "PUT", rules("x"), world.rule(priority=100), 409, None, "ssh"),
        ("a rule with a port that is none", "PUT", rules("x"), world.rule(destinationPortRange="70000"), 400, None, "70000"),
        ("a rule with an address that is none", "PUT", rules("x"), world.rule(sourceAddressPrefix="1.2.3"), 400, None,
         "1.2.3"),
        ("a rule with an unknown protocol", "PUT", rules("x"), world.rule(protocol="Carrier"), 400, None, "Carrier"),
        ("a rule that says neither allow nor deny", "PUT", rules("x"), world.rule(access="Maybe"), 400, None, "Maybe"),
        ("a rule of a group that is not there", "PUT", nsgs("none") + "/securityRules/x", world.rule(), 404, None, "none"),
        ("a NIC without configurations", "PUT", nics("x"), world.located({}), 400, None, "configuration"),
        ("a NIC in a network that is not there", "PUT", nics("x"), world.nic("none/subnets/subnet"), 400,
         "InvalidResourceReference", "none"),
        ("a NIC in a subnet that is not there", "PUT", nics("x"), world.nic("net/subnets/none"), 400,
         "InvalidResourceReference", "none"),
        ("a NIC with a security group that is not there", "PUT", nics("x"), world.nic(security_group="none"), 400,
         "InvalidResourceReference", "none"),
        ("a NIC with an address that another has", "PUT", nics("x"), world.nic(address="ip"), 409, None, "ip"),
        ("a NIC in a full subnet", "PUT", nics("x"), world.nic("net/subnets/tiny"), 409, None, "tiny"),
        ("acceleration of a running machine's NIC", "PUT", nics("nic"),
         world.nic(accelerated=True, security_group="nsg", address="ip"), 409, "OperationNotAllowed", "deallocate"),
        ("a security group in use deleted", "DELETE", nsgs("nsg"), None, 409, None, "nic"),
        ("a network in use deleted", "DELETE", nets("net"), None, 409, None, "net"),
        ("a public address in use deleted", "DELETE", ips("ip"), None, 409, None, "nic"),
        ("a machine's NIC deleted", "DELETE", nics("nic"), None, 409, None, "vm"),
        ("a machine with a NIC that another has", "PUT", vms("other"), world.vm(nics=("nic",)), 409, None, "vm"),
        ("a machine with a NIC that is not there", "PUT", vms("other"), world.vm(nics=("none",)), 400,
         "InvalidResourceReference", "none"),
        ("a machine without NIC", "PUT", vms("other"), world.vm(nics=()), 400, None, "interface"),
        ("a machine of an unknown size", "PUT", vms("other"), world.vm(size=UNKNOWN), 400, None, UNKNOWN),
        ("a machine of an unknown image", "PUT", vms("other"), world.vm(image=("Nobody", "Nothing", "1", "latest")), 4, None,
         "image"),
        ("a machine without image", "PUT", vms("other"), world.vm(without="storageProfile"), 400, None, "image"),
        ("a machine without user", "PUT", vms("other"), world.vm(adminUsername=""), 400, None, "user"),
        ("a machine with the user root", "PUT", vms("other"), world.vm(adminUsername="root"), 400, None, "root"),
        ("a machine without key", "PUT", vms("other"), world.vm(linuxConfiguration={}), 400, None, "key"),
        ("an accelerated NIC in a size without", "PUT", vms("other"), world.vm(nics=("fast",)), 409, None, "accelerated"),
        ("a size of a running machine that its host cannot hold", "PUT", vms("vm"),
         world.vm(nics=("nic",), size="Standard_D3_v2"), 409, None, "RamFilter"),
        ("an action that nobody knows", "POST", vms("vm") + "/explode", None, 4, None, "explode"),
    ]


def check(world, method, path, body, status, code, word):
    """status 4 stands for any of 400 to 499, code None for any."""
    found, headers, answer = world.arm.raw(method, path, body)
    refusal = arm.Refused(found, answer)
    assert found == status or (status == 4 and 400 <= found < 500), f"answered {found} {answer}"
    assert headers["Content-Type"].startswith("application/json"), headers["Content-Type"]
    assert refusal.code and (code is None or refusal.code == code), refusal.code
    assert word.lower() in refusal.message.lower(), f"'{word}' is not in: {refusal.message}"
    assert " " in refusal.message and len(refusal.message) >= 20, refusal.message
    tap.note(refusal)
    unchanged(world)


def unchanged(world):
    found = list(arm.changes(world.before, world.arm.resources()))
    assert not found, "\n".join(found)


def check_tokens(world):
    for header in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic cm9vdDpyb290"}):
        status, _, text = world.arm.send("GET", world.arm.endpoint + "/subscriptions?" + arm.API_VERSION, headers=header)
        assert status == 401 and b"AuthenticationFailed" in text, (status, text)


def check_stale_etag(world):
    url = world.arm.endpoint + world.group("virtualNetworks", "net") + "?" + arm.API_VERSION
    status, _, text = world.arm.send("DELETE", url, headers={
        "Authorization": "Bearer " + world.arm.token, "If-Match": 'W/"1"'})
    assert status == 412 and b"PreconditionFailed" in text, (status, text)
    unchanged(world)


def check_too_big(world):
    try:
        world.arm.put(world.group("virtualMachines", "other"), world.vm(nics=("fast",), size=TOO_BIG))
        raise AssertionError("it was placed")
    except arm.Refused as refusal:
        tap.note(refusal)
        assert refusal.status is None and refusal.code == "AllocationFailed", refusal
        assert "RamFilter" in refusal.message and f"Host {socket.gethostname()}:" in refusal.message, refusal
    made = world.arm.get(world.group("virtualMachines", "other"))
    assert made["properties"]["provisioningState"] == "Failed", made
    world.arm.delete(world.group("virtualMachines", "other"))
    unchanged(world)


def check_all_well(world):
    world.cloud.wait_ssh(world.address, 120)
    world.arm.delete(world.group.path)
    assert not world.arm.resources()


def main():
    cloud.skip_unless_possible()
    with cloud.Cloud(sys.argv[1], OPTIONS) as bed:
        bed.start()
        world = World(bed)
        world.make()
        refused = cases(world)
        points = tap.Tap(len(refused) + 4, chained=False)
        for promise, *case in refused:
            points.point(f"{promise} is refused, and nothing is changed", lambda: check(world, *case))
        points.point("requests without a good token are refused", lambda: check_tokens(world))
        points.point("a change under an old ETag is refused", lambda: check_stale_etag(world))
        points.point("a size too big for all hosts fails with each host's filter", lambda: check_too_big(world))
        points.point("the machine was in nobody's way, and all of it can be deleted", lambda: check_all_well(world))
        if points.failed:
            bed.logs()
    sys.exit(1 if points.failed else 0)


if __name__ == "__main__":
    main()
