"""Polls over simulated hours: every account at its interval, no host stampeded, whatever befalls the tick."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest

from chalicelib.store.values import Poll
from chalicelib.sync.accounts import schedule
from chalicelib.sync.accounts.schedule import TickSpan, interval, window

START = 1_700_000_000
HOUR = 3_600


def ticks(hours: float) -> list[int]:
    return list(range(START, START + int(hours * HOUR), 60))


def polled(
    polls: Sequence[Poll], at: Iterable[int], most: int = 10, dies: Iterable[int] = ()
) -> dict[str, list[int]]:
    """Return when each account is polled; a tick that `dies` sends, but does not note that it has."""
    times: dict[str, list[int]] = defaultdict(list)
    covered = 0
    for now in at:
        span = window(covered, now, 60)
        intervals = {poll: interval(poll, START) for poll in polls}
        for id, delay in schedule.delays(intervals, span, most).items():
            assert 0 <= delay <= 900
            times[id].append(now + delay)
        covered = covered if now in dies else span.until
    return times


def accounts(count: int, quiet: int = 60, host: str = "mail.example") -> list[Poll]:
    return [Poll(account_id=f"{host}{n}", active_at=START - quiet, host=host) for n in range(count)]


def gaps(times: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(times)]


@pytest.mark.parametrize(("quiet", "minutes"), [(60, 1), (7_200, 5), (200_000, 15)])
def test_every_account_is_polled_at_its_interval_and_each_at_its_own_second(quiet: int, minutes: int) -> None:
    polls = accounts(200, quiet)
    assert {interval(poll, START) for poll in polls} == {minutes * 60}
    times = polled(polls, ticks(3))
    assert len(times) == 200
    for own in times.values():
        assert set(gaps(own)) == {minutes * 60}
        assert len(own) == 180 // minutes
    seconds = Counter(second for own in times.values() for second in own)
    assert len(seconds) > len(times) * 180 // minutes // 8  # spread, not heaped


def test_no_second_has_more_than_its_share_of_one_host() -> None:
    polls = [*accounts(450), *accounts(300, 7_200), *accounts(40, host="other.example")]
    times = polled(polls, ticks(2), most=10)
    for host, most in (("mail", 10), ("other", 10)):
        seconds = Counter(s for id, own in times.items() if id.startswith(host) for s in own)
        assert max(seconds.values()) <= most
    assert max(max(gaps(own)) for own in times.values()) <= 5 * 60 + 60


def test_a_host_with_too_many_accounts_is_polled_less_often_and_nobody_is_left_out() -> None:
    polls = [*accounts(3_000), *accounts(10, host="other.example")]
    times = polled(polls, ticks(1), most=10)
    crowd = {id: own for id, own in times.items() if id.startswith("mail")}
    assert len(crowd) == 3_000
    assert max(Counter(s for own in crowd.values() for s in own).values()) <= 10
    assert max(max(gaps(own)) for own in crowd.values()) <= 7 * 60 + 60  # 3,000 at eight a second
    assert all(set(gaps(own)) == {60} for id, own in times.items() if id.startswith("other"))


def test_late_doubled_and_missing_ticks_leave_no_account_out() -> None:
    dice = random.Random(5)
    at = sorted(now + dice.randint(0, 50) for now in ticks(4) for _ in range(dice.choice([0, 1, 1, 1, 2])))
    times = polled(accounts(100, 200_000), at, dies=set(at[::9]))
    longest = max(later - earlier for earlier, later in pairwise(at))
    assert len(times) == 100
    assert max(max(gaps(own)) for own in times.values()) <= 15 * 60 + longest + 60


def test_after_an_hour_without_ticks_accounts_come_one_after_the_other() -> None:
    polls = accounts(400)
    times = polled(polls, [START, START + HOUR, START + HOUR + 60], most=10)
    after = Counter(second for own in times.values() for second in own if second >= START + HOUR)
    assert max(after.values()) <= 10
    assert sum(after.values()) >= 2 * 400


def test_a_clock_that_was_wrong_does_not_stop_the_polls() -> None:
    assert window(START + 10 * HOUR, START, 60) == TickSpan(after=START, until=START + 60, now=START)


def test_each_account_is_compared_once_a_week_in_a_second_of_its_own() -> None:
    polls = accounts(50)
    times: dict[str, list[int]] = defaultdict(list)
    covered = 0
    for now in range(START, START + 7 * 86_400, 600):
        span = window(covered, now, 60)
        for id, delay in schedule.repairs(polls, span).items():
            times[id].append(now + delay)
        covered = span.until
    assert {len(own) for own in times.values()} == {1}
    assert len(times) == 50
