"""Functions ask of the table `core` no more than the template lets them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.jobs import DELIVERIES, ApplyEdits, FetchHistory, J, Queue, SyncAccount, load
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.errors import AuthRejected
from chalicelib.services import Services, use
from chalicelib.store.aws.connection import client
from chalicelib.workers import backfill, deliveries, edits, sync
from tests.fakes.mail import mail
from tests.fakes.provider import MemoryProvider
from tests.integration.aws import deployment
from tests.integration.rights import Recorder

SERVER = Server(host="mail.example", port=993, username="mira", password="pw")
ACCOUNT = Account(
    id="acct1", application_id="app1", email_address="mira@kestrel.example", name="Mira", provider="imap",
    state=SyncState.INITIALIZING, linked_at=1, scopes="email", host="mail.example",
)  # fmt: skip


@dataclass
class Endpoint:
    """Answers as it is told."""

    status: int = 200

    def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], application_id: str
    ) -> HttpResponse:
        return HttpResponse(self.status, b"")


class Here(Services):
    """The real stores, and a mail server and an endpoint in memory."""

    @cached_property
    def box(self) -> MemoryProvider:
        return MemoryProvider()

    def provider(self, account: Account) -> Any:
        self.accounts.settings(account.id)
        return self.box

    @cached_property
    def post(self) -> Any:
        return Endpoint()


@pytest.fixture
def here() -> Iterator[Here]:
    with deployment() as settings:
        made = Here(settings=settings)
        made.applications.create(Application(id="app1", name="Desk"), "secret")
        made.accounts.create(ACCOUNT, MailSettings(imap=SERVER, smtp=SERVER))
        with use(made):
            yield made


@pytest.fixture
def asked(here: Here) -> Recorder:
    return Recorder(here.settings)


def waiting(settings: Settings, queue: Queue[J]) -> list[J]:
    sqs = client(settings, "sqs")
    answer = sqs.receive_message(QueueUrl=settings.queue_urls[queue.name], MaxNumberOfMessages=10)
    return [load(queue, json.loads(one["Body"])) for one in answer.get("Messages", [])]


@pytest.mark.parametrize("status", [200, 500, 410])
def test_deliver_reads_applications_and_changes_the_state_of_endpoints_only(
    here: Here, asked: Recorder, status: int
) -> None:
    here.post.status = status
    here.webhooks.put(
        Webhook(
            id="w", application_id="app1", callback_url="https://desk.example/", state="active",
            triggers=frozenset({"message.created"}), activated_at=1,
        )
    )  # fmt: skip
    change = Change(account_id="acct1", kind="message", id="m", event=Operation.CREATE, rev=1)
    here.log.append("acct1", [change], int(time.time()))
    here.announce(ACCOUNT, 1)
    asked.begin()
    for wake in waiting(here.settings, DELIVERIES):
        deliveries.run(wake)
    assert asked.refused("DeliverRole") == []
    kinds = {operation for operation, _ in asked.calls}
    assert kinds >= ({"GetItem", "UpdateItem"} if status == 410 else {"GetItem"})


@pytest.mark.parametrize("failure", [None, AuthRejected("no")])
def test_sync_and_history_write_rows_of_accounts_only(
    here: Here, asked: Recorder, failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        here.box.deliver("INBOX", mail(str(number), number))
    asked.begin()
    if failure:
        monkeypatch.setattr(here.box, "collections", lambda: (_ for _ in ()).throw(failure))
    sync.run(SyncAccount(account_id="acct1"))
    assert asked.calls and asked.refused("SyncAccountRole") == []
    asked.calls.clear()
    backfill.run(FetchHistory(account_id="acct1"))
    assert asked.calls and asked.refused("BackfillAccountRole") == []


def test_edits_write_rows_of_accounts_only(here: Here, asked: Recorder) -> None:
    asked.begin()
    job = ApplyEdits(account_id="acct1", edits=())
    edits.run(job)
    edits.give_up(job)
    assert asked.calls and asked.refused("ApplyEditsRole") == []


def test_the_recorder_notices_what_is_not_allowed(here: Here, asked: Recorder) -> None:
    asked.begin()
    here.tokens.issue("acct1", 0)
    here.applications.rotate("app1", "secret", "new", 0)
    stored = here.accounts.get("acct1")
    assert stored
    here.accounts.transition(stored, SyncState.RUNNING)
    refused = [operation for operation, _ in asked.refused("DeliverRole")]
    assert {"PutItem", "UpdateItem"} <= set(refused)
    assert any(operation == "PutItem" for operation, _ in asked.refused("SyncAccountRole"))
