#!/usr/bin/env python3
"""Records what a real client asks, and of what it is answered, as a transcript.

    test/api/record.py --client NAME --out FILE COMMAND... STATE-FOLDER

COMMAND gets a state folder of its own, whose endpoint is a proxy before the cloud of STATE-FOLDER; what passes through it
becomes FILE, a command of az a test. A cloud is what cloud.py runs, a client what clients.sh does, or a part of it:

    test/api/cloud.py --controller PROGRAM --sizes FILE test/api/record.py --client "az 2.74.0, profile latest" \\
        --out test/api/transcripts/az-2.74-scale-sets.json test/api/clients.sh --only "make_network ... delete_group"

Exit status: COMMAND's.
"""
import argparse
import dataclasses
import http.client
import http.server
import json
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse

import transcript

# Read by signed links, as text, and the administrator's of the cloud that was recorded: nothing that a replay could ask again.
OWN = ("/boot-diagnostics/", "/sluice/")
HOP_BY_HOP = {"connection", "content-length", "transfer-encoding"}
SECRET = "secret"  # stands for the password, and for private keys


@dataclasses.dataclass
class Exchange:
    method: str
    path: str
    query: dict
    headers: object
    body: str
    status: int
    answer: object  # JSON; None when it was none


def json_of(data):
    try:
        return json.loads(data)
    except ValueError:
        return None


class Proxy:
    """Takes requests on a port of its own, with the cloud's certificate, and hands them on; notes all in order."""

    def __init__(self, state):
        self.real = json.loads((state / "principal.json").read_text())["endpoint"]
        self.context = ssl.create_default_context(cafile=state / "ca.pem")
        self.exchanges = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        mine.load_cert_chain(state / "controller.pem", state / "controller.key")
        self.server.socket = mine.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handler(proxy):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, data = proxy.ask(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = pass_on
        return Handler

    def ask(self, method, target, headers, body):
        connection = http.client.HTTPSConnection(urllib.parse.urlsplit(self.real).netloc, context=self.context)
        connection.request(method, target, body or None, {name: value for name, value in headers.items()
                                                          if name.lower() not in ("host", "accept-encoding")})
        response = connection.getresponse()
        data = response.read().replace(self.real.encode(), self.url.encode())
        url = urllib.parse.urlsplit(target)
        self.exchanges.append(Exchange(method, url.path, dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)),
                                       headers, body.decode(), response.status, json_of(data)))
        kept = [(name, value.replace(self.real, self.url)) for name, value in response.getheaders()
                if name.lower() not in HOP_BY_HOP]
        connection.close()
        return response.status, kept, data


def body_of(exchange, password):
    """The member of a transcript's exchange that holds the body."""
    if not exchange.body:
        return {}
    if "urlencoded" in exchange.headers.get("Content-Type", ""):
        form = {name: values[0] for name, values in urllib.parse.parse_qs(exchange.body).items()}
        return {"body": {name: SECRET if value == password else value for name, value in form.items()}}
    try:
        return {"body": json.loads(exchange.body)}
    except ValueError:
        return {"text": exchange.body}


def redacted(answer):
    """An answer without private keys, wherever they are in it."""
    if isinstance(answer, dict):
        return {key: redacted(member) for key, member in answer.items()}
    if isinstance(answer, list):
        return [redacted(item) for item in answer]
    return SECRET if isinstance(answer, str) and "PRIVATE KEY" in answer else answer


def entry(exchange, password):
    result = {"method": exchange.method, "path": exchange.path}
    if exchange.query:
        result["query"] = exchange.query
    result.update(body_of(exchange, password), status=exchange.status)
    if exchange.answer is not None:
        result["answer"] = transcript.trim(redacted(exchange.answer))
    return result


class Commands:
    """Exchanges by the command that they belong to: az says which, but for what it needs to log in."""

    def __init__(self):
        self.list, self.request = [], None

    def begin(self, name):
        self.list.append({"command": name, "exchanges": []})

    def place(self, exchange):
        request = exchange.headers.get("x-ms-client-request-id")
        name = exchange.headers.get("CommandName")
        if exchange.path.startswith("/metadata/"):
            self.begin("az cloud register")
        elif exchange.path.endswith("/.well-known/openid-configuration"):
            self.begin("az login --service-principal")
        elif name and request != self.request:
            self.begin(f"az {name} {exchange.headers.get('ParameterSetName', '')}".rstrip())
        self.request = request if name else self.request
        return self.list[-1]["exchanges"]

    def add(self, exchange, password):
        if exchange.path.startswith(OWN):
            return
        if transcript.is_operation(exchange.path):
            if exchange.answer and exchange.answer.get("status") == "Failed":
                self.list[-1]["exchanges"][-1]["fails"] = {"code": exchange.answer["error"]["code"]}
            return
        if exchange.path.endswith("/oauth2/token") and (exchange.status >= 400 or self.list[-1]["command"].split()[1] != "login"):
            return  # a refused one, and what was fetched anew, say nothing about the command
        self.place(exchange).append(entry(exchange, password))


def recorded(proxy, client, password):
    commands = Commands()
    for exchange in proxy.exchanges:
        commands.add(exchange, password)
    for command in commands.list:
        if any(item["status"] >= 400 or "fails" in item for item in command["exchanges"][-1:]):
            command["command"] += ", refused"
    return {"client": client, "base": proxy.url, "commands": [item for item in commands.list if item["exchanges"]]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    state = pathlib.Path(options.command.pop())
    proxy = Proxy(state)
    principal = json.loads((state / "principal.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(state / "ca.pem", folder)
        pathlib.Path(folder, "principal.json").write_text(json.dumps({**principal, "endpoint": proxy.url}))
        status = subprocess.run([*options.command, folder], stdin=subprocess.DEVNULL).returncode
    transcript.save(options.out, recorded(proxy, options.client, principal["password"]))
    sys.exit(status)


if __name__ == "__main__":
    main()
