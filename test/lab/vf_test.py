#!/usr/bin/python3
"""Runs the C tests of VFs' attributes on a real igb driver, in the lab.

    vf_test.py VF-LAB-TEST KERNEL-FOLDER
"""
import os
import subprocess
import sys

from machine import Machine, judge, plain

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    program, kernel = plain(sys.argv[1]), sys.argv[2]
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", kernel], check=True)
    with Machine(kernel) as machine:
        machine.run("modprobe igb && ip link set dev eth0 up && echo 2 >/sys/class/net/eth0/device/sriov_numvfs && "
                    "until grep -q 1 /sys/class/net/eth0/carrier; do sleep 0.1; done")
        status, text = machine.try_run(f"SLUICE_PF=eth0 {program} --tap")
        print(text)
        return status


if __name__ == "__main__":
    sys.exit(judge(main))
