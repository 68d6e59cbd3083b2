"""Hundreds of accounts of one mail server in a running system, and how long each delivery takes."""

from __future__ import annotations

import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests

from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.jobs import SyncAccount
from chalicelib.ids import random_id
from chalicelib.services import Services
from chalicelib.store.values import Poll
from infra.demo.crowd import CrowdedDovecot
from infra.demo.dovecot import PASSWORD
from infra.demo.endpoint import endpoint
from infra.demo.mailbox import make_mailbox
from infra.local import aws, resources, run
from infra.local.runtime import LocalRuntime
from infra.local.template import Template
from infra.machine.state import ROOT, read_json

HOST = "127.0.0.1"
SMALL = 3
SETTLE_SECONDS = 2.0


@dataclass
class Ear:
    """A webhook endpoint that remembers when it heard of which message of which account."""

    at: dict[str, dict[str, float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def told(self, body: bytes, headers: Mapping[str, str]) -> None:
        now = time.monotonic()
        with self.lock:
            for delta in json.loads(body)["deltas"]:
                facts = delta["object_data"]
                self.at.setdefault(facts["account_id"], {}).setdefault(facts["id"], now)

    def heard(self, account_id: str) -> dict[str, float]:
        with self.lock:
            return dict(self.at.get(account_id, {}))


@dataclass
class Crowd:
    """A running system with its mail server; accounts by user name."""

    runtime: LocalRuntime
    server: CrowdedDovecot
    services: Services
    info: dict[str, Any]
    ear: Ear = field(default_factory=Ear)
    accounts: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    def connect(self, users: Sequence[str]) -> None:
        """Connect mailboxes, as the API does once it has tried the credentials."""
        for user in users:
            id = self.accounts.setdefault(user, random_id())
            server = Server(host=HOST, port=self.server.imap, username=user, password=PASSWORD)
            account = Account(
                id=id, application_id=self.info["client_id"], email_address=f"{user}@kestrel.example",
                name=user, provider="imap", state=SyncState.INITIALIZING, linked_at=int(time.time()),
                scopes="email", history_days=0, host=HOST,
            )  # fmt: skip
            settings = MailSettings(imap=server, smtp=server, tls_required=False, tls_verified=False)
            self.services.accounts.create(account, settings)
            self.services.polls.put(Poll(account_id=id, active_at=int(time.time()), host=HOST))
            self.services.queues.send([SyncAccount(account_id=id)], id)

    def settle(self, users: Sequence[str], seconds: float = 900.0) -> float:
        """Wait until their first sync is over; return the seconds it took."""
        began, left = time.monotonic(), [self.accounts[user] for user in users]
        while left := [id for id in left if self.state(id) is not SyncState.RUNNING]:
            assert time.monotonic() - began < seconds, f"{len(left)} accounts are not there"
            time.sleep(0.5)
        return time.monotonic() - began

    def state(self, id: str) -> SyncState:
        account = self.services.accounts.get(id)
        assert account
        return account.state

    def waiting(self) -> int:
        """Return how many accounts have history to come."""
        return len(self.services.backfills.all())

    @contextmanager
    def without_history(self) -> Iterator[None]:
        """Hold the worker of history for a few seconds, less than its lease lasts."""
        pid = self.runtime.pid("worker-backfill")
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(SETTLE_SECONDS)
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            time.sleep(SETTLE_SECONDS)

    def watched(self) -> int:
        """Return how many connections the watcher holds."""
        pid = self.runtime.pid("worker-sync")
        targets = (str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
        return sum(target.startswith("socket:") for target in _existing(targets))

    def deliver(self, user: str) -> float:
        """Deliver a mail; return when."""
        self.sent += 1
        head = f"From: a@b.example\r\nSubject: new {self.sent}\r\nMessage-ID: <{self.sent}@new.example>\r\n"
        at = time.monotonic()
        self.server.deliver(user, f"{head}\r\nhello {self.sent}\r\n".encode())
        return at

    def delays(self, users: Sequence[str], pause: float, seconds: float = 120.0) -> list[float]:
        """Deliver one mail to each, one after the other; return how long until its webhook came, sorted."""
        sent: dict[str, float] = {}
        before = {user: set(self.ear.heard(self.accounts[user])) for user in users}
        for user in users:
            sent[user] = self.deliver(user)
            time.sleep(pause)
        return sorted(self._wait(user, before[user], seconds) - sent[user] for user in users)

    def _wait(self, user: str, before: set[str], seconds: float) -> float:
        end = time.monotonic() + seconds
        while True:
            heard = self.ear.heard(self.accounts[user])
            if new := heard.keys() - before:
                return max(heard[id] for id in new)
            assert time.monotonic() < end, f"{user} never heard of its mail"
            time.sleep(0.05)


def _existing(targets: Iterator[str]) -> Iterator[str]:
    while True:
        try:
            yield next(targets)
        except FileNotFoundError:
            continue
        except StopIteration:
            return


@contextmanager
def crowd(home: Path, mailboxes: int, **environment: str) -> Iterator[Crowd]:
    """Run a system with a mail server and an endpoint that hears of every new message."""
    server = CrowdedDovecot(mailboxes=mailboxes)
    server.start()
    hurry = {"POSTERN_WATCH_LOGINS": "40", "POSTERN_WATCH_HOST_LOGINS": "40", **environment}
    runtime = LocalRuntime(home, **hurry)
    try:
        info = runtime.start()
        with patch.dict(os.environ, run.aws_environment(aws.of(info))):
            made = Crowd(runtime, server, _services(runtime), dict(info))
            with endpoint(made.ear.told) as url:
                _hook(info, url)
                yield made
    finally:
        runtime.stop()
        server.stop()


def _services(runtime: LocalRuntime) -> Services:
    template = Template.read(ROOT / "template.yaml", run.STACK, aws.REGION)
    resources.create(template)
    pepper = str((read_json(runtime.home.path / "pepper") or {}).get("pepper", "unused"))
    settings = {**os.environ, **resources.environment(template), "POSTERN_PEPPER": pepper}
    return Services(settings=Settings.from_env(settings))


def _hook(info: Mapping[str, Any], url: str) -> None:
    answer = requests.post(
        f"{info['api_url']}/a/{info['client_id']}/webhooks",
        auth=(info["client_secret"], ""),
        json={"callback_url": url, "state": "active", "triggers": ["message.created"]},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text


def stock(server: CrowdedDovecot, users: Sequence[str], count: int, seed: int) -> None:
    """Give users a made-up mailbox of so many messages, all in the inbox."""
    server.stock(users, ((message.at, message.raw) for message in make_mailbox(count, seed)))


def percentiles(values: Sequence[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return " · ".join(f"p{p} {1000 * cuts[p - 1]:.0f} ms" for p in (50, 90, 95, 99))


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[94]
