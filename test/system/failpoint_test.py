#!/usr/bin/env python3
"""Every named failpoint of agent and controller in a whole cloud: it dies there once, and the command is repeated. Prints TAP.

    failpoint_test.py SLUICE [FAILPOINT...]
"""
import pathlib
import sys

import cloud
import repeat
import tap

# The command that passes each failpoint.
ROUTES = {
    "agent.goal-cached": "rule",
    "agent.vm-recorded": "create",
    "agent.vm-defined": "create",
    "agent.vm-started": "create",
    "agent.vm-stopped": "deallocate",
    "agent.vm-restarting": "restart",
    "agent.vm-wiped": "reimage",
    "agent.vm-removed": "delete",
    "agent.switch-generation": "rule",
    "agent.switch-applied": "rule",
    "agent.accel-claiming": "restore",
    "agent.accel-claimed": "restore",
    "agent.accel-plugging": "restore",
    "agent.accel-plugged": "restore",
    "agent.accel-copying": "restore",
    "agent.accel-on": "restore",
    "agent.accel-unplugging": "revoke",
    "agent.accel-unplugged": "revoke",
    "agent.accel-draining": "revoke",
    "agent.accel-releasing": "revoke",
    "agent.accel-released": "revoke",
    "nic.function-recorded": "restore",
    "nic.function-removed": "revoke",
    "control.accepted": "rule",
    "control.placed": "create",
    "control.dissolved": "delete",
    "control.child-deleted": "group",
    "control.group-removed": "group",
    "control.finished": "rule",
    "control.reported": "deallocate",
}


class Test:
    def __init__(self, bed):
        self.cloud = bed
        self.armed = bed.folder / "failpoint"

    def begin(self):
        self.cloud.start({"SLUICE_FAILPOINT": f"@{self.armed}"})
        self.tenant = repeat.Tenant(self.cloud)
        self.tenant.make()

    def prepare(self, route):
        """The state in which the route's command has something to do."""
        tenant = self.tenant
        self.cloud.wait_healthy()
        tenant.power("running")
        if route in ("create", "delete"):
            tenant.passing(route == "delete")
        if route in ("restore", "revoke"):
            tenant.function(route == "restore")

    def command(self, route):
        tenant = self.tenant
        {
            "rule": lambda: tenant.rule(not tenant.want["rule"]),
            "create": lambda: tenant.passing(True),
            "delete": lambda: tenant.passing(False),
            "deallocate": lambda: tenant.power("deallocated"),
            "restart": tenant.restart,
            "reimage": tenant.reimage,
            "restore": lambda: tenant.function(False),
            "revoke": lambda: tenant.function(True),
            "group": tenant.side_group,
        }[route]()

    def passes(self, name):
        route = ROUTES[name]
        self.prepare(route)
        before = {part: self.cloud.wait_part(part) for part in ("controller", "agent")}
        new = self.armed.with_suffix(".new")
        new.write_text(name)
        new.rename(self.armed)
        self.command(route)
        tap.wait_for(f"{name} is reached", 30, lambda: not self.armed.exists())
        part = "controller" if name.startswith("control.") else "agent"
        self.cloud.wait_part(part, before[part])
        self.cloud.wait_healthy()


def main():
    cloud.skip_unless_possible()
    sluice = pathlib.Path(sys.argv[1])
    agent = sluice.resolve().parent / "sluice-agent"
    # Those of functions and of the setup are passed by tests of their own, where there are SR-IOV NICs: in the lab. Those of a migration
    # are passed where there are two hosts, those of scale sets where machines are pretended: src/agent/migration_crash_test.c,
    # src/control/crash_test.c.
    elsewhere = ("setup.", "sriov.", "agent.vf-", "migration.", "control.migrat", "control.stayed", "control.instance-", "control.batch-",
                 "control.set-")
    listed = [name for name in (line.split()[0] for line in cloud.run(agent, "--list-failpoints").stdout.splitlines())
              if not name.startswith(elsewhere)]
    names = sys.argv[2:] or listed
    points = tap.Tap(len(names) + 2 + len(repeat.END))
    with cloud.Cloud(sluice) as bed:
        test = Test(bed)
        points.point("a cloud with a machine is there", test.begin)

        def all_have_a_route():
            assert set(listed) == set(ROUTES), set(listed) ^ set(ROUTES)
        points.point("every failpoint has a command that passes it", all_have_a_route)
        for name in names:
            points.point(f"the command that dies at {name} can be repeated", lambda name=name: test.passes(name))
        for promise, name in repeat.END:
            points.point(promise, lambda name=name: getattr(test.tenant, name)())
        if points.failed:
            bed.logs(60)
    sys.exit(1 if points.failed else 0)


if __name__ == "__main__":
    main()
