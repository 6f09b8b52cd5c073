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
import random
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
ANSWER_LIMIT_S, RETRY_FIRST_S, RETRY_MAX_S = 60, 0.25, 60  # as an agent's
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
    """Follows the goal of one host over its own TLS certificate, and reports it as done; repeats that as a sign of life.

    When it is not answered it tries again, as an agent does (src/agent/goal_client.c): goals and reports each by themselves, later
    after each failure, and for ever. What the controller refuses is kept as its error all the same.
    """

    def __init__(self, folder, name, port):
        self.name, self.port = name, port
        self.context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        self.context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
        self.goal, self.news = {"version": 0, "host": None}, threading.Event()  # none yet
        self.error, self.outages, self.known = None, [], threading.Event()
        for step in (self.follow, self.report):
            threading.Thread(target=self.keep_on, args=(step,), daemon=True).start()

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=ANSWER_LIMIT_S)

    def keep_on(self, step):
        """Repeats the step, each time on the connection of the one before unless that failed."""
        connection, failures = self.connect(), 0
        while True:
            try:
                step(connection)
                failures = 0
                continue
            except (OSError, http.client.HTTPException) as error:
                self.outages.append(error)
            except (RuntimeError, LookupError, ValueError) as error:
                self.error = error
            connection.close()
            connection = self.connect()
            time.sleep(min(RETRY_FIRST_S * 2 ** min(failures, 10), RETRY_MAX_S) * random.uniform(0.75, 1))
            failures += 1

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

    def follow(self, connection):
        """Waits for the next goal, and takes it."""
        goal = self.call(connection, "GET", f"/agent/v1/goal?after={self.goal['version']}")
        if goal:
            self.goal = goal
            self.news.set()

    def report(self, connection):
        """Reports the newest goal as done, and waits until there is another, or it is time for a sign of life."""
        self.news.clear()
        goal = self.goal
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
        self.known.set()
        self.news.wait(BEAT_S)

    def judge(self):
        """Prints what went wrong with the host; whether that is for the controller to answer for."""
        for error in self.outages:
            print(f"# the pretended host {self.name} was not answered, and tried again: {error!r}")
        if self.error:
            print(f"# the pretended host {self.name} was refused: {self.error}")
        return self.error is not None


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
        if any([host.judge() for host in hosts]):
            status = status or 1
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
