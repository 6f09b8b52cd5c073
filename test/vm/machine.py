"""Virtual machines for tests: QEMU under TCG with taps of the current network namespace, driven by QMP."""
import glob
import json
import os
import pathlib
import socket
import subprocess
import time


class Timeout(Exception):
    pass


def wait_for(what, seconds, function):
    """The first true answer of function(), asked five times a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = function()
        if answer:
            return answer
        time.sleep(0.2)
    raise Timeout(f"{what}: not within {seconds} s")


class Image:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text())

    def path(self, member):
        return str(self.folder / self.manifest[member])

    def make_disk(self, path):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", self.manifest["format"],
                        "-b", self.path("disk"), path, "3G"], check=True)


class Machine:
    """One start of QEMU. Slots (PCIe root ports) rp0..rp3; the virtio NIC, a failover standby, is in rp0."""

    def __init__(self, image, disk, folder, tap, mac, vcpus=1):
        self.folder, self.mac, self.events = pathlib.Path(folder), mac, []
        self.console_path = self.folder / "console.log"
        qmp = self.folder / "qmp.sock"
        qmp.unlink(missing_ok=True)
        self.log = open(self.folder / "qemu.log", "w", encoding="utf-8")
        self.process = subprocess.Popen(self.command(image, disk, qmp, tap, vcpus),
                                        stdin=subprocess.DEVNULL, stderr=self.log)
        wait_for("QEMU's control socket", 10, qmp.exists)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(qmp))
        self.replies = self.socket.makefile("r")
        self.replies.readline()
        self.qmp("qmp_capabilities")

    def command(self, image, disk, qmp, tap, vcpus):
        manifest = image.manifest
        ports = [argument for n in range(4) for argument in
                 ("-device", f"pcie-root-port,id=rp{n},chassis={n + 1},slot={n + 1}")]
        return ["qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max",
                "-M", "q35,hpet=off", "-m", "512", "-smp", str(vcpus), "-nodefaults", "-display", "none",
                "-no-reboot", "-kernel", image.path("kernel"), "-initrd", image.path("initrd"),
                "-append", manifest["cmdline"] + " " + manifest["cmdline_tcg"],
                "-chardev", f"file,id=serial,path={self.console_path}", "-serial", "chardev:serial",
                "-qmp", f"unix:{qmp},server=on,wait=off", *ports,
                "-drive", f"file={disk},if=none,id=disk", "-device", "virtio-blk-pci,drive=disk,bus=rp3",
                "-netdev", f"tap,id=ns,ifname={tap},script=no,downscript=no",
                "-device", f"virtio-net-pci,bus=rp0,id=standby,netdev=ns,mac={self.mac},failover=on,romfile="]

    def qmp(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            reply = json.loads(self.replies.readline())
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]
            self.events.append(reply)

    def plug(self, tap):
        self.qmp("netdev_add", type="tap", id="np", ifname=tap, script="no", downscript="no")
        self.qmp("device_add", driver="e1000e", id="primary", bus="rp1", netdev="np", mac=self.mac, romfile="")

    def unplug(self):
        self.events.clear()
        self.qmp("device_del", id="primary")
        wait_for("DEVICE_DELETED of the primary", 20, self.primary_is_gone)
        self.qmp("netdev_del", id="np")

    def primary_is_gone(self):
        self.qmp("query-status")  # fetches events too
        return any(event.get("event") == "DEVICE_DELETED" and event["data"].get("device") == "primary"
                   for event in self.events)

    def console(self):
        return self.console_path.read_text(errors="replace") if self.console_path.exists() else ""

    def wait_console(self, text, seconds):
        wait_for(f"'{text}' on the console", seconds, lambda: text in self.console())

    def has_ended(self):
        return self.process.poll() is not None

    def end(self):
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.log.close()


def find_image(store):
    folders = glob.glob(os.path.join(store, "sluice-*"))
    assert len(folders) == 1, f"one image expected in {store}: {folders}"
    return Image(folders[0])
