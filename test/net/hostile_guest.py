"""A vhost-user guest that means harm: it sets its rings up as QEMU does, and then writes into them what it likes.

The protocol's front end (QEMU's vhost-user specification, "Message Specification") for one pair of split rings (virtio 1.1,
2.6). The memory is a memfd that the switch maps; nothing in it is ever put right.
"""
import mmap
import os
import random
import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 8, 9, 10, 12, 13
SET_VRING_ENABLE = 18
VERSION, REPLY = 1, 4
MERGEABLE, INDIRECT, PROTOCOL_FEATURES, VERSION_1 = 1 << 15, 1 << 28, 1 << 30, 1 << 32
OFFLOADS = 1 << 0 | 1 << 1 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 12  # checksums, TSO over IPv4 and IPv6, both ways

MEMORY = 4 << 20
USER = 1 << 32  # where the front end says that it has the memory itself
RING = 256
DESCRIPTORS, AVAILABLE, USED, BUFFERS = 0, 0x4000, 0x8000, 0x40000  # within a ring's 64 KB; buffers of both after them
NEXT, WRITE, INDIRECT_FLAG = 1, 2, 4
ODD_ADDRESSES = (0, 1, 0xfff, MEMORY - 1, MEMORY - 60, MEMORY, MEMORY + 1, USER, 1 << 47, 1 << 63, (1 << 64) - 1, (1 << 64) - 1500)
ODD_LENGTHS = (0, 1, 9, 12, 13, 59, 60, 1514, 65535, 65536, 70000, MEMORY, 1 << 31, (1 << 32) - 1)


class HostileGuest:
    def __init__(self, path, seed):
        self.random = random.Random(seed)
        self.file = os.memfd_create("guest")
        os.ftruncate(self.file, MEMORY)
        self.memory = mmap.mmap(self.file, MEMORY)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(15)
        self.connection = None
        self.events = [os.eventfd(0) for _ in range(4)]

    def send(self, request, payload, files=()):
        header = struct.pack("=III", request, VERSION, len(payload))
        socket.send_fds(self.connection, [header + payload], list(files))

    def connect(self):
        """Waits for the switch, which is the one that connects, and gives it the memory and the rings."""
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(5)
        self.send(SET_OWNER, b"")
        self.send(GET_FEATURES, b"")
        offered = struct.unpack("=IIIQ", self.connection.recv(20))[3]
        wanted = offered & (MERGEABLE | INDIRECT | PROTOCOL_FEATURES | VERSION_1 | OFFLOADS)
        self.send(SET_FEATURES, struct.pack("=Q", wanted))
        self.send(SET_MEM_TABLE, struct.pack("=IIQQQQ", 1, 0, 0, MEMORY, USER, 0), [self.file])
        for ring in range(2):
            base = USER + ring * 0x10000
            self.send(SET_VRING_NUM, struct.pack("=II", ring, RING))
            self.send(SET_VRING_BASE, struct.pack("=II", ring, 0))
            self.send(SET_VRING_ADDR, struct.pack("=IIQQQQ", ring, 0, base + DESCRIPTORS, base + USED, base + AVAILABLE, 0))
            self.send(SET_VRING_CALL, struct.pack("=Q", ring), [self.events[2 * ring]])
            self.send(SET_VRING_KICK, struct.pack("=Q", ring), [self.events[2 * ring + 1]])
        for ring in range(2):
            self.send(SET_VRING_ENABLE, struct.pack("=II", ring, 1))

    def address(self):
        return self.random.choice((self.random.choice(ODD_ADDRESSES), self.random.randrange(MEMORY), BUFFERS))

    def length(self):
        return self.random.choice((self.random.choice(ODD_LENGTHS), self.random.randrange(1, 2000)))

    def scribble(self):
        """Another set of descriptors, chains and buffers, all made available."""
        pick = self.random
        for ring in range(2):
            base = ring * 0x10000
            for i in range(RING):
                flags = pick.choice((0, NEXT, WRITE, NEXT | WRITE, INDIRECT_FLAG, pick.randrange(65536)))
                following = pick.choice((pick.randrange(RING), i, pick.randrange(65536)))
                struct.pack_into("=QIHH", self.memory, base + DESCRIPTORS + 16 * i, self.address(), self.length(), flags, following)
                struct.pack_into("=H", self.memory, base + AVAILABLE + 4 + 2 * i, pick.choice((pick.randrange(RING), pick.randrange(65536))))
            before = struct.unpack_from("=H", self.memory, base + AVAILABLE + 2)[0]
            step = pick.choice((1, 7, RING, RING + 1, pick.randrange(65536)))
            struct.pack_into("=H", self.memory, base + AVAILABLE + 2, (before + step) & 0xffff)
        at = pick.randrange(BUFFERS, MEMORY - 4096)
        self.memory[at:at + 4096] = pick.randbytes(4096)
        self.memory[BUFFERS:BUFFERS + 64] = pick.randbytes(64)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def end(self):
        self.close()
        self.listener.close()
        for event in self.events:
            os.close(event)
        self.memory.close()
        os.close(self.file)
