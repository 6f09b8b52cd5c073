#!/usr/bin/env python3
"""Replays transcripts of real clients against a running controller; prints TAP, a point for each command.

    test/api/replay.py TRANSCRIPT... STATE-FOLDER

STATE-FOLDER holds ca.pem and principal.json, as `sluice up --state` writes them.

Requests are sent as they were recorded, except for what differs from server to server and what is only known from
answers: the address, credentials, the subscription, addresses, image versions, etags. Of an answer it asks what the
client needs: the kind of status, the rules of asynchronous operations, and each member of the recorded answer with
the same type; equal values where a value is the client's own (SAME). Operations are followed as clients do it.
"""
import argparse
import dataclasses
import email.message
import http.client
import json
import pathlib
import re
import ssl
import sys
import time
import urllib.parse

import transcript

# Values of these members must be the recorded ones; those of other members need only have the same type.
SAME = {"access", "adminUsername", "capacity", "code", "computerName", "direction", "enableAcceleratedNetworking", "id",
        "location", "name", "numberOfCores", "priority", "protocol", "provisioningState", "resourceType", "status", "type",
        "vmSize"}
# What a server makes up itself: learned from its answers and put into later requests.
MADE_UP = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+(\.\d+){3}|([0-9A-F]{2}-){5}[0-9A-F]{2}'
                     r'|W/".*"|\d+\.\d+\.\d{6,}|.*_OsDisk_1_[0-9a-f-]+|opaque-.*|[\w-]+[_-][0-9a-f]{8}', re.IGNORECASE)
OPERATION_LIMIT_S = 30
UNDER_WAY = {"Creating", "Updating", "Accepted"}
RUNNING, ENDED = {"InProgress", "Running", "Accepted"}, {"Succeeded", "Failed", "Canceled"}


class Problem(Exception):
    """An answer that no client could use; the rest of the command makes no sense after it."""


def leaves(recorded, actual):
    """Pairs of strings that stand in the same place of two values."""
    if isinstance(recorded, dict) and isinstance(actual, dict):
        for key in recorded.keys() & actual.keys():
            yield from leaves(recorded[key], actual[key])
    elif isinstance(recorded, list) and isinstance(actual, list):
        for one, other in zip(recorded, actual):
            yield from leaves(one, other)
    elif isinstance(recorded, str) and isinstance(actual, str):
        yield recorded, actual


def pieces(pairs):
    """The same, and of ids the names that they consist of."""
    for old, new in pairs:
        yield old, new
        if old.startswith("/") and old.count("/") == new.count("/"):
            yield from zip(old.split("/"), new.split("/"))


