#!/usr/bin/python3
"""The life of a VF in a machine that runs: the agent dies by kill -9 at every step of it, its guest has notice of its end, and the
PF's driver goes under it.

    life_test.py SLUICE SLUICE-GUEST KERNEL-FOLDER

A real igb, libvirt, QEMU with vfio, and a guest that hears and lets go; one TCP connection lives through all of it. At each step's
end the host is looked at: who has a MAC or a VLAN on the PF, what the PF hears, what `sluice host show` shows.
"""
import json
import os
import shlex
import sys
import time

from host import PCI, PF, STATE, Host, Pings, Stream, name_of, prepare, show_logs
from machine import Machine, judge, plain
from tap import Tap, note, wait_for

SLUICE, GUEST, KERNEL = [plain(path) for path in sys.argv[1:4]]
AGENT = plain(os.path.join(os.path.dirname(os.path.realpath(SLUICE)), "sluice-agent"))
VFS = 2
# Failpoints of a function's life: on its way to the guest, and on its way back, as they come.
LIFE = ("agent.accel-", "agent.vf-", "sriov.", "agent.switch-")
UP = ("agent.accel-claiming", "sriov.recorded", "sriov.unbound", "sriov.set-up", "agent.accel-claimed", "agent.vf-arming", "sriov.arming",
      "sriov.filtered", "sriov.armed", "agent.vf-armed", "agent.accel-plugging", "agent.accel-plugged", "agent.accel-copying",
      "agent.accel-on", "agent.switch-applied")
DOWN = ("agent.accel-unplugging", "agent.accel-unplugged", "agent.accel-draining", "sriov.left", "sriov.cleared", "sriov.filtering",
        "agent.vf-left", "agent.accel-releasing", "sriov.resetting", "sriov.reset", "sriov.attributed", "sriov.restored",
        "sriov.released", "agent.accel-released", "agent.switch-generation")
# Of a guest that holds on to its function: the C tests kill agent and provider there.
HELD = ("agent.vf-cutting", "agent.vf-cut", "sriov.cutting", "sriov.cut")
LIVES = 5  # of the function; so many failpoints lie between two that are passed in one life
WAYS = (("vf revoke nic0", "revoked", "vf restore nic0"), ("host drain --timeout 60", "detached", "host undrain"))
NOTICE = 600  # seconds: nobody waits for so long, what comes before was not waited for
SHORT_NOTICE = 30
EVENTS = "http://169.254.169.254/metadata/scheduledevents?api-version=2020-07-01"


