"""A thread of any length as rows: nothing is lost, and one message more costs the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import bounds, ids
from chalicelib.domain.mail.message import Address, Message
from chalicelib.domain.mail.thread import (
    Entry,
    Thread,
    empty_thread,
    entry_of,
    with_messages,
    without_messages,
)
from chalicelib.json_text import dumps
from chalicelib.store.objects.thread_rows import ALONE, is_whole, part_keys, thread_of, thread_rows
from infra.emulator.units import blocks
from infra.emulator.values import plain_item_size
from tests.worlds.rows import MESSAGE

START = 1_700_000_000
Row = dict[str, Any]


def message(number: int, **changes: Any) -> Message:
    usual = replace(
        MESSAGE, id=ids.dated_id(START + 60 * number, "m", str(number)), date=START + 60 * number,
        account_id="a", subject="Weekly figures of the harbour", snippet="Dear all, " * 15, label_ids=(),
    )  # fmt: skip
    return replace(usual, **changes)


def thread(messages: Iterable[Message]) -> Thread:
    return with_messages(empty_thread(ids.derived_id("thread"), "a"), messages, None)


@dataclass
class Rows:
    """What lies in a thread's partition, and what the latest write has cost."""

    rows: dict[str, Row] = field(default_factory=dict)
    rev: int = 0
    units: int = 0

    def write(self, new: Thread, old: Thread | None, *, until: str = "end") -> None:
        self.rev += 1000
        found = thread_rows(new, old, self.rev)
        own = found.own | {"rev": {"N": str(self.rev)}, "v": {"N": "0"}}
        own |= {"ttl": {"N": str(new.expires_at)}} if new.expires_at else {}
        assert all(sk not in self.rows for sk in (part["sk"]["S"] for part in found.parts)), "overwritten"
        self.units = sum(_units(row) for row in [own, *found.parts])
        self.rows |= {part["sk"]["S"]: part for part in found.parts}
        if until == "parts":
            return
        self.rows["T"] = own
        if until == "own":
            return
        self.units += sum(_units(self.rows.pop(sk)) for _, sk in found.left)

    def read(self) -> Thread:
        assert is_whole(self.rows["T"], self.rows)
        return thread_of(self.rows["T"], self.rows)


def _units(row: Row) -> int:
    return blocks(plain_item_size(row), 1024)


def test_a_message_more_costs_the_same_in_a_thread_of_any_length() -> None:
    rows, costs = Rows(), []
    current = thread([message(0)])
    rows.write(current, None)
    for number in range(1, bounds.THREAD_MESSAGES):
        old = rows.read()
        current = with_messages(old, [message(number)], None)
        rows.write(current, old)
        costs.append(rows.units)
    assert len(rows.read().entries) == 500
    assert max(costs) <= 7, "a part is split now and then"
    assert sum(costs[400:]) / len(costs[400:]) <= 3.3 >= sum(costs) / len(costs)
    assert len(dumps([[id, 1, [0]] for id in current.entries])) > 15_000, "what one row would hold"


def test_a_flag_costs_the_same_in_a_thread_of_any_length() -> None:
    rows, messages = Rows(), [message(number) for number in range(500)]
    rows.write(thread(messages), None)
    for one in messages[::50]:
        old = rows.read()
        rows.write(with_messages(old, [replace(one, unread=not one.unread)], None), old)
        assert rows.units <= 4


def test_a_thread_from_before_that_lies_in_one_row_is_read_and_goes_on() -> None:
    messages = [message(number) for number in range(2000)]
    before = thread(messages)
    entries = [[id, 1, [0]] for id in before.entries]
    found = thread_rows(replace(before, entries={}), None, 1).own
    row = found | {"rev": {"N": "1"}, "v": {"N": "0"}, "e": {"S": dumps([["f"], entries])}}
    old = thread_of(row, {})
    assert (len(old.entries), old.parts, old.participants) == (2000, (), before.participants)
    rows = Rows({"T": row})
    rows.write(without_messages(old, [messages[7].id]) or old, old)
    assert set(rows.read().entries) == set(before.entries) - {messages[7].id}
    old = rows.read()
    rows.write(with_messages(old, [messages[8]], None), old)
    assert rows.units <= 12


