"""Clients that keep a copy of an account by following its changes, each in its own way.

A follower takes a cursor, lists everything, and then applies deltas. Whoever adds another way derives
from Follower and fills in `follow`, which returns soon after `stop` is set.
"""

from __future__ import annotations

import hmac
import json
import threading
from hashlib import sha256
from typing import Any

import requests
from nylas import APIClient

from tests.e2e.conftest import Endpoint

KINDS = ("messages", "threads", "folders", "files")
Name = tuple[str, str]
Objects = dict[Name, dict[str, Any]]


class Api:
    """The API of one account, read directly."""

    def __init__(self, info: dict[str, Any], account: dict[str, Any]) -> None:
        self.info = info
        self.account_id: str = account["id"]
        self.token: str = account["access_token"]
        self._session = requests.Session()

    def call(self, method: str, path: str, user: str = "", **query: Any) -> Any:
        """Return what the API answers; `user` is the client secret where that is asked for."""
        answer = self._session.request(
            method, self.info["api_url"] + path, params=query, auth=(user or self.token, ""), timeout=60
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def maybe(self, path: str) -> dict[str, Any] | None:
        """Return an object, None if there is none (any more)."""
        answer = requests.get(self.info["api_url"] + path, auth=(self.token, ""), timeout=60)
        assert answer.status_code in (200, 404), answer.text
        return dict(answer.json()) if answer.status_code == 200 else None

    def listed(self) -> Objects:
        """Return every object by kind and id; one page each, so that none shifts between pages."""
        found: Objects = {}
        for kind in KINDS:
            page = self.call("GET", f"/{kind}", limit=1000)
            assert len(page) < 1000
            found |= {(one["object"], one["id"]): one for one in page}
        return found

    def sdk(self) -> APIClient:
        """Return a client of the official SDK, which insists on https."""
        return APIClient(
            self.info["client_id"], self.info["client_secret"], self.token, api_server=self.info["https_url"]
        )


class Follower(threading.Thread):
    """Keeps `objects` equal to the account; `failure` is what went wrong, `told` counts deltas."""

    def __init__(self, api: Api) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.api = api
        self.objects: Objects = {}
        self.told = 0
        self.stop = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Take a cursor, list, follow."""
        try:
            cursor = self.begin()
            self.objects = self.expected()
            self.follow(cursor)
        except BaseException as failure:  # told by the test, in its own thread
            self.failure = failure

    def begin(self) -> str:
        """Return the cursor to follow from, taken before listing."""
        return str(self.api.call("POST", "/delta/latest_cursor")["cursor"])

    def follow(self, cursor: str) -> None:
        """Apply what happens from a cursor on until `stop` is set."""
        raise NotImplementedError

    def expected(self) -> Objects:
        """Return what `objects` are to be in the end."""
        return self.api.listed()

    def apply(self, kind: str, event: str, id: str, attributes: dict[str, Any] | None) -> None:
        """Take one delta in; one that is already known changes nothing."""
        self.told += 1
        if event == "delete":
            self.objects.pop((kind, id), None)
        elif attributes:
            self.objects[kind, id] = attributes

    def apply_json(self, delta: dict[str, Any]) -> None:
        """Take a delta in as the API writes it."""
        self.apply(delta["object"], delta["event"], delta["id"], delta.get("attributes"))


class LongPoller(Follower):
    """The SDK's `deltas.longpoll`, again and again."""

    def follow(self, cursor: str) -> None:
        sdk = self.api.sdk()
        while not self.stop.is_set():
            batch = sdk.deltas.longpoll(cursor, timeout=3)
            for delta in batch.deltas or []:
                self.apply(delta.object, delta.event, delta.id, delta._attributes)
            cursor = batch.cursor_end


class Streamer(Follower):
    """The SDK's `deltas.stream`, taken up again after the last delta whenever it ends."""

    streams = 0

    def follow(self, cursor: str) -> None:
        sdk = self.api.sdk()
        while not self.stop.is_set():
            self.streams += 1
            deltas = sdk.deltas.stream(
                cursor, callback=lambda d: self.apply(d.object, d.event, d.id, d._attributes)
            )
            cursor = deltas[-1].cursor if deltas else cursor


class NumberedStreamer(Follower):
    """Streams by hand and checks that no number is left out."""

    def follow(self, cursor: str) -> None:
        last = None
        while not self.stop.is_set():
            answer = requests.get(
                f"{self.api.info['api_url']}/delta/streaming",
                params={"cursor": cursor, "seq": "true"},
                auth=(self.api.token, ""),
                stream=True,
                timeout=30,
            )
            assert answer.status_code == 200, answer.text
            for line in answer.iter_lines():
                if line:
                    delta = json.loads(line)
                    assert last is None or delta["seq_after"] == last, "a number is missing"
                    last, cursor = delta["seq"], delta["cursor"]
                    self.apply_json(delta)


class ApplicationPoller(Follower):
    """The feed of all accounts of the application, of which this account is one."""

    def begin(self) -> str:
        return str(self._call("POST", "/latest_cursor")["cursor"])

    def follow(self, cursor: str) -> None:
        while not self.stop.wait(0.5):
            batch = self._call("GET", "", cursor=cursor)
            for delta in batch["deltas"]:
                if delta["account_id"] == self.api.account_id:
                    self.apply_json(delta)
            cursor = batch["cursor_end"]

    def _call(self, method: str, path: str, **query: Any) -> Any:
        info = self.api.info
        return self.api.call(
            method, f"/a/{info['client_id']}/deltas{path}", user=info["client_secret"], **query
        )


class InboxPoller(Follower):
    """Only the messages of one folder, by a filter: what leaves the folder is told as deleted."""

    def expected(self) -> Objects:
        page = self.api.call("GET", "/messages", limit=1000, **{"in": "inbox"})
        return {("message", one["id"]): one for one in page}

    def follow(self, cursor: str) -> None:
        while not self.stop.wait(0.5):
            query = {"cursor": cursor, "in": "inbox", "include_types": "message"}
            batch = self.api.call("GET", "/delta", **query)
            for delta in batch["deltas"]:
                self.apply_json(delta)
            cursor = batch["cursor_end"]


class Told(Follower):
    """Webhooks: whatever a notification names is looked at.

    v2 has no trigger for a deleted message; such a client finds out when it lists.
    """

    def begin(self) -> str:
        info = self.api.info
        self.endpoint = Endpoint()
        hook = {
            "callback_url": self.endpoint.url,
            "state": "active",
            "triggers": ["message.created", "message.updated"],
        }
        answer = requests.post(
            f"{info['api_url']}/a/{info['client_id']}/webhooks",
            json=hook,
            auth=(info["client_secret"], ""),
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return ""

    def expected(self) -> Objects:
        page = self.api.call("GET", "/messages", limit=1000)
        there = {("message", one["id"]): one for one in page}
        self.objects = {name: one for name, one in self.objects.items() if name in there}
        return there

    def follow(self, cursor: str) -> None:
        read = 0
        while not self.stop.wait(0.2):
            for headers, body in self.endpoint.received[read:]:
                read += 1
                self._take(headers["X-Nylas-Signature"], body)
        self.endpoint.close()

    def _take(self, signature: str, body: bytes) -> None:
        secret = self.api.info["client_secret"].encode()
        assert hmac.compare_digest(hmac.new(secret, body, sha256).hexdigest(), signature)
        for delta in json.loads(body)["deltas"]:
            data = delta["object_data"]
            if data["account_id"] == self.api.account_id:
                message = self.api.maybe(f"/messages/{data['id']}")
                self.apply("message", "modify" if message else "delete", data["id"], message)
