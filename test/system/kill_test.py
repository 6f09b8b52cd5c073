#!/usr/bin/env python3
"""Random kill -9s of a cloud's parts while commands run and are repeated; then all is as asked for. Prints TAP.

    kill_test.py [--seed N] [--kills N] SLUICE

The seed decides who dies when, and which commands run; it is printed. How the two meet is up to the machine.
"""
import argparse
import random
import sys
import threading
import time

import cloud
import repeat
import tap

PARTS = ("controller", "agent", "switch", "libvirtd")
PAUSE_S = (0.5, 15.0)


class Killer(threading.Thread):
    """Kills the parts that its random numbers name, one after another; one that is dead already may first live a while."""

    def __init__(self, bed, seed, kills):
        super().__init__(daemon=True)
        self.cloud, self.random, self.kills = bed, random.Random(seed), kills
        self.done = dict.fromkeys(PARTS, 0)

    def run(self):
        for _ in range(self.kills):
            part, pause = self.random.choice(PARTS), self.random.uniform(*PAUSE_S)
            while not self.kill(part, pause):
                pass
            self.done[part] += 1

    def kill(self, part, pause):
        """Kills it when it has lived so long; None when it ended by itself: an agent does that where it finds no libvirt daemon."""
        while not self.cloud.pid(part):
            time.sleep(0.1)
        time.sleep(pause)
        killed = self.cloud.kill(part)
        if killed:
            repeat.patience.note_death(part)
        return killed


def commands(tenant, numbers):
    """The next command: its name, and the call that does it."""
    want = tenant.want
    choices = [
        ("rule", lambda: tenant.rule(not want["rule"])),
        ("passing machine", lambda: tenant.passing(not want["passing"])),
        ("NICs", lambda: tenant.tiny(numbers.randrange(4))),
        ("side group", tenant.side_group),
        ("power", lambda: tenant.power("deallocated" if want["power"] == "running" else "running")),
    ]
    if want["power"] == "running":
        choices += [("function", lambda: tenant.function(not want["revoked"])), ("restart", tenant.restart)]
    return numbers.choice(choices)


class Test:
    def __init__(self, bed, options):
        self.cloud, self.options = bed, options

    def begin(self):
        self.cloud.start()
        self.tenant = repeat.Tenant(self.cloud)
        self.tenant.make()

    def soak(self):
        numbers, count, start = random.Random(self.options.seed + 1), 0, time.monotonic()
        killer = Killer(self.cloud, self.options.seed, self.options.kills)
        killer.start()
        while killer.is_alive():
            name, command = commands(self.tenant, numbers)
            began = time.monotonic()
            command()
            count += 1
            tap.note(f"{time.monotonic() - start:6.1f} s: {name} took {time.monotonic() - began:.1f} s: {self.tenant.want}")
        tap.note(f"{killer.done} killed; {count} commands, which had to be repeated {repeat.patience.failures} times")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("sluice")
    options = parser.parse_args()
    cloud.skip_unless_possible()
    points = tap.Tap(2 + len(repeat.END))
    tap.note(f"seed {options.seed}: repeat with --seed {options.seed} --kills {options.kills}")
    with cloud.Cloud(options.sluice) as bed:
        test = Test(bed, options)
        points.point("a cloud with a machine is there", test.begin)
        points.point(f"{options.kills} kills later every command has succeeded", test.soak)
        for promise, name in repeat.END:
            points.point(promise, lambda name=name: getattr(test.tenant, name)())
        if points.failed:
            bed.logs(60)
    sys.exit(1 if points.failed else 0)


if __name__ == "__main__":
    main()
