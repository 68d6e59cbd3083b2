"""Slots for waiting requests, over moto and over the fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib.store.aws.connection import client
from chalicelib.store.work.slots import SlotTable
from tests.fakes.dynamo import MemoryDynamo
from tests.integration.aws import deployment

Make = Callable[[list[float]], SlotTable]


@pytest.fixture(params=["moto", "fake"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    with deployment() as settings:
        here: Any = client(settings, "dynamodb") if request.param == "moto" else MemoryDynamo()
        yield lambda now: SlotTable(here, settings, now=lambda: now[0])


def test_no_more_than_the_limit_at_once(make: Make) -> None:
    slots = make([100.0])
    held = [slots.take("longpoll#a", 3, 25) for _ in range(3)]
    assert sorted(slot.number for slot in held if slot) == [0, 1, 2]
    assert slots.take("longpoll#a", 3, 25) is None
    assert slots.take("longpoll#b", 3, 25) and slots.take("streaming#a", 3, 25)


def test_a_slot_that_is_given_back_is_free(make: Make) -> None:
    slots = make([100.0])
    slot = slots.take("x", 1, 25)
    assert slot and slots.take("x", 1, 25) is None
    slots.give_back(slot)
    slots.give_back(slot)
    assert slots.take("x", 1, 25)


def test_a_request_that_died_frees_its_slot_when_its_time_is_over(make: Make) -> None:
    now = [100.0]
    slots = make(now)
    dead = slots.take("x", 1, 25)
    now[0] += 25
    assert slots.take("x", 1, 25) is None
    now[0] += 1
    fresh = slots.take("x", 1, 25)
    assert dead and fresh
    slots.give_back(dead)  # it was not dead but slow: the slot is not its own any more
    assert slots.take("x", 1, 25) is None
