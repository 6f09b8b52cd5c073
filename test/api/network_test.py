#!/usr/bin/env python3
"""`sluice network`, and what other verbs ask of a controller: the operator's shell against a running controller. Prints TAP.

    network_test.py SLUICE FOLDER        FOLDER as test/api/cloud.py gives it
"""
import json
import pathlib
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import arm  # noqa: E402
import tap  # noqa: E402

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q test"


class Shell:
    def __init__(self, sluice, state, verb="network"):
        self.verb = verb
        self.command = [sluice, verb, "--state", state]

    def run(self, *words):
        """What it prints; it ends well."""
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stderr, f"status {done.returncode}: {done.stderr}"
        return done.stdout

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))

    def refused(self, part, *words, status=1):
        """It fails, and says so in a sentence that has the part."""
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == status and not done.stdout, f"status {done.returncode}: {done.stdout}"
        assert done.stderr.startswith(f"sluice {self.verb}: ") and part in done.stderr, done.stderr


class Test:
    def __init__(self, shell, group):
        self.shell, self.group = shell, group

    def rows(self, *words):
        """Words of a printed table, line by line, without its titles."""
        return [line.split() for line in self.shell.run(*words).splitlines()[1:]]

    def physical(self):
        assert "add one with" in self.shell.run("physical", "list")
        added = self.shell.json("physical", "add", "physnet1", "--vlans", "300,100-199")
        assert added == {"name": "physnet1", "vlans": "100-199,300", "guestEnforcement": False, "networks": [],
                         "hosts": ["pretended"], "was": {}}, added
        assert self.rows("physical", "add", "physnet1", "--vlans", "100-199", "--guest-enforcement") == [
            ["physnet1", "100-199", "allowed", "-", "pretended"],
            "changed: VLANs were 100-199,300".split(),
            "changed: guest enforcement was not allowed".split()]

    def permission(self):
        change = ["physical", "add", "PHYSNET1", "--vlans"]
        assert self.shell.json(*change, "100-198")["guestEnforcement"]
        withdrawn = self.shell.run(*change, "100-198", "--no-guest-enforcement")
        assert "changed: guest enforcement was allowed" in withdrawn, withdrawn
        assert not self.shell.json(*change, "100-199")["guestEnforcement"]
        assert self.shell.json(*change, "100-199", "--guest-enforcement")["was"] == {"guestEnforcement": False}

    def refused(self):
        self.shell.refused("are no VLANs", "physical", "add", "physnet2", "--vlans", "5-1", status=2)
        self.shell.refused("is no name", "physical", "add", "phys:net", "--vlans", "5", status=2)

    def words(self):
        """Which there are only the controller knows."""
        quota, audit, host = (Shell(self.shell.command[0], self.shell.command[-1], verb) for verb in ("quota", "audit", "host"))
        quota.refused("there is no quota 'bogus'", "set", "bogus=3", status=2)
        audit.refused("result: 'bogus' is none of done, accepted,", "--result", "bogus", status=2)
        audit.refused("since: 'yesterday' is no time", "--since", "yesterday", status=2)
        host.refused("'Rack 1' is no name", "fault-domain", "pretended", "Rack 1", status=2)
        host.refused("there is no host other", "fault-domain", "other", "rack-1")

    def hosts(self):
        host = Shell(self.shell.command[0], self.shell.command[-1], "host")
        listed, = host.json("list")["hosts"]
        assert listed["name"] == "pretended" and not listed["silent"] and not listed["drained"], listed
        assert host.run("list").splitlines()[1].split()[:2] == ["pretended", "ready"]

    def segment(self):
        self.group.create()
        self.group.network("net")
        network, = self.shell.json("list")["networks"]
        assert network["segment"] == "vxlan" and network["vni"] and not network["nics"], network
        assert self.shell.run("segment", "web/net", "--vlan", "physnet1:150") == "web/net: vlan:physnet1:150\n"
        assert self.shell.json("segment", network["uid"], "--vlan", "physnet1")["vlan"] == 150
        assert self.rows("list") == [["web/net", "vlan:physnet1:150", "-", "0", network["uid"]]]
        assert self.rows("physical", "list") == [["physnet1", "100-199", "allowed", "web/net", "150", "pretended"]]
        assert self.shell.json("segment", "NET", "--vlan", "physnet1")["vlan"] == 150
        self.shell.refused("no virtual network other:", "segment", "other", "--vxlan")
        self.shell.refused("no virtual network other in resource group web", "segment", "web/other", "--vxlan")
        self.shell.refused("there is no physical network wire", "segment", "web/net", "--vlan", "wire")

    def in_use(self):
        self.shell.refused("in use by virtual network net", "physical", "remove", "physnet1")
        self.shell.refused("VLAN 150 of physical network physnet1", "physical", "add", "physnet1", "--vlans", "100")
        self.group.nic("nic", "net", accelerated=False)
        self.group.vm("vm", "nic", KEY)
        self.shell.refused("not deallocated: vm", "segment", "web/net", "--vxlan")
        self.group.post("vm", "deallocate")
        assert self.shell.json("segment", "web/net", "--vxlan")["nics"] == ["nic"]

    def removed(self):
        assert self.shell.json("physical", "remove", "physnet1") == {"name": "physnet1"}
        self.shell.refused("there is no physical network physnet1", "physical", "remove", "physnet1")

    def strangers(self):
        folder = pathlib.Path(self.shell.command[-1])
        principal = json.loads((folder / "principal.json").read_text())
        other = folder / "other"
        other.mkdir()
        for name in ("ca.pem", "endpoint"):
            (other / name).write_text((folder / name).read_text())
        (other / "principal.json").write_text(json.dumps({**principal, "password": "guess"}))
        stranger = Shell(self.shell.command[0], str(other))
        stranger.refused("its secret is wrong", "list")
        (other / "ca.pem").write_text((folder / "pretended.pem").read_text())
        stranger.refused("does not answer", "list")
        (other / "endpoint").write_text("https://127.0.0.1:1\n")
        stranger.refused("does not answer", "list")


def main():
    sluice, state = sys.argv[1:]
    cloud = arm.Arm(pathlib.Path(state))
    test, points = Test(Shell(sluice, state), cloud.group("web")), tap.Tap(9)
    points.point("physical networks are added, changed and shown", test.physical)
    points.point("guests' enforcement is withdrawn only by who says so, and the answer tells", test.permission)
    points.point("what is no name and no range of VLANs is refused", test.refused)
    points.point("so is what else only the controller knows to be wrong, as wrong command lines are", test.words)
    points.point("a host that is not drained is listed as ready", test.hosts)
    points.point("a network goes to a VLAN of one, named by group and name or by uid", test.segment)
    points.point("what is in use stays, and who uses it is named", test.in_use)
    points.point("a physical network is removed once", test.removed)
    points.point("a wrong secret, another cloud's certificate and an absent controller are told apart from refusals",
                 test.strangers)
    sys.exit(points.failed)


if __name__ == "__main__":
    main()
