"""The fenced lease and the cursors behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.config import Settings
from chalicelib.domain.remote import Cursor
from chalicelib.store.core.checkpoints import CheckpointTable
from chalicelib.store.values import LeaseLost
from tests.integration.aws import deployment
from tests.integration.leases import Clock, held


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


def test_one_holder_at_a_time(settings: Settings) -> None:
    checkpoints = CheckpointTable(settings)
    lease = held(checkpoints.acquire("acct1", 60))
    assert checkpoints.acquire("acct1", 60) is None
    assert checkpoints.acquire("acct2", 60) is not None
    checkpoints.release(lease)
    assert held(checkpoints.acquire("acct1", 60)).epoch == lease.epoch + 1


def test_a_holder_that_was_overtaken_cannot_write_or_release(settings: Settings) -> None:
    clock = Clock()
    checkpoints = CheckpointTable(settings, now=clock)
    slow = held(checkpoints.acquire("acct1", 60))
    checkpoints.save(slow, "inbox", Cursor("1"))
    clock.now += 61
    fast = held(checkpoints.acquire("acct1", 60))
    checkpoints.save(fast, "inbox", Cursor("2"))
    with pytest.raises(LeaseLost):
        checkpoints.save(slow, "inbox", Cursor("1b"))
    with pytest.raises(LeaseLost):
        checkpoints.save(slow, "inbox", None)
    checkpoints.release(slow)
    assert checkpoints.acquire("acct1", 60) is None
    assert checkpoints.cursors("acct1") == {"inbox": "2"}


def test_cursors_belong_to_their_account_and_can_be_forgotten(settings: Settings) -> None:
    checkpoints = CheckpointTable(settings)
    lease, other = held(checkpoints.acquire("acct1", 60)), held(checkpoints.acquire("acct2", 60))
    checkpoints.save(lease, "inbox", Cursor("a"))
    checkpoints.save(lease, "sent", Cursor("b"))
    checkpoints.save(other, "inbox", Cursor("c"))
    checkpoints.save(lease, "sent", None)
    assert checkpoints.cursors("acct1") == {"inbox": "a"}
    assert checkpoints.cursors("acct2") == {"inbox": "c"}
    assert checkpoints.cursors("acct3") == {}


def test_a_lease_is_prolonged_while_it_is_used_and_then_only(settings: Settings) -> None:
    clock = Clock()
    checkpoints = CheckpointTable(settings, now=clock)
    lease = held(checkpoints.acquire("acct1", 60))
    for step in range(5):
        clock.now += 40
        checkpoints.save(lease, "inbox", Cursor(str(step)))
        assert checkpoints.acquire("acct1", 60) is None
    clock.now += 61
    assert checkpoints.acquire("acct1", 60) is not None
    with pytest.raises(LeaseLost):
        checkpoints.save(lease, "sent", Cursor("late"))


def test_moving_a_cursor_costs_one_write(settings: Settings) -> None:
    checkpoints = CheckpointTable(settings)
    lease = held(checkpoints.acquire("acct1", 60))
    asked: list[str] = []
    real = checkpoints._dynamodb._make_api_call

    def counted(operation: str, request: dict[str, object]) -> object:
        asked.append(operation)
        return real(operation, request)

    checkpoints._dynamodb._make_api_call = counted
    try:
        checkpoints.save(lease, "inbox", Cursor("a"))
        checkpoints.save(lease, "inbox", Cursor("b"))
    finally:
        del checkpoints._dynamodb._make_api_call
    assert asked == ["PutItem", "PutItem"]
