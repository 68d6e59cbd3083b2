"""Waiting for news: what it answers, how it ends, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from chalicelib.clock import Deadline
from chalicelib.config import Settings
from chalicelib.deltas import follow
from chalicelib.deltas.follow import Feed, Line, Patience
from chalicelib.domain.log.delta import Change, Delta, Operation
from chalicelib.store.log.log import LogTable
from chalicelib.store.ports.log import ChangeLog
from tests.fakes.dynamo import MemoryDynamo
from tests.fakes.services import MemoryLog

SETTINGS = Settings(table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={})


@dataclass
class Time:
    """A clock that moves only while somebody sleeps; `plans` happen when their time comes."""

    now: float = 0.0
    plans: Sequence[tuple[float, Callable[[], object]]] = ()

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds
        while self.plans and self.plans[0][0] <= self.now:
            (_, plan), *self.plans = self.plans
            plan()

    def patience(self, seconds: float) -> Patience:
        return Patience(Deadline.after(seconds, now=lambda: self.now), self.sleep)


def change(id: str, kind: str = "message", rev: int = 1) -> Change:
    return Change(account_id="a", kind=kind, id=id, event=Operation.CREATE, rev=rev)


def shown(deltas: Sequence[Delta]) -> list[Line]:
    return [(d.seq, {"id": d.change.id}) for d in deltas if d.change.id != "vanished"]


def feed(log: ChangeLog, limit: int = 100) -> Feed:
    return Feed(log=log, account_id="a", limit=limit, show=shown, keep=lambda c: c.kind == "message")


def ids(lines: Sequence[bytes]) -> list[str]:
    return [json.loads(line)["id"] for line in lines if line.strip()]


def test_a_batch_of_vanished_objects_is_passed_over() -> None:
    log = MemoryLog()
    log.append("a", [*(change("vanished") for _ in range(5)), change("m")], 7)
    batch = feed(log, limit=2).after((0, 0))
    assert (list(batch.shown), batch.end) == ([(6, {"id": "m"})], (6, 7))


def test_a_batch_too_large_for_one_answer_is_cut() -> None:
    log = MemoryLog()
    log.append("a", [change(f"message-{n:03}") for n in range(64)], 7)
    place = (0, 0)
    found: list[str] = []
    while (batch := replace(feed(log), most_bytes=100).after(place)).end != place:
        assert len(batch.shown) <= 6
        place, found = batch.end, found + [one["id"] for _, one in batch.shown]
    assert found == [f"message-{n:03}" for n in range(64)]


def test_a_longpoll_answers_at_once_if_there_is_something() -> None:
    time, log = Time(), MemoryLog()
    log.append("a", [change("m")], 7)
    assert follow.longpoll(feed(log), (0, 0), time.patience(20)).end == (1, 7)
    assert time.now == 0


def test_a_longpoll_answers_with_the_news_and_not_with_what_is_filtered_away() -> None:
    log = MemoryLog()
    time = Time(plans=[(3, lambda: log.append("a", [change("t", "thread")], 7)),
                       (6, lambda: log.append("a", [change("m")], 8))])  # fmt: skip
    batch = follow.longpoll(feed(log), (0, 0), time.patience(20))
    assert (list(batch.shown), batch.end, time.now) == ([(2, {"id": "m"})], (2, 8), 6)


def test_a_longpoll_ends_empty_and_on_time() -> None:
    time, log = Time(), MemoryLog()
    assert follow.longpoll(feed(log), (0, 0), time.patience(2.5)) == follow.Batch((), (0, 0))
    assert time.now == 2.5


@pytest.mark.parametrize("seconds", [10, 25, 120])
def test_waiting_costs_one_read_of_half_a_unit_per_second(seconds: int) -> None:
    time, dynamo = Time(), MemoryDynamo()
    log = LogTable(dynamo, SETTINGS, now=lambda: 1000.0)
    log.append("a", [change("m")], 1000)
    dynamo.requests.clear()
    dynamo.read_units = 0
    follow.longpoll(feed(log), (1, 1000), time.patience(seconds))
    first_look = 1  # strongly consistent, before any waiting
    assert dynamo.requests == {"GetItem": seconds + first_look}
    assert dynamo.read_units == seconds * 0.5 + first_look


def test_a_silent_stream_costs_the_same_and_gives_a_sign_every_five_seconds() -> None:
    time, dynamo = Time(), MemoryDynamo()
    log = LogTable(dynamo, SETTINGS, now=lambda: 1000.0)
    beats = []
    for line in follow.lines(feed(log), (0, 0), time.patience(60)):
        assert line == b"\n"
        beats.append(time.now)
    assert max(after - before for before, after in pairwise(beats)) <= 5
    assert 60 - beats[-1] <= 5 and time.now == 60
    assert dynamo.read_units <= 60 * 0.5 + len(beats) + 2


def test_a_stream_tells_what_happens_line_by_line_and_ends() -> None:
    log = MemoryLog()
    log.append("a", [change("before"), change("t", "thread")], 7)
    plans = [(float(n), lambda n=n: log.append("a", [change(f"m{n}")], n)) for n in (3, 4, 9)]
    time = Time(plans=plans)
    lines = list(follow.lines(feed(log), (0, 0), time.patience(12)))
    assert ids(lines) == ["before", "m3", "m4", "m9"]
    assert time.now == 12
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)


def test_a_stream_is_never_silent_for_longer_than_five_seconds_while_a_filter_drops_everything() -> None:
    log = MemoryLog()
    time = Time(plans=[(float(n), lambda: log.append("a", [change("t", "thread")], 1)) for n in range(60)])
    moments = [time.now for _ in follow.lines(feed(log), (0, 0), time.patience(60))]
    assert max(after - before for before, after in pairwise(moments)) <= 5


def test_a_stream_without_time_tells_what_there_is() -> None:
    log = MemoryLog()
    log.append("a", [change("m")], 7)
    assert ids(list(follow.lines(feed(log), (0, 0), Time().patience(0)))) == ["m"]


def test_a_stream_that_is_resumed_after_any_line_leaves_nothing_out() -> None:
    log = MemoryLog()
    log.append("a", [change(f"m{n % 5}", rev=n + 1) for n in range(12)], 7)
    whole = feed(log, limit=4).after((0, 0))
    for seq, _ in whole.shown:
        rest = list(follow.lines(feed(log, limit=4), (seq, 7), Time().patience(3)))
        later = {entry.change.id for entry in log.entries if entry.seq > seq}
        assert set(ids(rest)) == later


def test_numbers_join_whatever_is_rolled_up_or_left_out() -> None:
    log = MemoryLog()
    kinds = ["message", "thread", "message", "thread", "thread"]
    plans = [
        (float(n), lambda n=n: log.append("a", [change(f"x{n % 3}", kinds[n % 5])], 1)) for n in range(40)
    ]
    lines = follow.lines(feed(log, limit=7), (0, 0), Time(plans=plans).patience(50), numbered=True)
    told = [json.loads(line) for line in lines if line.strip()]
    assert [one["seq_after"] for one in told] == [0, *(one["seq"] for one in told[:-1])]
    assert [one["seq"] for one in told] == sorted({one["seq"] for one in told})
