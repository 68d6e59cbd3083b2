"""When the watcher speaks: debouncing, backing off and the gate, on a clock that tests move."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.watcher.backoff import Backoff
from infra.watcher.debounce import Debounce
from infra.watcher.gate import Queue
from infra.watcher.limits import Limits


class Clock:
    """Time in steps, with call_at."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, Callable[[], None]]] = []

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        self._planned.append((when, call))

    def until(self, when: float) -> None:
        """Go on, calling what is planned on the way."""
        while due := [entry for entry in self._planned if entry[0] <= when]:
            entry = min(due, key=lambda planned: planned[0])
            self._planned.remove(entry)
            self.now = entry[0]
            entry[1]()
        self.now = when


def rings(changes: list[float], seconds: float = 1.0) -> list[float]:
    """Return when a debounce rings for changes at these times."""
    clock, rung = Clock(), list[float]()
    debounce = Debounce(lambda: rung.append(clock.now), seconds, lambda: clock.now, clock.call_at)
    for at in changes:
        clock.until(at)
        debounce()
    clock.until(1_000_000)
    return rung


def test_a_lonely_change_rings_at_once() -> None:
    assert rings([5.0, 7.0]) == [5.0, 7.0]


def test_a_burst_rings_at_its_beginning_and_once_more_after_its_end() -> None:
    assert rings([5.0 + step / 1000 for step in range(900)]) == [5.0, 6.0]
    assert rings([5.0, 5.5, 6.2]) == [5.0, 6.0, 7.0]


@given(st.lists(st.integers(0, 50_000), min_size=1).map(sorted))
def test_every_change_is_followed_by_a_ring_within_the_pause_and_rings_keep_their_distance(
    changes: list[int],
) -> None:
    rung = rings([float(at) for at in changes], seconds=1_000)
    assert all(any(at <= ring <= at + 1_000 for ring in rung) for at in changes)
    assert all(later - sooner >= 1_000 for sooner, later in itertools.pairwise(rung))
    assert len(rung) <= len(changes)


def test_waits_double_up_to_a_limit_and_scatter_over_half_of_it() -> None:
    latest = [Backoff(2, 60, lambda: 1.0).wait(failures) for failures in range(1, 8)]
    assert latest == [2, 4, 8, 16, 32, 60, 60]
    assert [Backoff(2, 60, lambda: 0.0).wait(failures) for failures in (1, 7)] == [1, 30]
    assert Backoff(2, 60).wait(10_000) <= 60


def test_a_server_that_names_a_time_waits_no_shorter() -> None:
    assert Backoff(2, 60, lambda: 0.0).wait(1, at_least=300) == 300


LIMITS = Limits()


def simulate(
    accounts: dict[str, int], seconds: float, dead: Callable[[str, float], bool]
) -> list[tuple[float, str]]:
    """Let accounts per host log in (half a second each, failures at once); return who tried when."""
    queue: Queue[str] = Queue(LIMITS, Backoff(LIMITS.shortest_wait, LIMITS.longest_host_wait, lambda: 0.5))
    for host, count in accounts.items():
        for _ in range(count):
            queue.ask(host, host)
    tried, inside = list[tuple[float, str]](), list[tuple[float, str]]()
    for step in range(int(seconds * 50)):
        now = step / 50
        for entry in [entry for entry in inside if entry[0] <= now]:
            inside.remove(entry)
            failed = dead(entry[1], now)
            queue.done(entry[1], now, failed=failed)
            if failed:
                queue.ask(entry[1], entry[1])
        while admitted := queue.admit(now):
            tried.append((now, admitted[0]))
            inside.append((now + 0.5, admitted[0]))
        assert len(inside) <= LIMITS.logins_at_once
        for host in accounts:
            assert sum(entry[1] == host for entry in inside) <= LIMITS.logins_at_once_and_host
    return tried


def most_in_a_second(times: list[float]) -> int:
    return max(sum(at <= other < at + 1 for other in times) for at in times)


def test_nine_hundred_accounts_do_not_stampede() -> None:
    tried = simulate({f"host{number % 90}": 10 for number in range(90)}, 60, lambda host, now: False)
    assert Counter(host for _, host in tried) == {f"host{number}": 10 for number in range(90)}
    assert most_in_a_second([at for at, _ in tried]) <= LIMITS.logins_per_second
    assert len({host for _, host in tried[:90]}) == 90  # hosts take turns


def test_one_server_is_not_overrun() -> None:
    tried = simulate({"host": 100}, 60, lambda host, now: False)
    assert len(tried) == 100
    assert most_in_a_second([at for at, _ in tried]) <= LIMITS.logins_per_second_and_host


def test_a_dead_server_sees_one_attempt_now_and_then_and_hinders_nobody() -> None:
    tried = simulate({"dead": 500, "fine": 100}, 600, lambda host, now: host == "dead")
    at_dead = [at for at, host in tried if host == "dead"]
    assert len(at_dead) <= LIMITS.logins_at_once_and_host + 12
    fine = [at for at, host in tried if host == "fine"]
    assert len(fine) == 100 and fine[-1] < 20


def test_a_server_that_comes_back_is_tried_by_one_and_then_by_all() -> None:
    tried = simulate({"host": 200}, 400, lambda host, now: now < 100)
    times = [at for at, _ in tried if at > 100]
    assert len(times) == 200
    assert times[1] - times[0] >= 0.5  # the second goes when the first has come through
    assert most_in_a_second(times) <= LIMITS.logins_per_second_and_host


def test_who_withdraws_takes_no_place() -> None:
    queue: Queue[str] = Queue(LIMITS, Backoff(1, 1))
    queue.ask("host", "first")
    queue.ask("host", "second")
    queue.withdraw("host", "first")
    queue.withdraw("elsewhere", "first")
    assert queue.admit(0.0) == ("host", "second")
    assert queue.waiting() == 0


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "often"])
def test_settings_that_make_no_sense_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"POSTERN_WATCH_LOGINS|often"):
        Limits.from_env({"POSTERN_WATCH_LOGINS": value})


def test_settings_come_from_the_environment() -> None:
    env = {"POSTERN_WATCH_LIST_SECONDS": "2", "POSTERN_WATCH_LOGINS": "5", "POSTERN_WATCH_HOST_LOGINS": "1.5"}
    limits = Limits.from_env(env)
    assert (limits.list_seconds, limits.logins_per_second, limits.logins_per_second_and_host) == (2, 5, 1.5)
    assert Limits.from_env({}) == Limits()
