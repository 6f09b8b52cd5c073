#!/usr/bin/python3
"""Measures sluice-switch beside Open vSwitch with DPDK and beside testpmd, in one run, and prints the table.

    bench.py --build FOLDER [--rounds 5] [--seconds 1] [--only WORD] [--json FILE]

As root; `make bench-switch` installs and builds what it needs. The machine needs two cores and 4 GiB: huge pages are taken
for the run and given back. Everything runs in namespaces (network, mounts) of its own and in a
folder under /run.
A round measures every row once with every program, so that what the machine does in between meets them all
alike; a figure is the median of the rounds, and a ratio the median of the rounds' ratios.
docs/PERFORMANCE.md says what is measured and why so.
"""
import argparse
import ctypes
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

import openvswitch
import peers
import rules as rule_sets
import sluice

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
HUGE_PAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
COMPACT = pathlib.Path("/proc/sys/vm/compact_memory")
FREE_PAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
PAGES = (peers.MEMORY_MIB * 5 // 4 + sluice.FLOWS_MIB + 128) // 2  # of 2 MiB: a program, its guests, its flows
RULES = (100, 1000)
FLOWS = (1000, 100000, 1000000)
POLICY_ROUNDS = 20
NEW_FLOWS = 2000000  # to which the table grows
FIRST_FLOWS = 500000
FIRST_RULES = (100, 10000)
VHOST_FLOWS = 10000


class Setup:
    """What peers need to know: tools, folder, cores. A context: huge pages and the folder go with it."""

    def __init__(self, options):
        build = pathlib.Path(options.build).resolve()
        self.switch = build / "src/switch/sluice-switch"
        self.measure = build / "test/peers/measure"
        self.misses = build / "test/peers/misses"
        self.driver_built = build / "test/peers/librte_net_gen.so"
        self.poll_cores = options.poll_cores.split(",")
        self.control_core = options.control_core
        self.all_cores = ",".join(sorted({self.control_core, *self.poll_cores}))
        self.folder = pathlib.Path(f"/run/sluice-bench-{os.getpid()}")
        self.driver = self.folder / self.driver_built.name
        self.huge = self.folder / "huge"  # a hugetlbfs
        self.pages_before = None

    def __enter__(self):
        for path in (self.switch, self.measure, self.misses, self.driver_built):
            if not path.exists():
                raise peers.Failed(f"{path} is missing: run `make bench-switch`")
        self.folder.mkdir(mode=0o700)
        try:
            # DPDK loads no driver from below a folder that everybody may write to.
            shutil.copy(self.driver_built, self.driver)
            self.take_pages()
            self.huge.mkdir()
            subprocess.run(["mount", "-t", "hugetlbfs", "none", self.huge], check=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def take_pages(self):
        missing = PAGES - int(FREE_PAGES.read_text())
        if missing <= 0:
            return
        self.pages_before = HUGE_PAGES.read_text()
        COMPACT.write_text("1")  # else memory in pieces may not yield them
        HUGE_PAGES.write_text(str(int(self.pages_before) + missing))
        if int(FREE_PAGES.read_text()) < PAGES:
            raise peers.Failed(f"the kernel has no {PAGES} huge pages of 2 MiB to give; is so much memory free?")

    def __exit__(self, *_):
        if self.pages_before is not None:
            HUGE_PAGES.write_text(self.pages_before)
        if self.huge.is_mount():
            subprocess.run(["umount", self.huge], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def traffic(self, rules):
        path = self.folder / f"traffic-{rules.count}"
        if not path.exists():
            path.write_text("\n".join(rules.traffic) + "\n")
        return path


# ---- measurements ----

class Bench:
    def __init__(self, setup, options):
        self.setup, self.options = setup, options
        self.rules = {n: rule_sets.RuleSet(n) for n in {*RULES, *FIRST_RULES}}
        self.figures = {}  # (work, program) → one a round
        self.faults = []

    def note(self, work, program, value):
        self.figures.setdefault((work, program), []).append(value)
        print(f"  {program:14} {work:44} {value:12.3f}", file=sys.stderr, flush=True)

    def check(self, peer, work, report, expected=None):
        """What makes a figure void."""
        totals = report["totals"]
        for kind in ("leaked", "wrong"):
            if totals[kind]:
                self.faults.append(f"{peer.name}, {work}: {totals[kind]} packets {kind}")
        if expected is not None and totals["right"] != expected:
            self.faults.append(f"{peer.name}, {work}: {totals['right']} of {expected} packets came out")

    def policy(self, peer, rules):
        report = peer.measure("policy", self.setup.traffic(rules), flows=rules.total * POLICY_ROUNDS)
        self.check(peer, f"policy, {rules.count} rules", report, report["expected"])

    def established(self, peer, work, rules, flows, protocol="udp"):
        report = peer.measure("established", self.setup.traffic(rules), flows=flows, protocol=protocol, runs=1,
                              seconds=self.options.seconds)
        self.check(peer, work, report)
        for opened in report["opened"]:
            self.check(peer, work, {"totals": opened}, flows * peer.lanes)
        self.note(work, peer.name, report["mpps"][0])
        return report

    def new(self, peer, work, rules, flows):
        report = peer.measure("new", self.setup.traffic(rules), flows=flows)
        self.check(peer, work, report, flows)
        self.note(work, peer.name, report["per_second"] / 1e6)

    # ---- sessions: one life of one program ----

    def ceiling(self, _):
        for mode in ("io", "macswap"):
            with peers.Testpmd(self.setup, mode) as peer:
                self.established(peer, f"{mode}, 1000 flows", self.rules[100], 1000)

    def plain(self, _):
        with openvswitch.OpenVSwitch(self.setup, None) as peer:
            for flows in FLOWS:
                self.established(peer, f"L2, {flows} flows", self.rules[100], flows)

    def stateful(self, make):
        for count in RULES:
            rules = self.rules[count]
            with make(rules) as peer:
                self.policy(peer, rules)
                for flows in FLOWS:
                    report = self.established(peer, f"{count} rules, {flows} flows", rules, flows)
                    self.note(f"p99 of a burst in µs, {count} rules, {flows} flows", peer.name, report["p99_us"])
        with make(self.rules[1000]) as peer:
            self.established(peer, "TCP, 1000 rules, 100000 flows", self.rules[1000], 100000, "tcp")
        with make(self.rules[1000]) as peer:
            self.new(peer, f"new to {NEW_FLOWS}, 1000 rules", self.rules[1000], NEW_FLOWS)

    def first(self, make):
        for count in FIRST_RULES:
            with make(self.rules[count]) as peer:
                self.policy(peer, self.rules[count])
            with make(self.rules[count]) as peer:
                self.new(peer, f"new to {FIRST_FLOWS}, {count} rules", self.rules[count], FIRST_FLOWS)

    def scaling(self, make):
        if len(self.setup.poll_cores) < 2:
            return
        for lanes in (1, 2):
            with make(lanes) as peer:
                self.established(peer, f"{lanes} cores, 1000 flows each", self.rules[100], 1000)

    def tunnel(self, make):
        with make() as peer:
            # The first packet waits while the VTEP is looked for.
            peer.measure("new", self.setup.traffic(self.rules[100]), flows=1)
            self.established(peer, "VXLAN, 1000 flows", self.rules[100], 1000)
            self.established(peer, "VXLAN, 100000 flows", self.rules[100], 100000)

    def over_vhost(self, make):
        rules = self.rules[1000]
        with make() as peer:
            peer.connect(self.setup.traffic(rules))
            self.established(peer, f"vhost-user, 1000 rules, {VHOST_FLOWS} flows", rules, VHOST_FLOWS)

    def round(self):
        # (name, for --only; session; what it runs)
        setup, rules = self.setup, self.rules
        sessions = (
            ("ceiling", self.ceiling, None),
            ("l2", self.plain, None),
            ("sluice", self.stateful, lambda rules: sluice.Sluice(setup, rules)),
            ("ovs", self.stateful, lambda rules: openvswitch.OpenVSwitch(setup, rules)),
            ("first", self.first, lambda rules: sluice.Sluice(setup, rules)),
            ("vxlan-sluice", self.tunnel, lambda: sluice.Sluice(setup, rules[100], tunnel=True)),
            ("vhost-testpmd", self.over_vhost, lambda: peers.Testpmd(setup, vhost=True)),
            ("vhost-sluice", self.over_vhost, lambda: sluice.Sluice(setup, rules[1000], vhost=True)),
            ("vhost-ovs", self.over_vhost, lambda: openvswitch.OpenVSwitch(setup, rules[1000], vhost=True)),
            ("cores-testpmd", self.scaling, lambda lanes: peers.Testpmd(setup, lanes=lanes)),
            ("cores-sluice", self.scaling, lambda lanes: sluice.Sluice(setup, rules[100], 100000, lanes=lanes)),
        )
        for name, session, make in sessions:
            if any(word in name for word in self.options.only):
                session(make)


# ---- report ----

def flow_words(flows):
    return {1000: "1K", 100000: "100K", 1000000: "1M"}[flows]


def rows():
    """(what it says, the figure above, the figure below, text of the bar, is the ratio good enough?)"""
    program, ovs = "sluice-switch", "ovs-dpdk"
    bars = {1000: 2.0, 100000: 3.0, 1000000: 3.5}
    for count in RULES:
        for flows in FLOWS:
            work = f"{count} rules, {flows} flows"
            yield (f"established, {count} rules, {flow_words(flows)} flows, Mpps", (work, program), (work, ovs),
                   f"≥ {bars[flows]}", lambda ratio, flows=flows: ratio >= bars[flows])
    for flows in FLOWS:
        yield (f"the same, 1000 rules, {flow_words(flows)} flows, to OVS plain L2, Mpps",
               (f"1000 rules, {flows} flows", program), (f"L2, {flows} flows", "ovs-dpdk L2"), "aim 1.0", None)
    work = "TCP, 1000 rules, 100000 flows"
    yield ("established TCP, 1000 rules, 100K connections, Mpps", (work, program), (work, ovs), "≥ 2",
           lambda ratio: ratio >= 2)
    work = f"new to {NEW_FLOWS}, 1000 rules"
    yield ("new connections, 1000 rules, table growing to 2M, M/s", (work, program), (work, ovs), "≥ 1.5",
           lambda ratio: ratio >= 1.5)
    yield ("cost of a first packet, 10,000 rules to 100 (M/s: 100, 10,000)",
           (f"new to {FIRST_FLOWS}, 100 rules", program), (f"new to {FIRST_FLOWS}, 10000 rules", program), "≤ 1.5",
           lambda ratio: ratio <= 1.5)
    yield ("p99 of a burst, 1000 rules: 1M flows to OVS's 1K, µs",
           ("p99 of a burst in µs, 1000 rules, 1000000 flows", program),
           ("p99 of a burst in µs, 1000 rules, 1000 flows", ovs), "< 1", lambda ratio: ratio < 1)
    for flows in (1000, 100000):
        yield (f"cost of VXLAN encapsulation, {flow_words(flows)} flows (Mpps: without, with)",
               (f"100 rules, {flows} flows", program), (f"VXLAN, {flows} flows", program), "≤ 1.35",
               lambda ratio: ratio <= 1.35)
    work = f"vhost-user, 1000 rules, {VHOST_FLOWS} flows"
    yield ("over vhost-user, 1000 rules, 10K flows, to testpmd io, Mpps", (work, program), (work, "testpmd io"), "≥ 0.45",
           lambda ratio: ratio >= .45)
    yield ("over vhost-user, 1000 rules, 10K flows, Mpps", (work, program), (work, ovs), "≥ 2", lambda ratio: ratio >= 2)
    yield ("forwarding of 1K flows to testpmd macswap, Mpps", ("1000 rules, 1000 flows", program),
           ("macswap, 1000 flows", "testpmd macswap"), "", None)


def median_ratio(above, below):
    return statistics.median(a / b for a, b in zip(above, below))


def scaling_row(figures):
    """Two cores to one, as a share of what testpmd makes of them."""
    gains = {}
    for program in ("sluice-switch", "testpmd io"):
        one, two = (figures.get((f"{n} cores, 1000 flows each", program)) for n in (1, 2))
        if not one or not two:
            return []
        gains[program] = median_ratio(two, one)
    ratio = gains["sluice-switch"] / gains["testpmd io"]
    return [["two cores to one, beside testpmd's own gain", f"{gains['sluice-switch']:.2f}",
             f"{gains['testpmd io']:.2f}", f"{ratio:.2f}", "≥ 0.9", "yes" if ratio >= .9 else "no"]]


def table(figures):
    lines = []
    for text, above, below, bar, good in rows():
        if above not in figures or below not in figures:
            continue
        ratio = median_ratio(figures[above], figures[below])
        lines.append([text, f"{statistics.median(figures[above]):.2f}", f"{statistics.median(figures[below]):.2f}",
                      f"{ratio:.2f}", bar, ("yes" if good(ratio) else "no") if good else ""])
    return lines + scaling_row(figures)


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).splitlines()[0]
    except (OSError, IndexError):
        return "?"


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="ascii")
                if line.startswith("model name")), "?")
    with open("/etc/os-release", encoding="utf-8") as release:
        system = dict(line.strip().split("=", 1) for line in release if "=" in line)["PRETTY_NAME"].strip('"')
    return f"{cpu}, {os.cpu_count()} CPUs; {system}, Linux {platform.release()}"


