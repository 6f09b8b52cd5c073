#!/usr/bin/env python3
"""Runs a command against a controller of its own, with a pretended host (or several) that does at once what its goal says.

    test/api/cloud.py --controller PROGRAM --sizes FILE [--hosts N] [--public-prefix PREFIX] COMMAND...

COMMAND gets a last argument: a folder with ca.pem, endpoint and principal.json, as `sluice up` has it. The controller's log
is shown when the command fails. Exit status: the command's.
"""
import argparse
import http.client
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HOST, PROTOCOL = "pretended", "1"
READY_LIMIT_S, BEAT_S = 30, 5
ALIASES = {"UbuntuLTS": {"publisher": "Canonical", "offer": "UbuntuServer", "sku": "18.04-LTS", "version": "latest",
                         "architecture": "x64", "image": "small", "accelerated": True},
           "Old": {"publisher": "me", "offer": "old", "sku": "1", "version": "latest", "architecture": "x64", "image": "old"}}

STORED = "web"  # an image that was imported, without an alias


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def names_of_hosts(n):
    return [HOST, *(f"{HOST}-{i}" for i in range(2, n + 1))]


def make_certificates(folder, hosts):
    """A CA, and certificates of the controller and the hosts signed by it."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem", "-days", "2",
            "-subj", "/CN=test CA", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    for name, common_name in (("controller", "sluice-controller"), *((host, host) for host in hosts)):
        openssl("req", "-x509", *new_key, "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-days", "2",
                "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem", "-subj", f"/CN={common_name}",
                "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth",
                "-addext", "keyUsage=critical,digitalSignature", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")


def guest_of(vm):
    """What a running machine's guest says that it is: its tag pretend-guest, "ID VERSION KERNEL"."""
    words = vm.get("tags", {}).get("pretend-guest", "").split(" ")
    if vm.get("power", "running") != "running" or len(words) != 3:
        return {}
    return {"guest": dict(zip(("id", "version", "kernel"), words), agent="0.1")}


def fault_of(vm):
    """What the host says against a machine: its tag pretend-fault; at one size alone, if pretend-fault-size says which."""
    tags = vm.get("tags", {})
    if "pretend-fault" not in tags or tags.get("pretend-fault-size", vm["size"]) != vm["size"]:
        return {}
    return {"fault": "internal", "message": tags["pretend-fault"]}


