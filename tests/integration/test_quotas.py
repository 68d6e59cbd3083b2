"""How often something may be done in a span of time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.config import Settings
from chalicelib.store.aws.connection import client
from chalicelib.store.work.quotas import QuotaTable
from tests.integration.aws import deployment, one_at_a_time, rows

START = 1_700_000_040.0


class Scene:
    """A table and a clock."""

    def __init__(self, settings: Settings) -> None:
        self.now = START
        self.settings = settings
        self.quotas = QuotaTable(client(settings, "dynamodb"), settings, lambda: self.now)

    def spend(self, name: str = "a", most: int = 3) -> bool:
        return self.quotas.spend(name, most, 60).allowed


@pytest.fixture
def scene() -> Iterator[Scene]:
    with deployment() as settings:
        yield Scene(settings)


def test_a_span_allows_so_many_and_the_next_one_begins_anew(scene: Scene) -> None:
    assert [scene.spend() for _ in range(5)] == [True] * 3 + [False] * 2
    assert scene.spend("b")
    scene.now += 59
    assert not scene.spend()
    refused = scene.quotas.spend("a", 3, 60)
    assert refused.seconds == 1
    scene.now += 1
    assert scene.spend()


def test_what_is_given_back_may_be_spent_again_but_not_saved_up(scene: Scene) -> None:
    spent = scene.quotas.spend("a", 1, 60)
    assert not scene.spend(most=1)
    for _ in range(3):
        scene.quotas.give_back(spent)
    assert [scene.spend(most=1) for _ in range(2)] == [True, False]


def test_of_many_at_once_no_more_pass_than_are_allowed(scene: Scene) -> None:
    with one_at_a_time(), ThreadPoolExecutor(12) as pool:
        passed = sum(pool.map(lambda _: scene.spend(most=7), range(40)))
    assert passed == 7


def test_a_row_leaves_when_its_span_is_over(scene: Scene) -> None:
    scene.spend()
    [row] = rows(scene.settings, "work")
    assert START < int(row["ttl"]["N"]) <= START + 61
