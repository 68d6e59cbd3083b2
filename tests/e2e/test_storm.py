"""A storm of changes with one endpoint that hangs and one that is dead beside a healthy one.

The ordinary run counts; `make storm-test` sends 20,000 changes so, and in turns with these 20,000 with
the healthy endpoint alone, and compares how long they took to arrive.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from chalicelib.config import Settings
from chalicelib.domain.account import Account, MailSettings, Server, SyncState
from chalicelib.domain.delta import Change, Event
from chalicelib.ids import random_id
from chalicelib.services import Services
from infra.local import resources, run
from infra.local.runtime import LocalRuntime
from infra.local.state import ROOT
from infra.local.template import Template
from tests.e2e.conftest import eventually

pytestmark = pytest.mark.e2e
FULL = "POSTERN_STORM_CHANGES" in os.environ
CHANGES = int(os.environ.get("POSTERN_STORM_CHANGES", "1000"))
BLOCKS = 4 if FULL else 1
ACCOUNTS = 20
AT_ONCE = 10
PAUSE = 0.1
"""Seconds between two batches of changes."""


@dataclass
class Endpoint:
    """Answers challenges; posts it takes, holds back, or (once closed) cannot even receive."""

    hangs: bool = False
    received: dict[str, float] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(parse_qs(urlsplit(self.path).query).get("challenge", [""])[0].encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if endpoint.take(body):
                    self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, body: bytes) -> bool:
        """Keep a notification; tell whether to answer."""
        if self.hangs:
            self.released.wait(60)
            return False
        now = time.monotonic()
        for delta in json.loads(body)["deltas"]:
            self.received.setdefault(delta["object_data"]["id"], now)
        return True

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Storm:
    """A running system, its store, and accounts that nobody syncs."""

    info: dict[str, Any]
    services: Services
    accounts: list[str] = field(default_factory=list)

    def connect(self) -> None:
        server = Server(host="mail.example", port=993, username="u", password="p")
        for number in range(ACCOUNTS):
            account = Account(
                id=random_id(), application_id=self.info["client_id"], email_address=f"u{number}@x.example",
                name="", provider="imap", state=SyncState.RUNNING, linked_at=number, scopes="email",
                history_days=0,
            )  # fmt: skip
            self.services.accounts.create(account, MailSettings(imap=server, smtp=server))
            self.accounts.append(account.id)

    def hook(self, endpoint: Endpoint) -> str:
        answer = requests.post(
            f"{self.info['api_url']}/a/{self.info['client_id']}/webhooks",
            auth=(self.info["client_secret"], ""),
            json={"callback_url": endpoint.url, "state": "active", "triggers": ["message.created"]},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def unhook(self, webhook_id: str) -> None:
        answer = requests.delete(
            f"{self.info['api_url']}/a/{self.info['client_id']}/webhooks/{webhook_id}",
            auth=(self.info["client_secret"], ""),
            timeout=60,
        )
        assert answer.status_code == 200, answer.text

    def queued(self) -> int:
        answer = self.services.queues._sqs.get_queue_attributes(  # type: ignore[attr-defined]
            QueueUrl=self.services.settings.queue_urls["deliveries"],
            AttributeNames=["ApproximateNumberOfMessages"],
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def get(self, webhook_id: str, path: str) -> Any:
        answer = requests.get(
            f"{self.info['api_url']}/a/{self.info['client_id']}/webhooks/{webhook_id}/{path}",
            auth=(self.info["client_secret"], ""),
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def blow(self, count: int) -> dict[str, float]:
        """Log changes at a steady pace; return when each was logged."""
        logged: dict[str, float] = {}
        begin = time.monotonic()
        for number in range(0, count, AT_ONCE):
            account = self.accounts[(number // AT_ONCE) % ACCOUNTS]
            ids = [f"{number + n}x{secrets.token_hex(4)}" for n in range(min(AT_ONCE, count - number))]
            made = [
                Change(account_id=account, kind="message", id=id, event=Event.CREATE, rev=1) for id in ids
            ]
            self.services.log.append(account, made, int(time.time()))
            logged |= dict.fromkeys(ids, time.monotonic())
            time.sleep(max(0.0, begin + PAUSE * (number // AT_ONCE + 1) - time.monotonic()))
        return logged


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    with LocalRuntime(tmp_path, POSTERN_WATCH="0") as info, pytest.MonkeyPatch.context() as patch:
        for name, value in run.aws_environment(info["aws_endpoint_url"]).items():
            patch.setenv(name, value)
        template = Template.read(ROOT / "template.yaml", run.STACK, run.REGION)
        resources.create(template)
        environment = {**os.environ, **resources.environment(template), "POSTERN_PEPPER": "unused"}
        made = Storm(info, Services(settings=Settings.from_env(environment)))
        made.connect()
        yield made


def delays(endpoint: Endpoint, logged: dict[str, float]) -> list[float]:
    eventually(lambda: len(endpoint.received.keys() & logged.keys()) == len(logged), seconds=120)
    return sorted(endpoint.received[id] - at for id, at in logged.items())


def percentiles(values: list[float]) -> str:
    return " · ".join(f"p{p} {1000 * values[len(values) * p // 100 - 1]:.0f} ms" for p in (50, 90, 95, 99))


def beside_bad_ones(storm: Storm, healthy: Endpoint, count: int) -> list[float]:
    """Blow beside an endpoint that hangs and one that is dead; check what they left, return the delays."""
    hanging, dead = Endpoint(hangs=True), Endpoint()
    bad = [storm.hook(hanging), storm.hook(dead)]
    dead.close()
    began = time.monotonic()
    found = delays(healthy, storm.blow(count))
    minutes = (time.monotonic() - began) / 60
    for id in bad:
        made = storm.get(id, "deliveries?limit=1000")
        attempts = sum(one["attempts_made"] for one in made)
        # At most one delivery for each call there could be before the circuit opened, then probes.
        assert len(made) <= 10 and attempts <= 10 + 2 * minutes
        assert sum(lane["log_entries"] for lane in storm.get(id, "missed")["behind"]) == count
        storm.unhook(id)
    hanging.close()
    return found


def test_a_hanging_and_a_dead_endpoint_delay_nobody_and_pile_up_nothing(storm: Storm) -> None:
    healthy = Endpoint()
    healthy_id = storm.hook(healthy)
    quiet: list[float] = []
    stormy: list[float] = []
    for _ in range(BLOCKS):  # in turns, so that whatever else this machine does weighs on both
        quiet += delays(healthy, storm.blow(CHANGES // BLOCKS)) if FULL else []
        stormy += beside_bad_ones(storm, healthy, CHANGES // BLOCKS)
    assert len(healthy.received) == len(quiet) + len(stormy)
    assert len(stormy) == CHANGES
    assert storm.get(healthy_id, "missed") == {"outages": [], "failed": [], "behind": []}
    assert {one["state"] for one in storm.get(healthy_id, "deliveries?limit=1000")} == {"delivered"}
    assert storm.queued() == 0
    healthy.close()
    if FULL:
        quiet, stormy = sorted(quiet), sorted(stormy)
        print(f"\n{CHANGES} changes; quiet: {percentiles(quiet)}; storm: {percentiles(stormy)}")
        p95 = len(quiet) * 95 // 100 - 1
        assert stormy[p95] < 2 * quiet[p95]
