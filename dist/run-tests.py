#!/usr/bin/env python3
"""Runs tests and counts every single one of them.

    dist/run-tests.py [--log DIR] [--may-skip FILE] STEP...
    dist/run-tests.py --needs STEP...

A STEP is SUITE[,SUITE...]@BUILD-FOLDER, the tests of a Meson build in those suites (as `meson introspect`
lists them), or the path of a script that prints TAP. Steps run one after another. Tests of a step that Meson
calls parallel run side by side, the longest first; then the others, those of a suite one after another and
the suites side by side. What a failing test printed is shown in full, skipped tests with their reasons.
A test that ends with status 75 says that what it ran on broke (test/lab/machine.py), not what it tests: it is
begun again, twice at most, and the last time counts.
With --needs nothing runs: ninja's targets that the steps' tests need are printed.

The last line is "N passed, N failed, N skipped" over all TAP points; the exit status is 1 when anything failed
or nothing ran. With CI=true a skipped point counts as failed unless a line of the --may-skip file (a regular
expression; # starts a comment) matches its reason.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

POINT = re.compile(r"(?P<bad>not )?ok\b\s*\d*\s*(?:- )?(?P<name>.*?)\s*(?P<skip>#\s*skip\S*\s*(?P<why>.*))?$",
                   re.IGNORECASE)
PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?", re.IGNORECASE)
EXIT_SKIPPED = 77  # of a test that prints no TAP
EXIT_BROKEN, ATTEMPTS = 75, 3  # sysexits' EX_TEMPFAIL
QUIET_S = 60       # a test that says nothing for so long is said to be still running
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1",  # GLib is not
    # libproxy, which GIO loads when it is there, throws C++ exceptions, which clang's address sanitizer cannot follow in
    # libraries that came late. Tests connect to this machine alone.
    "GIO_USE_PROXY_RESOLVER": "dummy",
}

print_lock = threading.Lock()
running = set()


def say(text):
    with print_lock:
        print(text, flush=True)


@dataclasses.dataclass
class Test:
    suite: str
    name: str
    command: list
    timeout: float
    tap: bool = True
    parallel: bool = False
    environment: dict = dataclasses.field(default_factory=dict)
    folder: str = None
    needs: set = dataclasses.field(default_factory=set)  # ids of Meson's targets


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)   # names
    skipped: list = dataclasses.field(default_factory=list)  # (name, reason)
    output: list = dataclasses.field(default_factory=list)
    seconds: float = 0
    status: int = 0  # that the program ended with


class TapReader:
    """Counts TAP points of one program. Indented lines belong to subtests, which their parent's point sums up."""

    def __init__(self, outcome):
        self.outcome, self.plan, self.seen = outcome, None, 0

    def line(self, text):
        if plan := PLAN.match(text):
            self.plan = int(plan[1])
            if self.plan == 0:
                self.outcome.skipped.append(("all of it", plan[2] or "no reason given"))
        elif text.startswith("Bail out!"):
            self.outcome.failed.append(text)
        elif point := POINT.match(text):
            self.seen += 1
            name = point["name"] or f"point {self.seen}"
            if point["skip"]:
                self.outcome.skipped.append((name, point["why"] or "no reason given"))
            elif point["bad"]:
                self.outcome.failed.append(name)
            else:
                self.outcome.passed += 1

    def end(self, status):
        missing = (self.plan or 0) - self.seen
        if self.plan is None:
            self.outcome.failed.append("printed no plan" + exit_words(status))
        elif missing:
            self.outcome.failed.append(f"{abs(missing)} points {'missing' if missing > 0 else 'too many'}{exit_words(status)}")
        elif status and not self.outcome.failed:
            self.outcome.failed.append("all points are good" + exit_words(status))


def exit_words(status):
    if status < 0:
        return f", but it was ended by {signal.Signals(-status).name}"
    return f", but it ended with status {status}" if status else ""


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def watch(test, process, last_word):
    """Ends a test that takes too long; says now and then that a quiet one is still running."""
    start, late = time.monotonic(), None
    while process.returncode is None and not late:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass
        now = time.monotonic()
        if now - start > test.timeout:
            late = f"took longer than {test.timeout:.0f} s and was ended"
        elif now - last_word[0] > QUIET_S:
            last_word[0] = now
            say(f"      {test.name}: still running after {now - start:.0f} s")
    end_group(process)  # also what it left behind: that would keep its output open
    return late