def versions(setup):
    return "; ".join([first_line(setup.switch, "--version"), first_line(openvswitch.VSWITCHD, "--version"),
                      "testpmd of the same DPDK"])


def misses(setup):
    """The table of what a cache line costs; huge pages are there for the run."""
    done = subprocess.run(["taskset", "-c", setup.poll_cores[0], setup.misses], capture_output=True, text=True, check=True)
    return done.stdout


def report(setup, bench, options):
    lines = table(bench.figures)
    print(f"Machine: {machine()}\nVersions: {versions(setup)}\n"
          f"{datetime.date.today()}, median of {options.rounds} rounds of {options.seconds:g} s, 64-byte frames, "
          "one core a program.\n")
    print("| work | sluice-switch | beside it | ratio | bar | met |\n|---|---|---|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line) + " |")
    for program in ("testpmd io", "testpmd macswap"):
        values = bench.figures.get((f"{program.split()[1]}, 1000 flows", program))
        if values:
            print(f"\n{program}, the harness itself: {statistics.median(values):.1f} Mpps.", end="")
    print(f"\n\nWhat a cache line costs:\n\n{misses(setup)}")
    for fault in bench.faults:
        print(f"VOID: {fault}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", required=True, help="folder that Meson built everything in")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    parser.add_argument("--only", action="append", default=[], help="sessions with this word in their names")
    parser.add_argument("--poll-cores", default="0,1", help="one a polling thread")
    parser.add_argument("--control-core", default="1", help="for everything else")
    parser.add_argument("--json", help="also write every figure of every round to this file")
    options = parser.parse_args()
    options.only = options.only or [""]
    return options


def main():
    options = parse_options()
    if os.geteuid() != 0:
        sys.exit("bench.py: root is needed, for huge pages and real-time priority")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | CLONE_NEWNS):
        sys.exit("bench.py: cannot make namespaces of its own")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    try:
        with Setup(options) as setup:
            bench = Bench(setup, options)
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
                bench.round()
            report(setup, bench, options)
            if options.json:
                rows_json = [{"work": work, "program": program, "figures": values}
                             for (work, program), values in bench.figures.items()]
                pathlib.Path(options.json).write_text(json.dumps(rows_json, indent=1) + "\n")
    except peers.Failed as why:
        sys.exit(f"bench.py: {why}")
    sys.exit(1 if bench.faults else 0)


if __name__ == "__main__":
    main()