class Test:
    def __init__(self, host):
        self.host, self.stream, self.pings = host, None, None

    def comes_up(self):
        host = self.host
        host.set_up()
        host.start()
        host.wait_guest()
        host.wait_attached()
        host.check_attached()
        self.stream, self.pings = Stream(host), Pings(host)

    def are_all(self):
        listed = {line.split()[0] for line in self.host.run(f"{AGENT} --list-failpoints").splitlines() if line.startswith(LIFE)}
        known = set(UP) | set(DOWN) | set(HELD)
        assert listed == known, listed ^ known

    def dies(self, points, command, state):
        """The agent dies at each of the points, and the last one brings the function to the state."""
        host = self.host
        host.wait_old()
        began = time.monotonic()
        self.pings.mark(command)
        host.dies_at(points[0], command)
        for point in points[1:]:
            host.dies_at(point)
        if state == "attached":
            host.wait_attached()
            host.check_attached()
        else:
            host.wait_states({state: 1})
            host.check_free()
        self.stream.check()
        note(f"{command}: {state} after {time.monotonic() - began:.1f} s")

    def is_killed(self, life):
        away, state, back = WAYS[life % len(WAYS)]
        self.dies(DOWN[life::LIVES], away, state)
        self.dies(UP[life::LIVES], back, "attached")

    # ---- notice ----

    def ask_metadata(self, more=""):
        """The guest asks the metadata service for its scheduled events, or tells it something."""
        return self.host.in_guest(f"wget -q -O - --header 'Metadata: true' {more} '{EVENTS}'")

    def document(self, told):
        """What the guest is told now; None while there is an event and none is wanted, or the other way round."""
        document = json.loads(self.ask_metadata())
        return document if bool(document["Events"]) == told else None

    def begin(self, command):
        """The command in the background; its output, and when it began and ended, by the host's clock, are in /run/notice.log."""
        self.host.wait_old()
        self.pings.mark(command)
        script = f"date +%s.%N; {SLUICE} {command} --state {STATE} 2>&1; echo status $?; date +%s.%N"
        self.host.run(f"rm -f /run/notice.log; (sh -c {shlex.quote(script)} >/run/notice.log &)")

    def ended(self, seconds):
        """In how many seconds the command ended."""
        wait_for("the command's end", seconds, lambda: "\nstatus " in self.host.run("cat /run/notice.log"))
        began, *output, status, end = self.host.run("sleep 1; cat /run/notice.log").splitlines()
        note("\n".join(output))
        assert status == "status 0", status
        return float(end) - float(began)

    def sees_event(self, text):
        """The document's incarnation and the event's id, once the guest has read them, by the VF that is about to go."""
        document = wait_for("the guest sees an event", 60, lambda: self.document(True))
        note(json.dumps(document))
        event, = document["Events"]
        assert (event["EventType"], event["EventStatus"], event["Resources"]) == ("Freeze", "Scheduled", ["guest"]), event
        assert event["NotBefore"] and text in event["Description"], event
        self.host.check_attached()
        return document["DocumentIncarnation"], event["EventId"]

    def has_gone(self, state, incarnation):
        """The function went; the guest was told that it began, and that it is over."""
        self.host.wait_states({state: 1})
        self.host.check_free()
        self.stream.check()
        document = wait_for("the guest sees that it is over", 30, lambda: self.document(False))
        assert document["DocumentIncarnation"] == incarnation + 2, document

    def comes_back(self, command):
        self.pings.mark(command)
        note(self.host.cli(*command.split()))
        self.host.wait_attached()
        self.host.check_attached()
        self.stream.check()

    def acknowledges(self, away, state, back, text):
        self.begin(away)
        incarnation, event = self.sees_event(text)
        request = json.dumps({"StartRequests": [{"EventId": event}]})
        self.ask_metadata(f"--post-data {shlex.quote(request)}")
        note(f"{away}: done in {self.ended(90):.1f} s, of {NOTICE} s of notice")
        self.has_gone(state, incarnation)
        self.comes_back(back)

    def is_acknowledged(self):
        self.acknowledges(f"vf revoke --notice {NOTICE} {name_of(0)}", "revoked", f"vf restore {name_of(0)}", name_of(0))
        self.acknowledges(f"host drain --notice {NOTICE} --timeout 60", "detached", "host undrain", "maintenance")

    def is_not_acknowledged(self):
        self.begin(f"vf revoke --notice {SHORT_NOTICE} {name_of(0)}")
        incarnation, _ = self.sees_event(name_of(0))
        took = self.ended(SHORT_NOTICE + 90)
        note(f"done in {took:.1f} s, with {SHORT_NOTICE} s of notice")
        assert took > SHORT_NOTICE - 1, took  # whole seconds of a clock
        self.has_gone("revoked", incarnation)
        self.comes_back(f"vf restore {name_of(0)}")

    # ---- the PF ----

    def loses_driver(self):
        """Nobody drains the host before."""
        host, m = self.host, self.host.machine
        self.pings.mark("driver")
        began = time.monotonic()
        m.run(f"(echo {PF} >{PCI}/drivers/igb/unbind; echo $? >/run/unbound) >/run/unbind.log 2>&1 &")
        wait_for("the driver has gone", 60, lambda: m.try_run("test -e /run/unbound")[0] == 0)
        note(f"the driver let go {time.monotonic() - began:.1f} s after it was asked to")
        wait_for("the NIC has none, and says why", 60, lambda: "has no VFs" in (host.function().get("reason") or ""))
        note(host.function()["reason"])
        assert host.run(f"cat /sys/bus/pci/devices/{PF}/sriov_numvfs").strip() == "0"
        m.run(f"echo {PF} >{PCI}/drivers/igb/bind")
        note(m.run(f"{SLUICE} host setup --boot"))
        host.wait_attached()
        host.check_attached()
        self.stream.check(90)

    def is_reset(self):
        """As its driver does by itself when the NIC hangs, and as a person does who sets it down and up."""
        host = self.host
        for command in ("ethtool -r eth0", "ip link set dev eth0 down && sleep 5 && ip link set dev eth0 up"):
            self.pings.mark(command)
            note(host.run(command))
            wait_for("the PF has its link", 30, lambda: host.run("cat /sys/class/net/eth0/carrier 2>/dev/null || true").strip() == "1")
            self.stream.check(90)
            host.wait_attached()
            host.check_attached()

    def ends(self):
        self.host.deallocate()
        lost = {}
        for name, count, gap in self.pings.end():
            lost.setdefault(name, []).append((count, round(gap, 1)))
        for name, rows in lost.items():
            note(f"{name}: pings lost and longest silence in seconds: {rows}")


def main():
    if not prepare(KERNEL, GUEST):
        return 0
    with Machine(KERNEL, memory_mib=3072) as machine:
        test = Test(Host(machine, SLUICE, KERNEL, VFS, 1))
        points = [("a machine has a VF, and a connection by it", test.comes_up),
                  ("its guest, told of a revocation or a drain by a scheduled event, acknowledges it, and it goes at once", test.is_acknowledged),
                  ("a guest that does not acknowledge keeps it until its time is over", test.is_not_acknowledged),
                  ("every failpoint of a function's life is passed here", test.are_all)]
        for life in range(LIVES):
            ways = f"{WAYS[life % 2][0]}: {', '.join(DOWN[life::LIVES])}; {WAYS[life % 2][2]}: {', '.join(UP[life::LIVES])}"
            points.append((f"killed by kill -9 at each of: {ways}", lambda life=life: test.is_killed(life)))
        points += [("a PF that is reset under the machine, or set down and up, has all of the VF again", test.is_reset),
                   ("a PF's driver that goes under the machine is given its VF, and all comes back", test.loses_driver),
                   ("at the end the host is as it was found", test.ends)]
        tap = Tap(len(points))
        for promise, step in points:
            tap.point(promise, step)
            if tap.failed:
                show_logs(machine)
                break
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
