#!/usr/bin/python3
"""Switchdev in the lab: what is asked of devlink and of VFs' VLANs, live on netdevsim, Linux' simulation of a NIC with an eswitch; and
the provider of functions on VFs of an igb driver, whose eswitch is made up.

    switchdev_test.py DEVLINK-TEST VF-TEST PROVIDER-LAB-TEST SWITCHDEV-LAB-TEST KERNEL-FOLDER NETDEVSIM-FOLDER [--record]

--record writes the traces anew by which the first two run without netdevsim (src/nic/traces).
"""
import os
import subprocess
import sys

from machine import Machine, judge, plain
from sriov_test import PREPARE, Points

HERE = os.path.dirname(os.path.abspath(__file__))
TRACES = os.path.join(HERE, "../../src/nic/traces")
# One NIC in legacy mode with two VFs, one in switchdev mode with one; tc offload is off where it is not turned on; each can have
# four channels. Interfaces are renamed, so that those which come during the test are eth0 and eth1.
SIMULATE = """
modprobe psample && insmod {folder}/netdevsim.ko && cd /sys/bus/netdevsim
for n in 1 2; do
	echo "$n 1 4" >new_device
	ip link set dev eth0 name sim${{n}}p
done
echo 2 >devices/netdevsim1/sriov_numvfs
echo 1 >devices/netdevsim2/sriov_numvfs
devlink dev eswitch set netdevsim/netdevsim2 mode switchdev
ip link set dev eth0 name sim2vf0
ethtool -K sim1p hw-tc-offload on
ethtool -K sim2vf0 hw-tc-offload on
ethtool -L sim1p combined 2
mkdir /run/traces; cd /
"""


def run(machine, points, program, environment):
    status, text = machine.try_run(f"{environment} {program} --tap", seconds=500)
    points.add(program, status, text)
    return status == 0


def main():
    programs, (kernel, folder) = [plain(path) for path in sys.argv[1:5]], sys.argv[5:7]
    record = sys.argv[7:] == ["--record"]
    if os.geteuid() != 0:
        print("1..0 # SKIP must be root to unpack a kernel and read this machine's files")
        return 0
    subprocess.run([f"{HERE}/kernel.sh", kernel], check=True)
    subprocess.run([f"{HERE}/netdevsim.sh", kernel, folder], check=True)
    points = Points()
    with Machine(kernel) as machine:
        machine.run(SIMULATE.format(folder=folder))
        how = "record" if record else "live"
        simulated = [run(machine, points, program, f"SLUICE_NETDEVSIM={how} SLUICE_TRACES=/run/traces") for program in programs[:2]]
        for name in ("netdevsim-devlink.trace", "netdevsim-ethtool.trace", "netdevsim-vf.trace") if record and all(simulated) else []:
            with open(os.path.join(TRACES, name), "w", encoding="utf-8") as file:
                file.write(machine.run(f"cat /run/traces/{name}"))
        machine.run("rmmod netdevsim && modprobe dummy numdummies=0")
        machine.run(PREPARE)
        for program in programs[2:]:
            run(machine, points, program, "SLUICE_PF=eth0")
    print(f"1..{points.number}")
    return 1 if points.failed else 0


if __name__ == "__main__":
    sys.exit(judge(main))
