#!/usr/bin/python3
"""Runs a command in the lab's guest, by its service on port 8080: guest.py ADDRESS SECONDS COMMAND; its output and its status."""
import http.client
import sys


def main():
    address, seconds, command = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    service = http.client.HTTPConnection(address, 8080, timeout=seconds)
    service.request("POST", "/cgi-bin/run", command)
    answer = service.getresponse()
    output, mark, status = answer.read().rpartition(b"\1")
    if not mark:
        raise RuntimeError(f"{address} answered {answer.status} {answer.reason}, and no status: {output + status!r}")
    sys.stdout.buffer.write(output)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