def test_a_row_is_far_below_what_a_table_takes_whatever_a_stranger_writes() -> None:
    people = tuple(Address("ä" * 10_000 + str(n), f"{'a' * 200}{n}@x.example") for n in range(300))
    long = (Address("x", "a" * 5000 + "@x.example"),)
    strange = message(
        1, to=people, cc=long, subject="ü" * 255, label_ids=tuple(f"{n:025d}" for n in range(200))
    )
    current = thread([strange, *(replace(strange, id=ids.dated_id(START, str(n))) for n in range(499))])
    assert len(current.participants) == bounds.THREAD_PARTICIPANTS
    assert not set(long) & set(current.participants)
    found = thread_rows(current, None, 1)
    assert max(plain_item_size(row) for row in [found.own, *found.parts]) < 120_000


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "flag", "drop", "later"]), st.integers(1, 60)), max_size=12
)


@settings(max_examples=100, deadline=None)
@given(CHANGES, st.integers(1, 90), st.randoms(use_true_random=False))
def test_what_is_written_is_read_and_a_crash_leaves_the_former_or_the_new(
    changes: list[tuple[str, int]], count: int, dice: Random
) -> None:
    rows, number = Rows(), count
    rows.write(thread([message(n) for n in range(count)]), None)
    for what, much in changes:
        old = rows.read()
        new, number = _changed(old, what, much, number, dice)
        if new is None:
            continue
        crashed = Rows(dict(rows.rows), rows.rev)
        crashed.write(new, old, until="parts")
        assert crashed.read() == old
        crashed.write(new, old, until="own")
        assert replace(crashed.read(), rev=0, parts=()) == replace(new, rev=0, parts=())
        rows.write(new, old)
        assert replace(rows.read(), rev=0, parts=()) == replace(new, rev=0, parts=())
        assert set(rows.rows) == {"T", *(sk for _, sk in part_keys(rows.read()))}, "left behind"
        assert (len(new.entries) > ALONE) == bool(rows.read().parts)


def _changed(old: Thread, what: str, much: int, number: int, dice: Random) -> tuple[Thread | None, int]:
    some = dice.sample(sorted(old.entries), min(much, len(old.entries)))
    if what == "add":
        return with_messages(old, [message(number + n) for n in range(much)], None), number + much
    if what == "flag":
        flipped: dict[str, Entry] = {
            id: replace(old.entries[id], starred=not old.entries[id].starred) for id in some
        }
        return replace(old, entries={**old.entries, **flipped}), number
    if what == "later":
        return replace(old, expires_at=START + much * 86_400), number
    return without_messages(old, some), number


def test_ends_of_life_that_move_daily_rarely_write_the_parts_anew() -> None:
    rows = Rows()
    rows.write(replace(thread([message(n) for n in range(400)]), expires_at=START), None)
    total = 0
    for day in range(1, 91):
        old = rows.read()
        rows.write(replace(old, expires_at=START + day * 86_400), old)
        total += rows.units
    assert total <= 90 * 2 + 4 * 2 * 37
    ends = {int(row["ttl"]["N"]) for sk, row in rows.rows.items() if sk != "T"}
    assert min(ends) >= rows.read().expires_at


def test_entries_are_dealt_out_evenly() -> None:
    rows = Rows()
    rows.write(thread([message(n) for n in range(500)]), None)
    parts = [row for sk, row in rows.rows.items() if sk != "T"]
    assert len(parts) == 37
    assert all(entry_of(message(n), None) == rows.read().entries[message(n).id] for n in (0, 250, 499))
    assert all(one != other for one, other in pairwise(sorted(rows.rows)))
