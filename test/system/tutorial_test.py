#!/usr/bin/env python3
"""Does what docs/TUTORIAL.md says, as it stands, with the real az on a whole cloud whose machines boot. Prints TAP.

    tutorial_test.py SLUICE AZ TUTORIAL

Blocks of the text marked `sh` are run in order by one shell. The block marked `sh server` is left running until the end.
A block marked `text` behind one of them is what it must answer: these lines, others between them, "..." standing for
anything. Commands fail exactly where that has a line "ERROR: ...".

It runs in namespaces of its own, where the cloud's addresses and the shell's home are nobody else's.
"""
import contextlib
import dataclasses
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import cloud
import tap

BLOCK_LIMIT_S, STOP_LIMIT_S = 900, 120
FENCE = re.compile(r"^```(.*)$")
HOLDS = "TUTORIAL_FOLDER"  # in the environment: the namespaces are made, and this folder is ours


@dataclasses.dataclass
class Block:
    line: int      # of its fence, in the text
    kind: str      # "sh" or "sh server"
    commands: str
    answer: list   # of lines

    def fails(self):
        return any(line.startswith("ERROR:") for line in self.answer)

    def title(self):
        return f"line {self.line}: {self.commands.splitlines()[0]}"


def read_blocks(path):
    """The blocks of a text in order, each with the answer that follows it."""
    blocks, kind, begin, lines = [], None, 0, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if not fence:
            lines.append(line)
        elif kind is None:
            kind, begin, lines = fence[1], number, []
        else:
            if kind == "text":
                blocks[-1].answer = lines
            elif kind in ("sh", "sh server"):
                blocks.append(Block(begin, kind, "\n".join(lines), []))
            else:
                raise ValueError(f"{path}:{begin}: a block of kind '{kind}'")
            kind, lines = None, []
    return blocks


def missing(answer, said):
    """The first line of the answer that was not said; None when all were, in order."""
    said = iter(said)
    for line in answer:
        pattern = re.compile(r".*".join(re.escape(part.strip()) for part in line.split("...")))
        if not any(pattern.fullmatch(other.strip()) for other in said):
            return line
    return None


class Process:
    """A child whose output is shown as it comes, and kept."""

    def __init__(self, command, environment, **options):
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *command], env=environment, text=True,
                                        errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def until(self, end):
        """Lines up to the one of which end() is true, and that one."""
        deadline, said = time.monotonic() + BLOCK_LIMIT_S, []
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise tap.Timeout(f"not within {BLOCK_LIMIT_S} s") from None
            if line is None:
                raise RuntimeError(f"it ended with status {self.process.wait()}")
            if end(line):
                return said, line
            tap.note("  " + line)
            said.append(line)


class Shell(Process):
    """A shell that runs one block after another, and says whether a command of it failed."""

    END = "--- end of the block:"

    def __init__(self, environment, folder):
        super().__init__(["bash", "--norc"], environment, stdin=subprocess.PIPE, cwd=folder)

    def run(self, block):
        self.process.stdin.write(f"failed=0\ntrap 'failed=$?' ERR\n{{\n{block.commands}\n}} </dev/null\n"
                                 f"printf '\\n{self.END} %d\\n' $failed\n")
        self.process.stdin.flush()
        said, end = self.until(lambda line: line.startswith(self.END))
        status = int(end.rsplit(" ", 1)[1])
        line = missing(block.answer, said)
        assert line is None, f"the text promises: {line}"
        assert bool(status) == block.fails(), f"a command ended with status {status}"


class Reader:
    """Somebody at a machine who does what the text says."""

    def __init__(self, folder, sluice, az):
        self.folder, self.server = folder, None
        programs = folder / "bin"
        programs.mkdir()
        (folder / "home/.ssh").mkdir(parents=True)
        (programs / "sluice").symlink_to(sluice)
        (programs / "az").symlink_to(az)
        # ssh takes the home of the user's entry in passwd, whatever HOME says.
        ssh = programs / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -i "$HOME/.ssh/id_rsa" '
                       '-o UserKnownHostsFile="$HOME/.ssh/known_hosts" "$@"\n')
        ssh.chmod(0o755)
        self.environment = {**os.environ, "HOME": str(folder / "home"), "AZURE_CONFIG_DIR": str(folder / "home/.azure"),
                            "SLUICE_STATE": str(folder / "state"), "PATH": f"{programs}:{os.environ['PATH']}"}
        # The first command builds az's index of commands, and complains of its package's own faults.
        subprocess.run([az, "version"], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self.shell = Shell(self.environment, folder)

    def follow(self, block):
        tap.note(block.commands)
        if block.kind == "sh":
            self.shell.run(block)
            return
        self.server = Process(["bash", "-c", block.commands], self.environment, stdin=subprocess.DEVNULL)
        self.server.until(lambda line: missing(block.answer, [line]) is None)

    def stop(self):
        """Ctrl-C."""
        server, self.server = self.server, None
        if server:
            server.process.terminate()
            return server.process.wait(STOP_LIMIT_S)
        return 0

    def stop_well(self):
        status = self.stop()
        assert status == 0, f"the cloud ended with status {status}"


def enter_namespaces(folder):
    """Runs this program again in a network and a mount namespace."""
    script = "mkdir -p /run/netns && mount -t tmpfs netns /run/netns && ip link set lo up && exec \"$@\""
    return subprocess.run(["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--net", "sh", "-c", script, "sh",
                           sys.executable, *sys.argv], env={**os.environ, HOLDS: str(folder)}).returncode


def end_all(folder):
    """What is left only when the cloud hangs, or was killed."""
    for pid, _, command in cloud.processes():
        if any(str(folder) in word for word in command):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def follow_all(folder):
    sluice, az, text = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
    blocks = read_blocks(text)
    points = tap.Tap(len(blocks) + 1)
    reader = Reader(folder, sluice, az)
    try:
        for block in blocks:
            points.point(block.title(), lambda: reader.follow(block))
        points.point("Ctrl-C ends the cloud", reader.stop_well)
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.stop()
    return 1 if points.failed else 0


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if HOLDS in os.environ:
        sys.exit(follow_all(pathlib.Path(os.environ[HOLDS])))
    cloud.skip_unless_possible()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tutorial-", dir="/tmp"))
    folder.chmod(0o711)  # the switch's user passes through
    try:
        sys.exit(enter_namespaces(folder))
    finally:
        end_all(folder)
        if not os.environ.get("KEEP"):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