def by_now(answer):
    """What an answer says once the operation is over."""
    if isinstance(answer, list):
        return [by_now(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    states = {"provisioningState": "Succeeded"} if answer.get("provisioningState") in UNDER_WAY else {}
    return {**{key: by_now(member) for key, member in answer.items()}, **states}


def is_under_way(resource):
    return resource.get("properties", {}).get("provisioningState", "Succeeded") != "Succeeded"


class Names:
    """What the recorded server called things → what this one calls them."""

    def __init__(self, known):
        self.known = dict(known)

    def learn(self, recorded, actual):
        for old, new in pieces(leaves(recorded, actual)):
            if old != new and MADE_UP.fullmatch(old):
                self.known[old] = new

    def rewrite(self, value):
        if isinstance(value, dict):
            return {key: self.rewrite(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self.rewrite(item) for item in value]
        if not isinstance(value, str) or not self.known:
            return value
        pattern = "|".join(re.escape(old) for old in sorted(self.known, key=len, reverse=True))
        return re.sub(f"({pattern})(?![0-9a-zA-Z])", lambda match: self.known[match[0]], value)


def kind(value):
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def partner(item, number, candidates):
    """The candidate that stands for a recorded element of a list: of the same name or code, else of the same place."""
    for key in ("name", "code"):
        if isinstance(item, dict) and key in item:
            return next((other for other in candidates if isinstance(other, dict) and other.get(key) == item[key]), None)
    return candidates[number] if number < len(candidates) else None


def differences(expected, actual, at=""):
    """Sentences on what a client would miss in `actual`."""
    if kind(expected) != kind(actual):
        yield f"{at or 'the answer'} is {'missing' if actual is None else kind(actual)}, not {kind(expected)}"
    elif isinstance(expected, dict):
        for key, member in expected.items():
            yield from differences(member, actual.get(key), f"{at}.{key}" if at else key)
    elif isinstance(expected, list):
        for number, item in enumerate(expected):
            other = partner(item, number, actual)
            label = item.get("name") or item.get("code") or number if isinstance(item, dict) else number
            yield from differences(item, other, f"{at}[{label}]")
    elif at.rsplit(".", 1)[-1] in SAME and str(expected).lower() != str(actual).lower():
        yield f"{at} is {actual!r}, not {expected!r}"


@dataclasses.dataclass
class Answer:
    status: int
    headers: email.message.Message
    body: object

    @classmethod
    def read(cls, response):
        text = response.read()
        try:
            return cls(response.status, response.headers, json.loads(text) if text else None)
        except ValueError:
            raise Problem(f"the answer is no JSON: {text[:200]!r}") from None


class Server:
    def __init__(self, url, ca):
        self.url = url.rstrip("/")
        address = urllib.parse.urlsplit(self.url)
        context = ssl.create_default_context(cafile=ca)
        self.connection = http.client.HTTPSConnection(address.hostname, address.port, context=context,
                                                      timeout=OPERATION_LIMIT_S)
        self.token = None

    def send(self, method, target, body=None, form=False):
        """body: JSON, or a text that is sent as it is."""
        headers = {"Accept": "application/json", "User-Agent": "transcript"}
        data = None
        if body is not None:
            data = urllib.parse.urlencode(body) if form else body if isinstance(body, str) else json.dumps(body)
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        elif method in ("POST", "PUT"):
            headers["Content-Length"] = "0"
        if self.token and not form:
            headers["Authorization"] = f"Bearer {self.token}"
        self.connection.request(method, target, data, headers)
        return Answer.read(self.connection.getresponse())

    def target(self, url):
        """Path and query of an absolute URL that must lead back here."""
        if not url.startswith(self.url + "/"):
            raise Problem(f"{url!r} does not lead back to {self.url}")
        return url[len(self.url):]


def check_retry_after(answer):
    value = answer.headers.get("Retry-After", "")
    if not value.isdigit() or int(value) < 1:
        raise Problem(f"Retry-After is {value!r}: with less than 1, or none, az sleeps 30 s")


def follow(server, first):
    """Polls the operation that an answer names to its end, as azure-core does. Returns its last status."""
    check_retry_after(first)
    target = server.target(first.headers["Azure-AsyncOperation"])
    deadline = time.monotonic() + OPERATION_LIMIT_S
    while time.monotonic() < deadline:
        poll = server.send("GET", target)
        if poll.status != 200 or not isinstance(poll.body, dict):
            raise Problem(f"the operation's status answers {poll.status} {poll.body}")
        if poll.body.get("status") in ENDED:
            return poll.body
        if poll.body.get("status") not in RUNNING:
            raise Problem(f"the operation's status is {poll.body.get('status')!r}")
        check_retry_after(poll)
        time.sleep(0.1)
    raise Problem(f"the operation has not ended after {OPERATION_LIMIT_S} s")


def check_error(recorded, body):
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not error.get("code") or not error.get("message"):
        raise Problem(f"a failure must be {{\"error\": {{\"code\", \"message\"}}}}, this is {body}")
    if recorded and recorded != error["code"]:
        raise Problem(f"the error's code is {error['code']}, not {recorded}")


class Replay:
    def __init__(self, server, recording, principal):
        self.server = server
        self.names = Names({recording["base"]: server.url})
        self.credentials = {"client_id": principal["appId"], "client_secret": principal["password"]}
        self.audience = None

    def form(self, body):
        """The token request, with our own credentials and the audience that the metadata named."""
        return {**body, **self.credentials, "scope": f"{self.audience}/.default"}

    def exchange(self, recorded):
        path = urllib.parse.quote(self.names.rewrite(recorded["path"]), safe="/")
        query = urllib.parse.urlencode(recorded.get("query", {}), quote_via=urllib.parse.quote, safe="$,")
        target = f"{path}?{query}" if query else path
        is_token = path.endswith("/oauth2/token")
        body = self.form(recorded["body"]) if is_token else self.names.rewrite(recorded.get("text", recorded.get("body")))
        answer = self.server.send(recorded["method"], target, body, form=is_token)
        if recorded["status"] >= 400:
            self.check_refusal(recorded, answer)
        elif "fails" in recorded:
            self.check_failure(answer)
        else:
            self.check_success(recorded, target, answer)

    def check_refusal(self, recorded, answer):
        if answer.status != recorded["status"]:
            raise Problem(f"answers {answer.status}, not {recorded['status']}: {answer.body}")
        if "answer" in recorded:  # to HEAD there is none
            check_error(recorded["answer"]["error"]["code"] if answer.status == 404 else None, answer.body)

    def check_failure(self, answer):
        """What can never succeed may be refused at once, or fail later as an operation."""
        if 400 <= answer.status < 500:
            return check_error(None, answer.body)
        if "Azure-AsyncOperation" not in answer.headers:
            raise Problem(f"answers {answer.status} to what cannot succeed: {answer.body}")
        last = follow(self.server, answer)
        if last["status"] != "Failed":
            raise Problem(f"the operation {last['status']}, and should have failed")
        return check_error(None, last)

    def check_success(self, recorded, target, answer):
        method, body = recorded["method"], answer.body
        allowed = {"GET": {200}, "PUT": {200, 201}}.get(method, {200, 202, 204})
        if answer.status not in allowed:
            raise Problem(f"answers {answer.status}: {body}")
        if "Azure-AsyncOperation" in answer.headers:
            body = self.finish(method, target, answer)
        elif answer.status == 202 or (method == "PUT" and is_under_way(body)):
            raise Problem(f"answers {answer.status} {body} and names no operation to wait for")
        if "answer" in recorded:
            self.check_answer(recorded["answer"], body)

    def finish(self, method, target, answer):
        """Waits for an operation that must succeed; returns what the client has in hand then."""
        if method != "PUT" and (answer.status != 202 or answer.body is not None or "Location" not in answer.headers):
            raise Problem(f"an asynchronous {method} answers 202, no body and a Location, this is {answer.status} "
                          f"{dict(answer.headers)} {answer.body}")
        last = follow(self.server, answer)
        if last["status"] != "Succeeded":
            raise Problem(f"the operation ended as {last}")
        if method == "PUT":
            return self.server.send("GET", target).body
        result = self.server.send("GET", self.server.target(answer.headers["Location"]))
        if result.status not in (200, 204):
            raise Problem(f"Location answers {result.status} after the operation: {result.body}")
        return result.body

    def check_answer(self, recorded, body):
        self.names.learn(recorded, body)
        found = list(differences(by_now(self.names.rewrite(recorded)), body))
        if found:
            raise Problem("; ".join(found))
        self.keep(body)

    def keep(self, body):
        """What later requests carry in other places than it came in."""
        if not isinstance(body, dict):
            return
        self.server.token = body.get("access_token", self.server.token)
        if "authentication" in body:
            self.audience = body["authentication"]["audiences"][0]


def replay(path, state, number):
    recording, principal = transcript.load(path), json.loads((state / "principal.json").read_text())
    run = Replay(Server(principal["endpoint"], state / "ca.pem"), recording, principal)
    failed = 0
    for command in recording["commands"]:
        number += 1
        problem = None
        for recorded in command["exchanges"]:
            try:
                run.exchange(recorded)
            except (Problem, OSError, http.client.HTTPException, KeyError, TypeError, AttributeError) as error:
                problem = f"{recorded['method']} {recorded['path']}: {type(error).__name__}: {error}"
                run.server.connection.close()
                break
        if problem:
            failed += 1
            print(f"# {problem}")
        print(f"{'not ok' if problem else 'ok'} {number} - {recording['client']}: {command['command']}", flush=True)
    return number, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", nargs="+", metavar="TRANSCRIPT")
    parser.add_argument("state", type=pathlib.Path, metavar="STATE-FOLDER")
    options = parser.parse_args()
    number = failed = 0
    for path in options.transcripts:
        number, failures = replay(path, options.state, number)
        failed += failures
    print(f"1..{number}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
