"""Who waits for history, and what was read from mail servers, on moto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.config import Settings
from chalicelib.domain.jobs import SYNC, SyncAccount
from chalicelib.domain.sync.backfill import Backfill, Stage
from chalicelib.store.aws.connection import client
from chalicelib.store.aws.queues import SqsQueues
from chalicelib.store.values import HostUsage
from chalicelib.store.work.backfills import BackfillTable
from chalicelib.store.work.polls import PollTable
from chalicelib.store.work.usage import UsageTable
from tests.integration.aws import deployment, rows

ENTRY = Backfill(account_id="a", application_id="app", host="mail.example", since=1_700_000_000.25)
NOON = 1_700_049_600.0


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as made:
        yield made


def dynamodb(settings: Settings) -> Any:
    return client(settings, "dynamodb")


def test_an_account_is_entered_once_and_kept_as_it_is(settings: Settings) -> None:
    table = BackfillTable(dynamodb(settings), settings)
    assert table.enter(ENTRY)
    assert not table.enter(replace(ENTRY, since=5.0))
    assert table.get("a") == ENTRY
    assert table.all() == [ENTRY]


def test_an_entry_is_replaced_unless_it_is_gone(settings: Settings) -> None:
    table = BackfillTable(dynamodb(settings), settings)
    table.enter(ENTRY)
    moved = replace(ENTRY, stage=Stage.RUNNING, until=1_700_000_500)
    table.put(moved)
    assert table.get("a") == moved
    table.remove("a")
    table.put(ENTRY)
    assert table.get("a") is None
    assert table.all() == []


def test_bytes_add_up_per_day_account_and_host(settings: Settings) -> None:
    now = [NOON]
    usage = UsageTable(dynamodb(settings), settings, now=lambda: now[0])
    usage.add("a", "mail.example", 100)
    usage.add("a", "mail.example", 50)
    usage.add("b", "mail.example", 7)
    assert usage.accounts(["a", "b", "c"]) == {"a": 150, "b": 7}
    assert usage.hosts(["mail.example", "other.example"]) == {
        "mail.example": HostUsage(received=157), "other.example": HostUsage(),
    }  # fmt: skip
    now[0] += 43_200
    assert usage.accounts(["a"]) == {}
    assert all(int(row["ttl"]["N"]) > now[0] for row in rows(settings, "work"))


def test_a_host_wants_patience_until_a_time(settings: Settings) -> None:
    usage = UsageTable(dynamodb(settings), settings, now=lambda: NOON)
    usage.slow_down("mail.example", 1_700_050_000)
    assert usage.hosts(["mail.example"])["mail.example"].slow_until == 1_700_050_000


def test_the_tick_remembers_how_far_it_has_come(settings: Settings) -> None:
    polls = PollTable(dynamodb(settings), settings)
    assert polls.covered() == 0
    polls.cover(1_700_000_060)
    assert polls.covered() == 1_700_000_060
    assert list(polls.all()) == []


def test_messages_are_spread_over_seconds_of_their_own(settings: Settings) -> None:
    queues = SqsQueues(settings)
    sent: list[Any] = []
    real = queues._sqs.send_message_batch

    def send(**request: Any) -> Any:
        sent.extend(request["Entries"])
        return real(**request)

    queues._sqs.send_message_batch = send
    queues.send([SyncAccount(account_id=str(n)) for n in range(25)], "poll", spread=list(range(25)))
    assert [entry.get("DelaySeconds", 0) for entry in sent] == list(range(25))
    assert queues.waiting(SYNC) == 1  # the others are still to come
