"""Changes that no mailbox makes: rates of the log, what a delta costs, webhooks in quiet and in storm."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests

from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.jobs import DELIVERIES
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.ids import random_id
from chalicelib.services import Services
from infra.bench.counter import Counter
from infra.bench.figures import percentiles, wait_for
from infra.demo.endpoint import endpoint
from infra.local import aws, resources, run
from infra.local.runtime import LocalRuntime
from infra.local.template import Template
from infra.machine.state import ROOT

ACCOUNTS = 20
AT_ONCE = 10
PAUSE = 0.1
"""Seconds between two batches of changes."""

ENVIRONMENT = {"POSTERN_COUNT_UNITS": "1", "POSTERN_TICK_SECONDS": "15"}
LOGGED, BATCH = 2_700, 90
BLOCKS, BLOCK = 3, 300
STILL = 2.0  # seconds without a unit after which an operation has ended


@dataclass
class Endpoint:
    """Answers challenges; posts it takes, holds back, or (once closed) cannot even receive."""

    hangs: bool = False
    received: dict[str, float] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Listen."""
        self._serving = endpoint(self.take)
        self.url = self._serving.__enter__()

    def take(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Keep a notification; tell whether to answer."""
        if self.hangs:
            self.released.wait(60)
            return False
        now = time.monotonic()
        for delta in json.loads(body)["deltas"]:
            self.received.setdefault(delta["object_data"]["id"], now)
        return True

    def delays(self, logged: dict[str, float]) -> list[float]:
        """Wait for these changes; return how long each took from the log to here, sorted."""
        wait_for(lambda: len(self.received.keys() & logged.keys()) == len(logged), seconds=120)
        return sorted(self.received[id] - at for id, at in logged.items())

    def close(self) -> None:
        """Listen no more."""
        self.released.set()
        self._serving.__exit__(None, None, None)


@dataclass
class Storm:
    """A running system, its store, and accounts that nobody syncs."""

    info: dict[str, Any]
    services: Services
    accounts: list[str] = field(default_factory=list)

    def connect(self) -> None:
        """Make the accounts."""
        server = Server(host="mail.example", port=993, username="u", password="p")  # noqa: S106  # nobody logs in
        for number in range(ACCOUNTS):
            account = Account(
                id=random_id(), application_id=self.info["client_id"], email_address=f"u{number}@x.example",
                name="", provider="imap", state=SyncState.RUNNING, linked_at=number, scopes="email",
                history_days=0,
            )  # fmt: skip
            self.services.accounts.create(account, MailSettings(imap=server, smtp=server))
            self.accounts.append(account.id)

    def hook(self, hearer: Endpoint) -> str:
        """Create a webhook; return its id."""
        hook = {"callback_url": hearer.url, "state": "active", "triggers": ["message.created"]}
        return str(self._call("POST", "", hook)["id"])

    def unhook(self, webhook_id: str) -> None:
        """Delete a webhook."""
        self._call("DELETE", f"/{webhook_id}")

    def get(self, webhook_id: str, path: str) -> Any:
        """Return what the API says of a webhook."""
        return self._call("GET", f"/{webhook_id}/{path}")

    def queued(self) -> int:
        """Return how many messages wait for the function that delivers."""
        return self.services.queues.waiting(DELIVERIES)

    def log(self, account: str, count: int) -> list[str]:
        """Log so many new messages in one go; return their ids."""
        ids = [secrets.token_hex(8) for _ in range(count)]
        made = [
            Change(account_id=account, kind="message", id=id, event=Operation.CREATE, rev=1) for id in ids
        ]
        self.services.log.append(account, made, int(time.time()))
        return ids

    def blow(self, count: int) -> dict[str, float]:
        """Log changes at a steady pace; return when each was logged."""
        logged: dict[str, float] = {}
        begin = time.monotonic()
        for number in range(0, count, AT_ONCE):
            account = self.accounts[(number // AT_ONCE) % ACCOUNTS]
            ids = self.log(account, min(AT_ONCE, count - number))
            logged |= dict.fromkeys(ids, time.monotonic())
            time.sleep(max(0.0, begin + PAUSE * (number // AT_ONCE + 1) - time.monotonic()))
        return logged

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method,
            f"{self.info['api_url']}/a/{self.info['client_id']}/webhooks{path}",
            auth=(self.info["client_secret"], ""),
            json=body,
            timeout=60,
        )
        if answer.status_code != 200:
            raise RuntimeError(f"{method} webhooks{path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


@contextmanager
def storm(home: Path, **environment: str) -> Iterator[Storm]:
    """Run a system that watches no mailbox, and yield it with its accounts."""
    with LocalRuntime(home, POSTERN_WATCH="0", **environment) as info, _aws(info):
        template = Template.read(ROOT / "template.yaml", run.STACK, aws.REGION)
        resources.create(template)
        settings = {**os.environ, **resources.environment(template), "POSTERN_PEPPER": "unused"}
        made = Storm(info, Services(settings=Settings.from_env(settings)))
        made.connect()
        yield made


def _aws(info: dict[str, Any]) -> AbstractContextManager[Any]:
    return patch.dict(os.environ, run.aws_environment(aws.of(info)))


def measure() -> dict[str, Any]:
    """Return rates of the log, units of a delta and of a delivery, and delays in quiet and in storm."""
    with (
        tempfile.TemporaryDirectory(prefix="postern-storm") as home,
        storm(Path(home), **ENVIRONMENT) as made,
    ):
        return _rates(made) | _units(made) | _delays(made)


def _rates(made: Storm) -> dict[str, Any]:
    account, began = made.accounts[0], time.perf_counter()
    for _ in range(LOGGED // BATCH):
        made.log(account, BATCH)
    appended, seq = time.perf_counter() - began, 0
    began = time.perf_counter()
    while found := made.services.log.since(account, seq, 500):
        seq = found[-1].seq
    read = time.perf_counter() - began
    return {"deltas logged/s": round(LOGGED / appended), "deltas read/s": round(LOGGED / read)}


def _units(made: Storm) -> dict[str, Any]:
    counter, account = Counter(made.info), made.accounts[1]

    def one() -> None:
        made.log(account, 1)

    batch = counter.median(lambda: made.log(account, BATCH), STILL, 3)
    alone = counter.median(one, STILL, 3)
    hearer = Endpoint()
    webhook_id = made.hook(hearer)
    told = counter.median(one, STILL, 3)
    made.unhook(webhook_id)
    hearer.close()
    return {
        f"a delta, one of {BATCH}, units": {kind: round(n / BATCH, 1) for kind, n in batch.items()},
        "a delta alone, units": alone,
        "a delivery, units": {kind: told[kind] - alone[kind] for kind in told},
    }


def _delays(made: Storm) -> dict[str, Any]:
    """In turns, so that whatever else the machine does weighs on both."""
    healthy = Endpoint()
    made.hook(healthy)
    quiet: list[float] = []
    stormy: list[float] = []
    for _ in range(BLOCKS):
        quiet += healthy.delays(made.blow(BLOCK))
        hanging, dead = Endpoint(hangs=True), Endpoint()
        bad = [made.hook(hanging), made.hook(dead)]
        dead.close()
        stormy += healthy.delays(made.blow(BLOCK))
        for id in bad:
            made.unhook(id)
        hanging.close()
    healthy.close()
    return {
        "log to webhook, ms": percentiles(quiet),
        "log to webhook beside a hanging and a dead one, ms": percentiles(stormy),
    }
