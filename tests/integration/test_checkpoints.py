"""The fenced lease and the cursors behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.config import Settings
from chalicelib.domain.change import Cursor
from chalicelib.store.ports import Lease, LeaseLost
from chalicelib.store.tables.checkpoints import CheckpointTable
from tests.integration.aws import deployment


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


class Clock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def held(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


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


class Contended:
    """A DynamoDB client whose first transactions collide with somebody else's."""

    def __init__(self, client: Any, collisions: int) -> None:
        self._client = client
        self.collisions = collisions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **request: Any) -> Any:
        if self.collisions:
            self.collisions -= 1
            raise self._client.exceptions.TransactionCanceledException(
                {
                    "Error": {"Code": "TransactionCanceledException", "Message": ""},
                    "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
                },
                "TransactWriteItems",
            )
        return self._client.transact_write_items(**request)


def test_a_collision_is_tried_again_but_not_for_ever(settings: Settings) -> None:
    pauses: list[float] = []
    checkpoints = CheckpointTable(settings, sleep=pauses.append)
    lease = held(checkpoints.acquire("acct1", 60))
    contended = checkpoints._dynamodb = Contended(checkpoints._dynamodb, collisions=3)
    checkpoints.save(lease, "inbox", Cursor("a"))
    assert len(pauses) == 3
    assert checkpoints.cursors("acct1") == {"inbox": "a"}
    contended.collisions = 100
    with pytest.raises(ClientError):
        checkpoints.save(lease, "inbox", Cursor("b"))
