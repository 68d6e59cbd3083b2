"""Threads as syncing makes them: they end, outsiders do not merge them, and a crash tears none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from chalicelib import bounds
from chalicelib.domain.accounts.account import SyncState
from tests.fakes.store import Crash
from tests.worlds.sync import World

DAY = 86_400


def mail(number: int, subject: str, headers: str = "", to: str = "mira@kestrel.example") -> bytes:
    return (
        f"From: tide@harbour.example\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@harbour.example>\r\n{headers}\r\nbody of {number}\r\n"
    ).encode()


def sizes(world: World) -> list[int]:
    return sorted((len(thread.entries) for thread in world.mail.all_threads.values()), reverse=True)


def subjects(world: World) -> set[frozenset[str]]:
    """The threads by the subjects of their messages."""
    messages = world.mail.all_messages
    return {frozenset(messages[id].subject for id in t.entries) for t in world.mail.all_threads.values()}


@pytest.mark.parametrize(
    "header", ["References: <begin@harbour.example>", "In-Reply-To: <{before}@harbour.example>"]
)
def test_ever_more_mail_of_one_conversation_begins_threads(header: str) -> None:
    world = World()
    for number in range(1200):
        raw = mail(number, "disk is full", header.format(before=number - 1) + "\r\n")
        world.server.deliver("INBOX", raw, at=number)
    world.sync()
    for number in range(1200, 1300):
        raw = mail(number, "disk is full", header.format(before=number - 1) + "\r\n")
        world.server.deliver("INBOX", raw, at=number)
    world.sync()
    world.check()
    assert (max(sizes(world)) <= 500, sum(sizes(world)), len(sizes(world)) <= 5) == (True, 1300, True)
    assert world.accounts.account.state is SyncState.RUNNING


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "headers", ["References: {ids}", "In-Reply-To: {ids}", "References: {ids}\r\nIn-Reply-To: {ids}"]
)
def test_a_mail_that_names_eight_threads_merges_none(headers: str, first: bool) -> None:
    world = World()
    ids = " ".join(f"<{number}@harbour.example>" for number in range(8))
    spam = mail(99, "Win a boat", headers.format(ids=ids) + "\r\n")
    if first:
        world.server.deliver("INBOX", spam, at=99)
        world.sync()
    for number in range(8):
        world.server.deliver("INBOX", mail(number, f"Survey {number}"), at=number)
    world.sync()
    if not first:
        world.server.deliver("INBOX", spam, at=99)
        world.sync()
    world.check()
    assert sizes(world) == [2] + [1] * 7


@pytest.mark.parametrize("order", range(6))
def test_bare_replies_years_apart_and_of_strangers_stay_apart(order: int) -> None:
    mails = [
        (mail(1, "Hello"), 0), (mail(2, "Re: Hello"), 2 * DAY), (mail(3, "Re: Hello"), 400 * DAY),
        (mail(4, "Fwd: Invoice"), 0), (mail(5, "Fwd: Invoice"), 5 * DAY), (mail(6, "Fwd: Invoice"), 31 * DAY),
        (mail(7, "Re: Figures"), 0), (mail(8, "Re: Figures"), 30 * DAY), (mail(9, "Re: Figures"), 60 * DAY),
        (mail(10, "Re: Hello", to="other@elsewhere.example"), DAY),
    ]  # fmt: skip
    Random(order).shuffle(mails)
    world = World()
    for raw, at in mails:
        world.server.deliver("INBOX", raw, at=at)
        world.sync()
    world.check()
    assert sizes(world) == [2] + [1] * 8


def _story(world: World) -> None:
    """A letter, a late reply with an answer of its own, and then the letter that was really meant."""
    world.server.deliver("INBOX", mail(1, "Plan"), at=0)
    world.server.deliver("INBOX", mail(3, "Re: Plan"), at=3 * DAY)
    world.server.deliver(
        "INBOX", mail(4, "Plan of Monday", "In-Reply-To: <3@harbour.example>\r\n"), at=4 * DAY
    )
    world.sync()
    world.server.deliver("Sent", mail(2, "Plan (new)".removesuffix(" (new)")), at=2 * DAY)


def _numbers(world: World) -> set[frozenset[str]]:
    names = {m.id: (m.message_id or "")[1:-17] for m in world.mail.all_messages.values()}
    return {frozenset(names[id] for id in t.entries) for t in world.mail.all_threads.values()}


def test_a_reply_goes_over_to_the_letter_it_answers_with_all_that_hangs_on_it() -> None:
    world = World()
    _story(world)
    assert _numbers(world) == {frozenset("134")}
    world.sync()
    world.check()
    assert _numbers(world) == {frozenset("1"), frozenset("234")}


def _merger(world: World) -> None:
    """Two threads, and then what links them."""
    for number, headers in (
        (1, ""),
        (3, "In-Reply-To: <2@harbour.example>\r\n"),
        (4, "References: <3@harbour.example>\r\n"),
    ):
        world.server.deliver("INBOX", mail(number, f"Plan {number}", headers), at=number * DAY)
    world.sync()
    assert _numbers(world) == {frozenset("1"), frozenset("34")}
    world.server.deliver("Sent", mail(2, "Plan 2", "In-Reply-To: <1@harbour.example>\r\n"), at=2 * DAY)


@pytest.mark.parametrize(
    ("story", "threads"),
    [(_story, {frozenset("1"), frozenset("234")}), (_merger, {frozenset("1234")})],
)
def test_a_crash_while_threads_part_or_merge_is_repaired_by_the_next_run(
    story: Callable[[World], None], threads: set[frozenset[str]]
) -> None:
    for at in range(1, 200):
        world = World()
        story(world)
        world.fuse.at = len(world.fuse.points) + at
        with suppress(Crash):
            world.sync()
        reached = world.fuse.at is None
        world.fuse.at = None
        world.sync()
        world.check()
        assert _numbers(world) == threads, world.fuse.points[-1]
        if not reached:
            return
    raise AssertionError("the sync never ended")


def test_no_room_keeps_a_reply_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "THREAD_MESSAGES", 3)
    world = World()
    _story(world)
    world.server.deliver(
        "Sent", mail(5, "Re: Plan of Monday", "In-Reply-To: <2@harbour.example>\r\n"), at=5 * DAY
    )
    world.sync()
    world.check()
    assert max(sizes(world)) <= 3 and sum(sizes(world)) == 5
