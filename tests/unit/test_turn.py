"""How long one turn lasts, how much it reads, and how far it runs ahead of the delta log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain.sync.allowance import MEGABYTE, Allowances
from chalicelib.sync.history.meter import Quota
from chalicelib.sync.history.turn import AHEAD, FAIR_SECONDS, FIRST_SECONDS, GLANCE_SECONDS, Turn
from tests.fakes.backfills import MemoryUsage, allowances
from tests.worlds.sync import account


@dataclass
class Clockwork:
    """A turn whose time the test moves."""

    others: bool = False
    now: float = 0.0
    looks: int = 0
    limits: Allowances = field(default_factory=allowances)
    fair: float = FAIR_SECONDS
    newcomers: bool = False
    glance: float = 0.0
    glances: int = 0

    def __post_init__(self) -> None:
        self.usage = MemoryUsage()
        meter = Quota(usage=self.usage, allowances=self.limits)
        self.turn = Turn(
            account("a"), meter, self.crowded, self.looked_for_newcomers,
            clock=lambda: self.now, fair=self.fair,
        )  # fmt: skip

    def looked_for_newcomers(self) -> bool:
        self.glances += 1
        self.now += self.glance
        return self.newcomers

    def crowded(self) -> bool:
        self.looks += 1
        return self.others


def test_a_turn_goes_on_while_nobody_waits_and_ends_after_a_fair_while_otherwise() -> None:
    at = Clockwork(others=True)
    assert not at.turn.over()
    at.now = FAIR_SECONDS
    assert at.turn.over()
    alone = Clockwork()
    for second in range(100):
        alone.now = second
        assert not alone.turn.over()
    assert alone.looks == 6, "it looks around every fifteen seconds, not at every batch"


def test_a_turn_that_is_over_stays_over() -> None:
    crowded, in_the_way = Clockwork(others=True), Clockwork(newcomers=True)
    for at in (crowded, in_the_way):
        at.now = FAIR_SECONDS
        assert at.turn.over()
        at.others = at.newcomers = False
        assert at.turn.over()  # whoever asked for room counts on it


def test_the_first_turn_of_a_backfill_is_short_and_the_others_are_not() -> None:
    at = Clockwork(others=True, fair=FIRST_SECONDS)
    at.now = FIRST_SECONDS
    assert at.turn.over()
    later = Clockwork(others=True)
    later.now = FIRST_SECONDS
    assert not later.turn.over()


def test_a_turn_ends_soon_for_one_who_has_just_come() -> None:
    at = Clockwork(newcomers=True)
    at.now = GLANCE_SECONDS / 2
    assert not at.turn.over()
    at.now = GLANCE_SECONDS
    assert at.turn.over()
    later = Clockwork()
    later.now = GLANCE_SECONDS
    assert not later.turn.over()
    later.newcomers = True
    later.now = 2 * GLANCE_SECONDS
    assert later.turn.over()


def test_long_looks_for_newcomers_are_rare_ones() -> None:
    quick, slow = Clockwork(), Clockwork(glance=0.5)
    for at in (quick, slow):
        for second in range(100):
            at.now = max(at.now, second)
            assert not at.turn.over()
    assert (quick.glances, slow.glances) == (33, 4)


def test_bytes_are_counted_with_few_writes_and_completely() -> None:
    at = Clockwork()
    counts: list[Any] = []
    for megabytes in range(1, 101):
        at.turn.note(100, megabytes * MEGABYTE)
        counts.append(at.usage.by_account["a"])
    at.turn.end()
    assert at.usage.by_account["a"] == at.usage.by_host["mail.example"] == 100 * MEGABYTE
    assert len(set(counts)) <= 100 / 8 + 1


def test_a_turn_ends_when_the_bytes_are_used_up() -> None:
    at = Clockwork(limits=allowances(account=100))
    at.turn.note(100, 79 * MEGABYTE)
    assert not at.turn.over()
    at.turn.note(100, 90 * MEGABYTE)
    assert at.turn.over() and at.turn.spent


def test_history_does_not_run_ahead_of_the_delta_log_for_long() -> None:
    at = Clockwork()
    asked: list[str] = []

    def logged(id: str) -> bool:
        asked.append(id)
        return len(asked) == 3

    def sleep(seconds: float) -> None:
        at.now += seconds

    at.turn.logged, at.turn.sleep = logged, sleep
    at.turn.stored([])
    at.turn.stored(["m1", "m2"])
    for number in range(1, AHEAD):
        at.turn.stored([f"n{number}"])
    assert asked == []
    at.turn.stored(["o"])
    assert asked == ["m2"] * 3
    at.turn.logged = lambda id: False
    at.turn.stored(["p"])
    assert at.now <= 11


def test_where_nothing_is_limited_nothing_is_read() -> None:
    at = Clockwork()
    at.turn.note(100, 500 * MEGABYTE)
    assert at.usage.asked == 0
