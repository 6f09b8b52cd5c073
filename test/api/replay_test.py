#!/usr/bin/env python3
"""Tests of the replayer itself: a server that answers as recorded passes, one that strays does not. Prints TAP."""
import email.message
import json
import pathlib
import sys
import types

import record
import replay
import transcript

URL, OURS = "https://127.0.0.1:9", "00000000-1111-2222-3333-444444444444"
HERE = pathlib.Path(__file__).parent


class Echo:
    """Answers each request as it was recorded, by another URL and subscription; mutations as operations.

    `stray(answer, recorded)` may spoil an answer before it is sent."""

    def __init__(self, recording, stray):
        self.url, self.token, self.stray = URL, None, stray
        self.base, self.recorded = recording["base"], None
        subscriptions = (item["answer"]["value"][0]["subscriptionId"] for command in recording["commands"]
                         for item in command["exchanges"] if item["path"] == "/subscriptions")
        self.subscription = next(subscriptions)

    def target(self, url):
        return replay.Server.target(self, url)

    def answer(self, status, body, headers=()):
        result = replay.Answer(status, email.message.Message(), body)
        for name, value in headers:
            result.headers[name] = value
        self.stray(result, self.recorded)
        return result

    def send(self, method, target, body=None, form=False):
        assert OURS in target or self.subscription not in target, "the subscription was not rewritten"
        text = json.dumps(self.recorded.get("answer")).replace(self.base, URL).replace(self.subscription, OURS)
        known = json.loads(text)
        if "/operations/" in target:
            failed = "fails" in self.recorded
            return self.answer(200, {"status": "Failed", "error": {"code": "X", "message": "m"}} if failed
                               else {"status": "Succeeded"})
        if "/operationResults/" in target:
            return self.answer(204, None)
        # It changes nothing, or is answered with what came of it.
        asks = method != "PUT" and self.recorded["status"] == 200 and known is not None
        if self.recorded["status"] < 400 and method != "GET" and not form and not asks:
            operation = [(name, f"{URL}/{path}/1") for name, path in
                         (("Azure-AsyncOperation", "operations"), ("Location", "operationResults"))]
            return self.answer(201 if method == "PUT" else 202, known if method == "PUT" else None,
                               operation + [("Retry-After", "1")])
        return self.answer(self.recorded["status"], replay.by_now(known))


def problems(path, stray=lambda answer, recorded: None):
    """What the replayer has to say of a server that strays."""
    recording = transcript.load(path)
    server, found = Echo(recording, stray), []
    run = replay.Replay(server, recording, {"appId": "us", "password": "secret"})
    for command in recording["commands"]:
        for server.recorded in command["exchanges"]:
            try:
                run.exchange(server.recorded)
            except replay.Problem as problem:
                found.append(str(problem))
    return found


def drop(name):
    """A server that leaves a member out wherever it stands."""
    def walk(value):
        if isinstance(value, dict):
            value.pop(name, None)
            for member in value.values():
                walk(member)
        elif isinstance(value, list):
            for item in value:
                walk(item)
    return lambda answer, recorded: walk(answer.body)


def header(name, value):
    """A server that gives a header another value, or none."""
    def stray(answer, recorded):
        if name in answer.headers:
            del answer.headers[name]
            if value is not None:
                answer.headers[name] = value
    return stray


def status(old, new):
    def stray(answer, recorded):
        if answer.status == old:
            answer.status = new
    return stray


def power(answer, recorded):
    """A server whose VMs never run."""
    view = answer.body.get("properties", {}).get("instanceView", {}) if isinstance(answer.body, dict) else {}
    for item in view.get("statuses", ()):
        item["code"] = item["code"].replace("running", "stopped")


