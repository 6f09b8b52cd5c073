#!/usr/bin/python3
"""Runs the C tests of the SR-IOV provider on a real igb driver, in the lab.

    sriov_test.py PROVIDER-LAB-TEST SRIOV-LAB-TEST KERNEL-FOLDER
"""
import os
import re
import subprocess
import sys

from machine import Machine, judge, plain

HERE = os.path.dirname(os.path.abspath(__file__))
CARRIER = "until grep -q 1 /sys/class/net/eth0/carrier; do sleep 0.1; done"
PREPARE = ("modprobe -a igb vfio-pci && ip link set dev eth0 up && ip link set dev eth1 up && "
           f"echo 3 >/sys/class/net/eth0/device/sriov_numvfs && {CARRIER}")
# One VF is this host's own driver's, with a MAC that its PF knows, so not while that is in reset; two are nobody's.
BIND = (f"{CARRIER}; modprobe igbvf && ip link show dev eth0 | grep 'vf 0' | grep -v 00:00:00:00:00:00 && "
        "for i in 1 2; do a=$(basename $(readlink /sys/class/net/eth0/device/virtfn$i)); "
        "echo $a >/sys/bus/pci/devices/$a/driver/unbind; done")


class Points:
    """Several programs' points under one plan, which follows them."""

    def __init__(self):
        self.number, self.failed = 0, False

    def add(self, program, status, text):
        for line in text.splitlines():
            point = re.match(r"(not ok|ok) \d+ (.*)", line)
            if point:
                self.number += 1
                self.failed |= point[1] != "ok"
                print(f"{point[1]} {self.number} {point[2]}")
            elif not re.match(r"\d+\.\.\d+$", line):
                print(line if line.startswith("#") else f"# {line}")
        if status:
            self.number += 1
            self.failed = True
            print(f"not ok {self.number} {os.path.basename(program)} ends with status {status}")


def main():
    programs, kernel = [plain(program) for program in sys.argv[1:3]], sys.argv[3]
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", kernel], check=True)
    points = Points()
    with Machine(kernel) as machine:
        machine.run(PREPARE)
        for program, before in zip(programs, ("true", BIND)):
            machine.run(before)
            status, text = machine.try_run(f"SLUICE_PF=eth0 SLUICE_WIRE=eth1 {program} --tap", seconds=500)
            points.add(program, status, text)
    print(f"1..{points.number}")
    return 1 if points.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