def start_process(test):
    return subprocess.Popen(test.command, cwd=test.folder, env={**SANITIZERS, **os.environ, **test.environment},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace", start_new_session=True)


def run(test):
    output, start = [], time.monotonic()
    for again in reversed(range(ATTEMPTS)):
        outcome = run_once(test)
        output += outcome.output
        if outcome.status != EXIT_BROKEN or not again:
            break
        output.append("--- begun again")
        say(f"      {test.name}: begun again, as what it ran on broke: {'; '.join(outcome.output[-1:])}")
    outcome.output, outcome.seconds = output, time.monotonic() - start
    return outcome


def run_once(test):
    outcome = Outcome()
    try:
        process = start_process(test)
    except OSError as error:
        outcome.failed.append(f"cannot be started: {error}")
        return outcome
    running.add(process)
    reader, last_word = TapReader(outcome), [time.monotonic()]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(watch, test, process, last_word)
        for line in process.stdout:
            outcome.output.append(line.rstrip("\n"))
            last_word[0] = time.monotonic()
            if test.tap:
                reader.line(line.rstrip())
            if not test.parallel and POINT.match(line):
                say(f"      {test.name}: {line.rstrip()}")
        status, late = process.wait(), watcher.result()
    running.discard(process)
    outcome.status = status
    if late:
        outcome.failed.append(late)
    elif test.tap:
        reader.end(status)
    elif status == EXIT_SKIPPED:
        outcome.skipped.append((test.name, outcome.output[-1] if outcome.output else "no reason given"))
    elif status:
        outcome.failed.append("failed" + exit_words(status))
    else:
        outcome.passed += 1
    return outcome


def introspect(what, build):
    return json.loads(subprocess.run(["meson", "introspect", f"--{what}", build], check=True,
                                     stdout=subprocess.PIPE).stdout)


def meson_tests(suites, build):
    for test in introspect("tests", build):
        own = {suite.split(":")[-1] for suite in test["suite"]} & set(suites)
        if own:
            yield Test(suite=min(own), name=f"{min(own)}/{test['name']}", command=test["cmd"], timeout=test["timeout"],
                       tap=test["protocol"] == "tap", parallel=test["is_parallel"], environment=test["env"],
                       folder=test["workdir"] or build, needs=set(test["depends"]))


def tests_of(step):
    if "@" in step:
        suites, build = step.split("@", 1)
        return list(meson_tests(suites.split(","), build))
    return [Test(suite=step, name=pathlib.Path(step).name, command=[os.path.abspath(step)], timeout=1800)]


def needs_of(step):
    build = step.split("@", 1)[1]
    needs = set().union(*(test.needs for test in tests_of(step)))
    return [os.path.relpath(file, build) for target in introspect("targets", build) if target["id"] in needs
            for file in target["filename"]]


def report(test, outcome, log):
    if log:
        (log / (test.name.replace("/", "-") + ".log")).write_text("\n".join(outcome.output) + "\n")
    counts = f"{outcome.passed} passed"
    if outcome.failed:
        counts += f", {len(outcome.failed)} FAILED"
    if outcome.skipped:
        counts += f", {len(outcome.skipped)} skipped"
    lines = [f"{'FAIL' if outcome.failed else 'ok  '}  {test.name}: {counts} ({outcome.seconds:.1f} s)"]
    lines += [f"      skipped {name}: {why}" for name, why in outcome.skipped]
    if outcome.failed:
        lines += [f"    | {line}" for line in outcome.output] + [f"      failed {name}" for name in outcome.failed]
    say("\n".join(lines))


def repeat_failures(names_and_outcomes):
    """What went wrong once more, briefly, at the end: a long log is cut where nobody sees it."""
    for name, outcome in names_and_outcomes:
        say(f"FAIL  {name}: {'; '.join(outcome.failed)[:1000]}")
        bad = [number for number, line in enumerate(outcome.output) if line.startswith(("not ok", "Bail out!"))][:3]
        shown = sorted({near for number in bad for near in range(number - 5, number + 5)} | set(range(len(outcome.output) - 20, len(outcome.output))))
        say("\n".join(f"    | {outcome.output[number][:300]}" for number in shown if 0 <= number < len(outcome.output)))


def refuse_skips(outcome, allowed):
    """CI must have everything: moves skipped points whose reason is not allowed to the failed ones."""
    for point in list(outcome.skipped):
        if not any(pattern.search(point[1]) for pattern in allowed):
            outcome.skipped.remove(point)
            outcome.failed.append(f"{point[0]}: skipped, but CI must have it: {point[1]}")


def run_beside(lanes, width, one):
    """Runs each lane's tests one after another, `width` lanes at a time."""
    with concurrent.futures.ThreadPoolExecutor(max(width, 1)) as pool:
        list(pool.map(lambda lane: [one(test) for test in lane], lanes))


def run_step(step, options):
    tests = tests_of(step)
    say(f"== {step}: {len(tests)} programs")
    outcomes = []

    def one(test):
        outcome = run(test)
        if options.strict:
            refuse_skips(outcome, options.allowed)
        report(test, outcome, options.log)
        outcomes.append((test.name, outcome))

    longest_first = sorted((test for test in tests if test.parallel), key=lambda test: -test.timeout)
    run_beside([[test] for test in longest_first], os.cpu_count() + 1, one)  # some wait
    serial = {}
    for test in tests:
        if not test.parallel:
            serial.setdefault(test.suite, []).append(test)
    run_beside(serial.values(), len(serial), one)
    return outcomes


def read_patterns(path):
    lines = (line.split("#", 1)[0].strip() for line in open(path, encoding="utf-8")) if path else ()
    return [re.compile(line) for line in lines if line]


def stop(number, _frame):
    for process in list(running):
        end_group(process)
    os._exit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=pathlib.Path, help="folder for what each test printed, and the summary")
    parser.add_argument("--needs", action="store_true", help="print what the tests need instead of running them")
    parser.add_argument("--may-skip", help="file of reasons for which CI may skip a test")
    parser.add_argument("steps", nargs="+", metavar="STEP")
    options = parser.parse_args()
    if options.needs:
        print(*(target for step in options.steps for target in needs_of(step)))
        return
    options.strict = os.environ.get("CI") == "true"
    options.allowed = read_patterns(options.may_skip)
    if options.log:
        options.log.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    start = time.monotonic()
    named = [pair for step in options.steps for pair in run_step(step, options)]
    repeat_failures((name, outcome) for name, outcome in named if outcome.failed)
    outcomes = [outcome for _, outcome in named]
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(len(outcome.failed) for outcome in outcomes)
    skipped = sum(len(outcome.skipped) for outcome in outcomes)
    say(f"== {time.monotonic() - start:.0f} s")
    summary = f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
    if options.log:
        (options.log / "summary").write_text(summary + "\n")
    say(summary)
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
