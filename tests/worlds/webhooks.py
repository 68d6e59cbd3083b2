"""Endpoints, a queue and a clock around the real delivery code: a simulation in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.jobs import Wake
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.errors import ProviderError
from chalicelib.webhooks.delivery import deliver, fanout, recovery
from chalicelib.webhooks.manage import endpoint
from tests.fakes.deliveries import AccountLogs, MemoryCircuits, MemoryDeliveries
from tests.fakes.services import MemoryApplications, MemoryQueues, MemoryWebhooks

START = 1_700_000_000
Behaviour = Callable[[int], HttpResponse]
"""What an endpoint answers at a time; raises ProviderError if it does not."""


def accepts(now: int) -> HttpResponse:
    return HttpResponse(200, b"ok")


def dead(now: int) -> HttpResponse:
    raise ProviderError("connection refused")


def answers(status: int, retry_after: int | None = None) -> Behaviour:
    return lambda now: HttpResponse(status, b"no", retry_after)


def down_until(moment: int, then: Behaviour = accepts, before: Behaviour = dead) -> Behaviour:
    return lambda now: then(now) if now >= moment else before(now)


def message(id: str, event: Operation = Operation.CREATE, account: str = "a") -> Change:
    facts = (("thread_id", f"t{id}"), ("received_date", START))
    return Change(account_id=account, kind="message", id=id, event=event, rev=1, attributes=facts)


def hook(id: str, **facts: Any) -> Webhook:
    """Return an active webhook for new messages at https://<id>.example/."""
    known: dict[str, Any] = {
        "application_id": "app", "callback_url": f"https://{id}.example/", "state": "active",
        "triggers": frozenset({"message.created"}), "activated_at": START,
    }  # fmt: skip
    return Webhook(id=id, **(known | facts))


@dataclass(frozen=True)
class Posted:
    """One request to an endpoint."""

    at: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def ids(self) -> list[str]:
        return [delta["object_data"]["id"] for delta in json.loads(self.body)["deltas"]]


@dataclass
class World:
    """Time passes only when `run` says so; a tick comes every `tick` seconds."""

    now: int = START
    tick: int = 5
    jitter: float = 1.0
    log: Any = field(default_factory=AccountLogs)
    deliveries: Any = field(default_factory=MemoryDeliveries)
    circuits: Any = field(default_factory=MemoryCircuits)
    queues: MemoryQueues = field(default_factory=MemoryQueues)
    webhooks: Any = field(default_factory=MemoryWebhooks)
    applications: Any = field(
        default_factory=lambda: MemoryApplications({"app": (Application(id="app", name="Desk"), "s3cret")})
    )
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    posted: dict[str, list[Posted]] = field(default_factory=dict)
    messages: int = 0

    def add(self, webhook: Webhook, behaviour: Behaviour = accepts) -> Webhook:
        self.webhooks.put(webhook)
        self.behaviours[webhook.callback_url] = behaviour
        return webhook

    def append(self, account: str, changes: Sequence[Change]) -> None:
        """Log changes and wake every endpoint, as the stream of the log does."""
        first = self.log.head(account)[0] + 1
        self.log.append(account, changes, self.now)
        self.tell(account, first)

    def tell(self, account: str, first: int) -> None:
        desk = fanout.FanOut(
            log=self.log, deliveries=self.deliveries, circuits=self.circuits, queues=self.queues
        )
        for webhook in self.webhooks.of_application("app"):
            desk.tell(webhook, account, first_seq=first, now=self.now)

    def run(self, seconds: int = 0) -> None:
        """Let time pass: work the queue, and every `tick` seconds what is due."""
        end = self.now + seconds
        self.work()
        while self.now < end:
            self.now = min(self.now + self.tick, end)
            self._tick()
            self.work()

    def work(self) -> None:
        while self.queues.sent:
            self.messages += 1
            self.handle(self.queues.take(Wake))

    def handle(self, wake: Wake, seconds: float = 20) -> None:
        """Do what the function on the queue does with one message."""
        webhook = self.webhooks.get(wake.application_id, wake.webhook_id)
        if webhook is None:
            return
        deadline = Deadline.after(seconds)
        if not wake.lane:
            recovery.Recovery(inner=self.desk, queues=self.queues, start="").go(webhook, deadline)
            return
        lane = self.deliveries.lane(webhook.id, wake.lane)
        if lane and (lane.replay or lane.epoch == webhook.activated_at):
            self.desk.work(webhook, lane, deadline)

    @property
    def desk(self) -> deliver.Delivering:
        return deliver.Delivering(
            webhooks=self.webhooks, applications=self.applications, deliveries=self.deliveries,
            circuits=self.circuits, log=self.log, send=self._send,
            jitter=lambda low, high: self.jitter, now=lambda: float(self.now),
        )  # fmt: skip

    def owner(self) -> endpoint.Endpoints:
        """Return what the API works with; every endpoint passes the challenge."""

        def get(url: str) -> HttpResponse:
            return HttpResponse(200, url.rpartition("=")[2].encode())

        return endpoint.Endpoints(
            webhooks=self.webhooks, deliveries=self.deliveries, circuits=self.circuits, get=get,
            token="t" * 16,
        )  # fmt: skip

    def ids(self, id: str) -> list[str]:
        """Return the ids an endpoint has accepted or refused, in order."""
        return [told for post in self.posted.get(f"https://{id}.example/", []) for told in post.ids]

    def times(self, id: str) -> list[int]:
        """Return when an endpoint was called, in seconds since the start."""
        return [post.at - START for post in self.posted.get(f"https://{id}.example/", [])]

    def state(self, id: str) -> str:
        return str(self.webhooks.rows[id].state)

    def _tick(self) -> None:
        due = self.deliveries.due(self.now)
        for wake in dict.fromkeys(wake for _, wake in due):
            self.queues.send([wake], wake.webhook_id)
        self.deliveries.queued(due)

    def _send(self, url: str, body: bytes, headers: Mapping[str, str], application_id: str) -> HttpResponse:
        self.posted.setdefault(url, []).append(Posted(self.now, body, headers))
        return self.behaviours[url](self.now)