class PretendedHost:
    """Follows the goal of one host over its own TLS certificate, and reports it as done; repeats that as a sign of life."""

    def __init__(self, folder, name, port):
        self.name, self.port = name, port
        self.context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        self.context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
        self.goal, self.lock = {"version": 0, "host": None}, threading.Lock()  # none yet
        self.error, self.known = None, threading.Event()
        for work in (self.follow, self.beat):
            threading.Thread(target=self.guard, args=(work,), daemon=True).start()

    def guard(self, work):
        try:
            work(http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=60))
        except (OSError, http.client.HTTPException, RuntimeError, LookupError) as error:
            self.error = error

    def call(self, connection, method, path, body=None):
        headers = {"Sluice-Protocol": PROTOCOL, "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        if response.status not in (200, 204):
            raise RuntimeError(f"{method} {path} answers the host {response.status} {text!r}")
        for machine in filter(None, response.getheader("Sluice-Consoles", "").split(",")):
            self.call(connection, "PUT", f"/agent/v1/console/{machine}", f"console of {machine}")
        return json.loads(text) if text else None

    def report(self, connection, goal):
        """Reports this goal (None: the one before) as done."""
        with self.lock:
            self.goal = goal = goal or self.goal
            self.call(connection, "PUT", "/agent/v1/report", {
                "host": self.name, "goal_host": goal["host"], "received": goal["version"], "applied": goal["version"], "vcpus": 64,
                "memory_mib": 1 << 20, "available_mib": 1 << 20, "kvm": False, "accel_detail": "pretended",
                "provider": "emulated", "version": "test", "physicals": ["physnet1"],
                "vms": [{"uid": vm["uid"], "power": vm.get("power", "running"), "absent": vm.get("remove", False),
                         "restarts": vm.get("restarts", 0), "reimages": vm.get("reimages", 0), **guest_of(vm), **fault_of(vm)}
                        for vm in goal.get("vms", ())],
                "nics": [{"uid": nic["uid"], "path": "emulated" if nic.get("accelerated") else "synthetic",
                          "enforcement": "switch", "well": [probe["key"] for probe in nic.get("probes", ())]}
                         for nic in goal.get("nics", ())]})

    def follow(self, connection):
        while True:
            goal = self.call(connection, "GET", f"/agent/v1/goal?after={self.goal['version']}")
            if goal:
                self.report(connection, goal)

    def beat(self, connection):
        while True:
            self.report(connection, None)
            self.known.set()
            time.sleep(BEAT_S)


def start_controller(options, folder, log):
    listen, agent_listen = (f"127.0.0.1:{free_port()}" for _ in range(2))
    (folder / "aliases.json").write_text(json.dumps(ALIASES))
    (folder / STORED).mkdir()
    (folder / STORED / "manifest.json").write_text("{}")
    process = subprocess.Popen(
        [options.controller, "--state", folder / "controller", "--listen", listen, "--agent-listen", agent_listen,
         "--advertise", f"https://{listen}", "--cert", folder / "controller.pem", "--key", folder / "controller.key",
         "--ca", folder / "ca.pem", "--sizes", options.sizes, "--aliases", folder / "aliases.json",
         "--locations", "centralus,westus,southcentralus", "--public-prefix", str(options.public_prefix),
         "--public-gateway", str(options.public_prefix[1]), "--cpu-allocation-ratio", "16", "--ram-allocation-ratio", "1.5",
         "--print-principal", folder / "principal.json"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return process, f"https://{listen}", int(agent_listen.rsplit(":", 1)[1])


def wait_until_ready(process, folder, host_port):
    """The controller is usable once it has written the principal and takes a host's connections."""
    deadline = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", host_port), timeout=1).close()
            if (folder / "principal.json").exists():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the controller does not get ready" if process.poll() is None else "the controller ended")


def add_endpoint(folder, endpoint):
    """The controller writes who may log in; `sluice up` adds where. Replays have both from one file."""
    path = folder / "principal.json"
    (folder / "endpoint").write_text(endpoint + "\n")
    path.write_text(json.dumps({**json.loads(path.read_text()), "endpoint": endpoint}))


def run(options, folder):
    (folder / "controller").mkdir()
    names = names_of_hosts(options.hosts)
    make_certificates(folder, names)
    with open(folder / "controller.log", "wb") as log:
        process, endpoint, host_port = start_controller(options, folder, log)
    try:
        wait_until_ready(process, folder, host_port)
        add_endpoint(folder, endpoint)
        hosts = [PretendedHost(folder, name, host_port) for name in names]
        for host in hosts:
            host.known.wait(READY_LIMIT_S)
        status = subprocess.run([*options.command, folder], stdin=subprocess.DEVNULL).returncode
        for host in hosts:
            if host.error:
                status = status or 1
                print(f"# the pretended host gave up: {host.error}")
    except RuntimeError as error:
        print(f"Bail out! {error}")
        status = 1
    finally:
        process.terminate()
        process.wait()
    if process.returncode:
        status = status or 1
        print(f"# the controller ended with status {process.returncode}")
    if status:
        log = (folder / "controller.log").read_text(errors="replace").splitlines()
        print("\n".join(f"# controller: {line}" for line in log[-40:]), flush=True)
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controller", required=True)
    parser.add_argument("--sizes", required=True)
    parser.add_argument("--hosts", type=int, default=1, help="how many hosts are pretended")
    parser.add_argument("--public-prefix", type=ipaddress.ip_network, default="203.0.113.0/24", help="of public addresses")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-"))
    os.chmod(folder, 0o700)
    try:
        sys.exit(run(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
