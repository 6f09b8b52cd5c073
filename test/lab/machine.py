"""A compute host with SR-IOV NICs, in QEMU: a Debian kernel with PCI_IOV and vfio on this machine's own files.

Machine() starts one; run(command) runs a command in it by a shell on a serial port; close() ends it. It sees all of this
machine's files read-only under a layer in memory, so the programs under test run as they were built, and nothing that they do
lasts. Two emulated Intel igb NICs (82576, 7 VFs each) on one wire, behind PCIe root ports, and an Intel IOMMU. Its processors are
emulated with AMD's virtualization: with the module kvm_amd, machines within it run by KVM, as fast as itself.
"""
import atexit
import contextlib
import ctypes
import json
import mmap
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import traceback

# Debian 13's QEMU, which `dist/setup.sh lab` fetches: its last 10.0 releases no more use a map of memory that was freed, where
# functions come and go, which ended QEMU or left a processor without interrupts (iotlb_to_section, tcg_commit_cpu).
QEMU = os.path.join(os.environ.get("SLUICE_LAB_QEMU", "/var/cache/sluice/lab-qemu"), "qemu")
# A processor that QEMU 10 emulates loses an interrupt now and then, when it enters a machine within the machine with one pending: QEMU
# changes what is asked of it without a lock there. Timers that ring once are lost for good, those that ring all the time come again.
KERNEL_LINE = ("console=ttyS0 quiet nokaslr mitigations=off tsc=reliable no_timer_check clocksource=tsc random.trust_cpu=on "
               "cryptomgr.notests panic=-1 nohz=off highres=off")
IOMMU_LINE = "intel_iommu=on iommu=pt"
# QEMU 10.0 maps the BARs of VFs at the low 32 bits of their addresses, so all must lie below: fewer address bits see to it.
# Strings of bytes are slow in emulation, and the more so in a machine within the machine: programs copy words without them.
CPU = "max,phys-bits=36,-erms,-fsrm"
# Sends stdin's request to the socket, prints the answer.
CALL = ("python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.stdin.buffer.read()); "
        "print(s.makefile().readline())'")
# Starts take 3 s, up to 20 where others use the processors. In one of about 70 the emulated processors went idle shortly before the end.
START_SECONDS, RUN_SECONDS = 60, 120
PATTERN_MAX = 16  # bytes that what is waited for may have, at most
# What kernels say on processors that have lost their way, or their interrupts.
BROKEN = re.compile(r"^.*(?:\b(?:soft|hard) lockup\b|\brcu: INFO: .*\bstall|\bBUG: |\bOops\b|\bKernel panic\b|\bgeneral protection fault\b).*$",
                    re.IGNORECASE | re.MULTILINE)
EXIT_BROKEN = 75  # dist/run-tests.py begins such a test again


def tsc_khz():
    """Rate of this machine's time-stamp counter, which an emulated processor shows as its own. A kernel that finds it out by
    itself while others use the processors is wrong by much, and then its clock runs several times too fast."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3")  # rdtsc; shl $32, %rdx; or %rdx, %rax; ret
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    ticks, seconds = read(), time.monotonic()
    time.sleep(0.1)
    return round((read() - ticks) / (time.monotonic() - seconds) / 1000)


class Failed(Exception):
    """A command ended with another status than 0."""


class NoAnswer(RuntimeError):
    """The machine runs and says nothing, or QEMU has ended."""


def plain(path):
    """The file by an absolute path that no shell takes apart: a tree's may have blanks, and tests write commands of it."""
    path = os.path.abspath(path)
    if shlex.quote(path) == path:
        return path
    folder = tempfile.mkdtemp(prefix="sluice-lab-")
    atexit.register(shutil.rmtree, folder)
    os.symlink(os.path.dirname(path), f"{folder}/tree")
    return f"{folder}/tree/{os.path.basename(path)}"


def nic(number, mac, more=""):
    """An igb NIC on the common wire, behind a root port of its own; more: further properties of it."""
    return ["-netdev", f"hubport,id=wire{number},hubid=0",
            "-device", f"pcie-root-port,id=port{number},chassis={number},slot={number}",
            "-device", f"igb,bus=port{number},netdev=wire{number},mac={mac},{more or 'romfile='}"]


def crowd(folder):
    """Properties of the first NIC, and arguments, by which VFs find no room: firmware gives the NIC's port 2 MiB of
    addresses of each kind by what functions show, and nobody counts VFs, which want 2 x 128 KiB. A second function takes all
    2 MiB of the prefetchable ones; of the others, ROMs of 1 and 0.5 MiB and the NIC's 272 KiB leave 240."""
    for name, kib in (("rom", 1024), ("more", 512)):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(bytes(kib * 1024))
    return (f"addr=0.0,multifunction=on,x-pcie-ari-nextfn-1=on,romfile={folder}/rom",
            ["-object", "memory-backend-ram,id=filler,size=2M,share=on",
             "-device", f"ivshmem-plain,bus=port1,addr=0.1,memdev=filler,romfile={folder}/more"])


