#!/usr/bin/python3
"""Eswitches in the lab: what is asked of devlink, live on netdevsim, Linux' simulation of a NIC with an eswitch.

    switchdev_test.py DEVLINK-TEST KERNEL-FOLDER NETDEVSIM-FOLDER [--record]

--record writes the traces anew by which the same test runs without netdevsim (src/nic/traces).
"""
import os
import subprocess
import sys

from machine import Machine

HERE = os.path.dirname(os.path.abspath(__file__))
TRACES = os.path.join(HERE, "../../src/nic/traces")
# One NIC in legacy mode with two VFs, one in switchdev mode with one; tc offload is off where it is not turned on. Interfaces are renamed, so that
# those which come during the test are eth0 and eth1.
NICS = """
modprobe psample && insmod {folder}/netdevsim.ko && cd /sys/bus/netdevsim
for n in 1 2; do
	echo "$n 1" >new_device
	ip link set dev eth0 name sim${{n}}p
done
echo 2 >devices/netdevsim1/sriov_numvfs
echo 1 >devices/netdevsim2/sriov_numvfs
devlink dev eswitch set netdevsim/netdevsim2 mode switchdev
ip link set dev eth0 name sim2vf0
ethtool -K sim1p hw-tc-offload on
"""


def run(machine, folder, program, record):
    machine.run(NICS.format(folder=folder) if not record else NICS.format(folder=folder) + "mkdir /run/traces")
    how = "record" if record else "live"
    status, text = machine.try_run(f"SLUICE_NETDEVSIM={how} SLUICE_TRACES=/run/traces {program} --tap")
    print(text)
    for name in os.listdir(TRACES) if record and status == 0 else []:
        with open(os.path.join(TRACES, name), "w", encoding="utf-8") as file:
            file.write(machine.run(f"cat /run/traces/{name}"))
    return status


def main():
    program, kernel, folder = (os.path.abspath(path) for path in sys.argv[1:4])
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", kernel], check=True)
    subprocess.run([f"{HERE}/netdevsim.sh", kernel, folder], check=True)
    with Machine(kernel) as machine:
        return run(machine, folder, program, sys.argv[4:] == ["--record"])


if __name__ == "__main__":
    sys.exit(main())
