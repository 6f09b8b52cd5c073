"""Frames with 802.1Q tags, in the hands of a test: the kernel takes tags off, and may have no VLAN devices."""
import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import threading

SOL_PACKET, PACKET_AUXDATA = 263, 8


def ear(lab, namespace, device):
    """A packet socket that is told the tags which the kernel takes off."""
    with lab.inside(namespace):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        s.bind((device, 0))
    return s


class Tagger(threading.Thread):
    """A VLAN device in the hands of the test: a tap whose frames leave by `below` with the tag, and back."""

    def __init__(self, lab, namespace, device, id_, below="eth0"):
        super().__init__(daemon=True)
        self.tag = b"\x81\x00" + id_.to_bytes(2, "big")
        self.wire = ear(lab, namespace, below)
        with lab.inside(namespace):
            self.tap = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.tap, 0x400454ca, struct.pack("16sH22x", device.encode(), 0x1002))  # TUNSETIFF: TAP, NO_PI
        self.end, self.ended = os.pipe()
        self.start()

    def run(self):
        while True:
            ready = select.select([self.tap, self.wire, self.end], [], [])[0]
            if self.end in ready:
                return
            if self.tap in ready:
                data = os.read(self.tap, 65536)
                self.wire.send(data[:12] + self.tag + data[12:])
            if self.wire in ready:
                data, more, _, where = self.wire.recvmsg(65536, 100)
                data = with_tag(data, more)
                if where[2] != socket.PACKET_OUTGOING and data[12:16] == self.tag:
                    with contextlib.suppress(OSError):  # it is not up yet
                        os.write(self.tap, data[:12] + data[16:])

    def stop(self):
        os.write(self.ended, b"x")
        self.join()
        for fd in (self.tap, self.end, self.ended):
            os.close(fd)
        self.wire.close()


def with_tag(data, more):
    """struct tpacket_auxdata: the tag is valid where the status says so."""
    for level, kind, value in more:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and int.from_bytes(value[:4], sys.byteorder) & 0x10:
            tci = int.from_bytes(value[16:18], sys.byteorder)
            type_ = int.from_bytes(value[18:20], sys.byteorder)
            data = data[:12] + type_.to_bytes(2, "big") + tci.to_bytes(2, "big") + data[12:]
    return data