def recording():
    """What the recorder makes of a login and of two commands, of which one fails behind its answer."""
    def exchange(method, path, status, answer=None, body="", **headers):
        return record.Exchange(method, path, {}, {name.replace("_", "-"): value for name, value in headers.items()}, body,
                               status, answer)
    group, poll = "/subscriptions/S/resourceGroups/g", "/subscriptions/S/operations/1"
    proxy = types.SimpleNamespace(url=URL, exchanges=[
        exchange("GET", "/adfs/.well-known/openid-configuration", 200, {"issuer": "x"}),
        exchange("POST", "/adfs/oauth2/token", 401, {"error": "invalid_client"}, Content_Type="x-www-form-urlencoded"),
        exchange("POST", "/adfs/oauth2/token", 200, {"access_token": "t"}, "client_id=us&client_secret=pw",
                 Content_Type="x-www-form-urlencoded"),
        exchange("GET", group, 200, {"name": "g"}, CommandName="vm create", x_ms_client_request_id="1"),
        exchange("PUT", group + "/x", 201, {"name": "x"}, "{ text: 1 }", CommandName="vm create", ParameterSetName="-g",
                 x_ms_client_request_id="1"),
        exchange("GET", poll, 200, {"status": "Failed", "error": {"code": "Broken", "message": "m"}},
                 CommandName="vm create", x_ms_client_request_id="1"),
        exchange("POST", group + "/k", 200, {"keys": [{"privateKey": "-----BEGIN RSA PRIVATE KEY-----", "publicKey": "p"}]},
                 CommandName="sshkey create", x_ms_client_request_id="2"),
        exchange("DELETE", group, 204, CommandName="group delete", x_ms_client_request_id="3")])
    return record.recorded(proxy, "az", "pw")["commands"]


def check_recording():
    """Sentences on what the recorder does wrong."""
    login, create, make, delete = commands = recording()
    names = [command["command"] for command in commands]
    if names != ["az login --service-principal", "az vm create, refused", "az sshkey create", "az group delete"]:
        yield f"the commands are {names}"
    if login["exchanges"][1:] != [{"method": "POST", "path": "/adfs/oauth2/token", "status": 200,
                                   "body": {"client_id": "us", "client_secret": "secret"}, "answer": {"access_token": "t"}}]:
        yield f"logging in is {login['exchanges']}"
    if create["exchanges"][1:] != [{"method": "PUT", "path": "/subscriptions/S/resourceGroups/g/x", "text": "{ text: 1 }",
                                    "status": 201, "answer": {"name": "x"}, "fails": {"code": "Broken"}}]:
        yield f"what failed is {create['exchanges']}"
    if make["exchanges"][0]["answer"] != {"keys": [{"privateKey": "secret", "publicKey": "p"}]}:
        yield f"a private key is {make['exchanges']}"
    if len(delete["exchanges"]) != 1:
        yield f"the last one is {delete['exchanges']}"


def main():
    path = HERE / "transcripts" / "az-2.74.json"
    strays = {
        "a missing macAddress is seen": (drop("macAddress"), "macAddress is missing"),
        "a missing default rule is seen": (drop("defaultSecurityRules"), "defaultSecurityRules is missing"),
        "a VM that does not run is seen": (power, "PowerState/running"),
        "Retry-After: 0 is seen": (header("Retry-After", "0"), "sleeps 30 s"),
        "a missing Retry-After is seen": (header("Retry-After", None), "sleeps 30 s"),
        "a missing Location is seen": (header("Location", None), "Location"),
        "an operation elsewhere is seen": (header("Azure-AsyncOperation", "https://127.0.0.2/operations/1"),
                                           "does not lead back"),
        "a wrong status is seen": (status(404, 400), "answers 400, not 404"),
        "an error without a sentence is seen": (drop("message"), "a failure must be"),
    }
    number = failed = 0
    checks = [("requests are recorded by their commands", list(check_recording()) or None)]
    checks += [(f"a server that answers as {item.stem} was answered passes", problems(item) or None)
               for item in sorted((HERE / "transcripts").glob("*.json"))]
    for name, found in checks:
        number, failed = number + 1, failed + bool(found)
        print(f"{'not ok' if found else 'ok'} {number} - {name}", *(f"# {line}" for line in found or ()), sep="\n")
    for name, (stray, expected) in strays.items():
        number, found = number + 1, problems(path, stray)
        good = any(expected in line for line in found)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}", *(() if good else (f"# {found[:3]}",)), sep="\n")
    print(f"1..{number}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
