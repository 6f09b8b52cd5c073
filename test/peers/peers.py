"""The programs that are measured: what they have in common, and testpmd. See sluice.py and openvswitch.py.

A peer is a context: entering starts the program, leaving ends it. Its ports are either generator devices
(net_gen.c) in the program itself, or vhost-user sockets at whose other end a second testpmd stands for the guests:
it carries packets between generator devices and virtio devices, on the control core. Either way the file of
measure.c is `control`.

All run in the caller's network namespace, which is a private one (bench.py), and keep their files in `folder`.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
from lab import wait_for  # noqa: E402

TESTPMD = "dpdk-testpmd"
MEMORY_MIB = 1024  # of huge pages, for each program
SIDES = (0, 1)
CONNECT_SECONDS = 15  # in which both ends of a vhost-user port find each other
RING = 1024  # of a vhost-user port


class Failed(Exception):
    pass


def mac(lane, side):
    """As in net_gen.c."""
    return f"02:00:00:00:{lane:02x}:{side + 1:02x}"


def testpmd_command(setup, cores, vdevs, lanes, mode, memory_mib):
    """cores: of the main thread, then of those that forward. Devices are forwarded in pairs, in their order."""
    lcores = ",".join(f"{lcore}@{core}" for lcore, core in enumerate(cores))
    return [TESTPMD, "--lcores", lcores, "--no-pci", "--in-memory", "--single-file-segments", "--no-telemetry",
            "-m", memory_mib, "-d", setup.driver, *vdevs, "--", f"--forward-mode={mode}", f"--nb-cores={lanes}",
            "--auto-start", "--no-flush-rx", "--total-num-mbufs=32768"]


class Peer:
    """What all have in common: processes, and measurements."""

    name = "?"
    any_macs = False
    poller = "worker"  # in the names of the threads that poll

    def __init__(self, setup, lanes=1, vhost=False):
        self.setup = setup  # bench.Setup: folder, tools, cores
        self.lanes = lanes
        self.vhost = vhost
        self.folder = setup.folder / self.name.split()[0]
        self.control = self.folder / "net_gen"
        self.processes = []
        self.pollers = []  # threads of the program under test
        self.clocks = []  # threads whose run time is the measurement's time

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        try:
            self.pollers = self.clocks = self.threads(self.start(), self.poller)
            if self.vhost:
                self.start_guests()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.processes = []

    def start(self):
        """Starts the program with its ports; returns its process."""
        raise NotImplementedError

    @contextlib.contextmanager
    def alone(self):
        """For that long nobody else gets the polling threads' cores, but the 5 % that the kernel keeps for them."""
        for thread in self.pollers:
            os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(1))
        try:
            yield
        finally:
            for thread in self.pollers:
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))

    # ---- ports ----

    def devices(self):
        """(device name, its arguments) of generators, lane by lane, near side first."""
        return [(f"net_gen{lane * 2 + side}", f"control={self.control},lane={lane},side={side}")
                for lane in range(self.lanes) for side in SIDES]

    def vdevs(self):
        return [word for name, arguments in self.devices() for word in ("--vdev", f"{name},{arguments}")]

    def socket(self, side):
        return self.folder / f"vhost{side}"

    def start_guests(self):
        """The sockets' servers, as QEMU is; the program under test is there already and tries to connect."""
        vdevs = []
        for side, (name, arguments) in enumerate(self.devices()):
            vdevs += ["--vdev", f"{name},{arguments}", "--vdev",
                      f"virtio_user{side},path={self.socket(side)},server=1,queue_size={RING},mrg_rxbuf=0,in_order=1,"
                      "vectorized=1"]
        cores = [self.setup.control_core, self.setup.control_core]
        guests = self.spawn(*testpmd_command(self.setup, cores, vdevs, 1, "io", MEMORY_MIB // 4),
                            cores=self.setup.control_core, stdin=subprocess.PIPE)
        self.wait_for_testpmd(guests, CONNECT_SECONDS)
        # The guests share their core with whoever is there; the time is theirs, as they cannot send without it.
        self.clocks = self.threads(guests, "worker")

    # ---- processes ----

    @staticmethod
    def threads(process, word):
        tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
        return sorted(task for task in tasks if word in (task / "comm").read_text())

    def spawn(self, *command, cores, **more):
        with open(self.log_path(len(self.processes)), "ab") as log:
            process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdout=log, stderr=log, **more)
        self.processes.append(process)
        return process

    def log_path(self, number):
        """Of the process that was started as that one."""
        return self.folder / f"log{number}"

    def logs(self):
        return "\n".join(self.log_path(i).read_text(errors="replace")[-1500:] for i in range(len(self.processes)))

    def wait_up(self, process, is_up, seconds=30):
        if not wait_for(lambda: process.poll() is not None or is_up(), seconds) or process.poll() is not None:
            raise Failed(f"{self.name} does not come up: {self.logs()}")

    def wait_for_testpmd(self, process, seconds=30):
        log = self.log_path(self.processes.index(process))
        self.wait_up(process, lambda: "Checking link statuses" in log.read_text(errors="replace"), seconds)

    # ---- measurements ----

    def measure(self, kind, traffic, **options):
        """One report of measure.c."""
        command = ["chrt", "--fifo", "2", "taskset", "-c", self.setup.control_core, self.setup.measure, kind,
                   "--control", self.control, "--rules", traffic, "--lanes", self.lanes]
        for thread in self.clocks:
            command += ["--thread", thread]
        if self.vhost:
            command += ["--window", RING // 4]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), value]
        if self.any_macs:
            command.append("--any-macs")
        with self.alone():
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{self.name}: {done.stderr.strip()}; its logs end with: {self.logs()}")
        return json.loads(done.stdout)

    def connect(self, traffic):
        """Waits until packets come through: virtio's ends find each other in their own time."""
        if not wait_for(lambda: self.measure("new", traffic, flows=1)["totals"]["right"], CONNECT_SECONDS):
            raise Failed(f"{self.name}: nothing comes through its vhost-user ports; {self.logs()}")


class Testpmd(Peer):
    """DPDK's own forwarder: what the devices and the harness alone cost."""

    def __init__(self, setup, mode="io", **more):
        self.mode = mode
        self.name = "testpmd " + mode
        self.any_macs = mode != "io"
        super().__init__(setup, **more)

    def start(self):
        vdevs = self.vdevs()
        if self.vhost:
            vdevs = [word for side in SIDES
                     for word in ("--vdev", f"net_vhost{side},iface={self.socket(side)},client=1")]
        cores = [self.setup.control_core] + self.setup.poll_cores[:self.lanes]
        process = self.spawn(*testpmd_command(self.setup, cores, vdevs, self.lanes, self.mode, MEMORY_MIB // 2),
                             cores=self.setup.all_cores, stdin=subprocess.PIPE)
        self.wait_for_testpmd(process)
        return process
