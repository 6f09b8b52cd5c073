"""What a cloud gives a booting machine, for tests: DHCP and the instance metadata service.

Cloud(interface, document) answers DHCP on the interface with one fixed address, and HTTP on 169.254.169.254:80
with the document as Azure's instance metadata. It must run in the network namespace that holds the interface.
"""
import http.server
import ipaddress
import json
import socket
import struct
import threading

METADATA = "169.254.169.254"
MAGIC = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
SO_BINDTODEVICE = 25


def option(code, value):
    return bytes([code, len(value)]) + value


def packed(address):
    return ipaddress.IPv4Address(address).packed


def options_of(packet):
    """The options of a DHCP packet, {code: value}; RFC 2132."""
    found, at = {}, 240
    while at + 1 < len(packet) and packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        length = packet[at + 1]
        found[packet[at]] = packet[at + 2:at + 2 + length]
        at += 2 + length
    return found


class Cloud:
    def __init__(self, interface, network, address, document, mtu=1400):
        self.network, self.address = ipaddress.IPv4Network(network), address
        self.gateway = str(self.network[1])
        self.document, self.mtu, self.hostname_seen = document, mtu, None
        self.requests = []      # paths asked of the metadata service
        self.answering = True   # False: the metadata service gives 503
        self.dhcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.dhcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.dhcp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.dhcp.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode() + b"\0")
        self.dhcp.bind(("", 67))
        self.http = http.server.ThreadingHTTPServer((METADATA, 80), self.handler())
        for target in (self.serve_dhcp, self.http.serve_forever):
            threading.Thread(target=target, daemon=True).start()

    def routes(self):
        """Option 121 (RFC 3442): metadata and everything else by the gateway."""
        return (bytes([32]) + packed(METADATA) + packed(self.gateway) + bytes([0]) + packed(self.gateway))

    def reply(self, packet, kind):
        head = struct.pack("!4B4s2H4s4s4s4s16s192x", 2, 1, 6, 0, packet[4:8], 0, 0x8000, bytes(4),
                           packed(self.address), packed(self.gateway), bytes(4), packet[28:44])
        return (head + MAGIC + option(53, bytes([kind])) + option(54, packed(self.gateway))
                + option(51, struct.pack("!I", 3600)) + option(1, self.network.netmask.packed)
                + option(3, packed(self.gateway)) + option(6, packed(self.gateway))
                + option(26, struct.pack("!H", self.mtu)) + option(121, self.routes()) + b"\xff")

    def serve_dhcp(self):
        answers = {DISCOVER: OFFER, REQUEST: ACK}
        while True:
            packet = self.dhcp.recv(2048)
            if len(packet) < 244 or packet[236:240] != MAGIC:
                continue
            asked = options_of(packet)
            kind = answers.get(asked.get(53, b"\0")[0])
            if kind:
                self.dhcp.sendto(self.reply(packet, kind), ("255.255.255.255", 68))

    def handler(self):
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                cloud.requests.append(self.path)
                status = cloud.status(self.path, self.headers)
                body = json.dumps(cloud.document if status == 200 else {"error": "no"}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def status(self, path, headers):
        if not self.answering:
            return 503
        if headers.get("Metadata", "").lower() != "true" or "api-version=" not in path:
            return 400
        return 200 if path.startswith("/metadata/instance?") else 404
