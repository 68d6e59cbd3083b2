"""Webhook deliveries and polls over DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.store.connection import client
from chalicelib.store.ports import Delivery, Poll
from chalicelib.store.tables.deliveries import DeliveryTable
from chalicelib.store.tables.polls import PollTable
from tests.integration.aws import deployment

FIRST = Delivery(
    webhook_id="w", application_id="p", account_id="a", first_seq=1, last_seq=3, attempt=0, due_at=100
)


@pytest.fixture
def table() -> Iterator[DeliveryTable]:
    with deployment() as settings:
        yield DeliveryTable(client(settings, "dynamodb"), settings, now=lambda: 100.0)


def test_a_range_is_begun_once(table: DeliveryTable) -> None:
    assert table.pointer("w", "a") is None
    assert table.begin(FIRST, "w", "a", None, 3)
    assert not table.begin(FIRST, "w", "a", None, 3)
    assert table.begin(None, "w", "a", 3, 8)
    assert table.pointer("w", "a") == 8
    assert table.get("w", FIRST.id) == FIRST


def test_a_delivery_is_claimed_by_one_and_due_again_later(table: DeliveryTable) -> None:
    table.begin(FIRST, "w", "a", None, 3)
    assert table.due(99) == []
    assert table.due(100) == [FIRST]
    claimed = table.claim(FIRST, 130)
    assert claimed == replace(FIRST, attempt=1, due_at=130)
    assert table.claim(FIRST, 140) is None
    assert table.due(129) == []
    table.retry(claimed, 500)
    assert table.due(500) == [replace(claimed, due_at=500)]


def test_what_is_done_or_failed_is_never_due(table: DeliveryTable) -> None:
    second = replace(FIRST, first_seq=4, last_seq=4)
    table.begin(FIRST, "w", "a", None, 3)
    table.begin(second, "w", "a", 3, 4)
    table.done(FIRST)
    table.fail(second)
    assert table.due(10**6) == []
    assert table.get("w", FIRST.id) is None
    failed = table.get("w", second.id)
    assert failed and failed.state == "failed"


def test_every_account_is_polled_until_removed() -> None:
    with deployment() as settings:
        polls = PollTable(client(settings, "dynamodb"), settings)
        for n in range(40):
            polls.put(Poll(account_id=f"a{n}", active_at=n))
        polls.put(Poll(account_id="a7", active_at=99))
        polls.remove("a8")
        found = {poll.account_id: poll.active_at for poll in polls.all()}
        assert len(found) == 39 and found["a7"] == 99 and "a8" not in found