class Machine:
    faults = [] # of all machines: how they broke

    def __init__(self, kernel, iommu=True, line=IOMMU_LINE, memory_mib=2048, crowded=False, forward=None,
                 outsider=False):
        """kernel: folder that kernel.sh has filled. line: what the kernel's command line says more. crowded: see crowd().
        forward: a port of this machine's loopback that is the same one of 10.0.2.15 there, on a virtio NIC of its own.
        outsider: one more virtio NIC, on the common wire."""
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-lab-")
        self.log = os.path.join(self.folder.name, "console.log")
        shell = os.path.join(self.folder.name, "shell")
        command = [QEMU, "-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU, "-smp", "2",
                   "-m", str(memory_mib), "-M", "q35,hpet=off", "-nodefaults", "-display", "none", "-no-reboot",
                   "-kernel", f"{kernel}/vmlinux", "-initrd", f"{kernel}/initrd.cpio", "-append", f"{KERNEL_LINE} tsc_early_khz={tsc_khz()} {line}",
                   "-serial", f"file:{self.log}", "-serial", f"unix:{shell},server=on,wait=off"]
        if iommu:
            command += ["-device", "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on"]
        for tag, path in (("files", "/"), ("extra", f"{kernel}/extra")):
            command += ["-fsdev", f"local,id={tag},path={path},security_model=none,readonly=on,multidevs=remap",
                        "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        first, fillers = crowd(self.folder.name) if crowded else ("", [])
        command += ["-device", "virtio-rng-pci"] + nic(1, "52:54:00:00:00:01", first) + nic(2, "52:54:00:00:00:02") + fillers
        if forward:
            command += ["-netdev", f"user,id=forward,restrict=on,hostfwd=tcp:127.0.0.1:{forward}-10.0.2.15:{forward}",
                        "-device", "virtio-net-pci,netdev=forward,romfile="]
        if outsider:
            command += ["-netdev", "hubport,id=wire3,hubid=0", "-device", "virtio-net-pci,netdev=wire3,mac=52:54:00:00:00:03,romfile="]
        try:
            self.start(command, shell)
        except NoAnswer as error:
            print("# " + str(error).replace("\n", "\n# ") + "\n# It is started again.", flush=True)
            self.start(command, shell)

    def start(self, command, shell):
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.shell = socket.socket(socket.AF_UNIX)
        self.buffer = b""
        try:
            self.connect(shell)
            self.read_until(rb"lab: up\n", START_SECONDS)
        except Exception:
            self.stop()
            raise

    def connect(self, path):
        end = time.monotonic() + 20
        while True:
            try:
                return self.shell.connect(path)
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError("QEMU ended: " + self.process.stderr.read()) from None
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def console(self):
        with open(self.log, errors="replace", encoding="utf-8") as file:
            return file.read()

    def read_until(self, pattern, seconds):
        """What came before the pattern, and the match."""
        end, seen = time.monotonic() + seconds, 0
        while True:
            match = re.compile(pattern).search(self.buffer, seen)
            if match:
                before, self.buffer = self.buffer[:match.start()], self.buffer[match.end():]
                return before, match
            seen = max(0, len(self.buffer) - PATTERN_MAX)
            self.shell.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.shell.recv(65536)
            except TimeoutError:
                raise NoAnswer(f"the machine does not answer within {seconds} s; it said {self.buffer[-200:]!r}, and its console ends with:\n"
                               f"{self.console()[-2000:]}") from None
            except ConnectionResetError:
                data = b""
            if not data:
                raise NoAnswer(f"the machine ended, QEMU with status {self.process.wait(10)}: {self.process.stderr.read().strip()}; "
                               f"its console ends with:\n{self.console()[-2000:]}")
            self.buffer += data

    def run(self, command, check=True, seconds=RUN_SECONDS):
        """Standard output and errors of a shell command; with check, Failed when its status is not 0."""
        status, text = self.try_run(command, seconds)
        if check and status:
            raise Failed(f"{command}: status {status}: {text.strip()}")
        return text

    def try_run(self, command, seconds=RUN_SECONDS):
        """Status and output."""
        with contextlib.suppress(BrokenPipeError):  # it has ended: what is read says why
            self.shell.sendall(f"{{ {command}\n}} </dev/null 2>&1; printf '\\1%d\\1' $?\n".encode())
        before, match = self.read_until(rb"\x01(\d+)\x01", seconds)
        return int(match[1]), before.decode(errors="replace")

    def run_inside(self, address, command, seconds=60):
        """Output of a command in a virtual machine of this one: by its service (guest/init), asked from the namespace `out`."""
        text = self.run(f"ip netns exec out timeout {seconds} busybox wget -q -O - --post-data {shlex.quote(command)} "
                        f"http://{address}:8080/cgi-bin/run | tr '\\1' '\\n'", seconds=seconds + 30)
        output, _, status = text.rpartition("\n")
        if status != "0":
            raise Failed(f"{command}: status {status or 'unknown'}: {output.strip()}")
        return output

    def rpc(self, path, method, params=None):
        """The answer of a program's control socket in the machine."""
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params else {})})
        answer = json.loads(self.run(f"cat >/run/request <<'END'\n{request}\nEND\n{CALL} {path} </run/request"))
        assert "result" in answer, answer
        return answer["result"]

    def look(self):
        """Notes what shows that its processors, or those of a machine within it, went wrong."""
        if self.process.poll() is not None:
            Machine.faults.append(f"QEMU ended with status {self.process.returncode}")
            return
        within = ""
        with contextlib.suppress(NoAnswer):
            within = self.try_run("cat /run/*/agent/vms/*/console.log 2>/dev/null", 10)[1]
        Machine.faults += BROKEN.findall(self.console()) + BROKEN.findall(within)

    def stop(self):
        self.shell.close()
        self.process.kill()
        self.process.communicate()

    def close(self):
        self.look()
        self.stop()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def judge(test):
    """Exit status of a test program, whose test() says whether it passed: a failure in a machine that broke says nothing of Sluice."""
    try:
        status = test()
    except Exception:
        traceback.print_exc()
        status = 1
    if status and Machine.faults:
        print(f"# the lab's machine broke: {Machine.faults[0].strip()}", flush=True)
        return EXIT_BROKEN
    return status
