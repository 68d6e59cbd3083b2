"""A mailbox that never rests: at every checkpoint the store is the server, and an idle hour writes nothing.

One mailbox is followed by three accounts: its server tells them much, less and nothing about changes.
POSTERN_MUTATE_SECONDS sets for how long; `make mutator-test` takes ten minutes.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from chalicelib import bounds
from chalicelib.clock import Deadline
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.safety.comparison import repair
from infra.demo.dovecot import Dovecot
from infra.demo.visitor import fill
from tests.fakes.restless import Restless
from tests.worlds.mailroom import PLAIN, Mailroom, dovecot

pytestmark = pytest.mark.server
SECONDS = float(os.environ.get("POSTERN_MUTATE_SECONDS", "12"))
USER = "restless@kestrel.example"
CHECKPOINT_SECONDS = 4 if SECONDS < 60 else 15
TICKS = 60
TRUE_LISTING = "mailbox_list_index = no"
"""Dovecot's index of folders goes on listing, now and then, one that was deleted below another."""
WITHOUT = {
    "every extension": frozenset[str](),
    "CONDSTORE only": frozenset({"QRESYNC"}),
    "no extension": frozenset({"QRESYNC", "CONDSTORE", "LIST-STATUS", "UNSELECT"}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(f"{PLAIN}\n{TRUE_LISTING}") as running:
        fill(running, USER, 60)
        yield running


def test_a_mailbox_that_never_rests_is_followed_without_loss(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RENEWALS", "RENEWALS_AT_ONCE"):  # a folder that is numbered anew every second would rest
        monkeypatch.setattr(bounds, name, sys.maxsize)
    rooms = {name: Mailroom(server, USER, without=without) for name, without in WITHOUT.items()}
    person, outcomes, checkpoints = Restless(server, USER, seed=int(SECONDS)), Counter[str](), 0
    with person.working():
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            follow(rooms, outcomes, min(end, time.monotonic() + CHECKPOINT_SECONDS))
            with person.resting():
                checkpoints += 1
                if checkpoints % 2:
                    person.lose_numbers()
                for name, room in rooms.items():
                    check(name, room)
    report(rooms, person, outcomes, checkpoints)
    for name, room in rooms.items():
        check(name, room)  # the person went on after the last checkpoint
        check_that_nothing_is_missed(name, room)
        check_an_idle_hour(name, room)


def follow(rooms: dict[str, Mailroom], outcomes: Counter[str], until: float) -> None:
    """Sync all accounts in turn while the mailbox changes."""
    while time.monotonic() < until:
        for room in rooms.values():
            outcome = room.try_to_sync()
            outcomes[outcome.value if outcome else f"failed: {room.errors[-1].message[:60]}"] += 1


def check(name: str, room: Mailroom) -> None:
    try:
        room.settle()
        room.check()
    except AssertionError as error:
        error.add_note(f"account with {name}")
        raise


def check_that_nothing_is_missed(name: str, room: Mailroom) -> None:
    """A comparison with the server as a whole finds nothing to put right."""
    told = len(room.world.mail.changes)
    work = room.world.workspace(room.connect())
    findings = repair(work, room.world.accounts.account, Deadline.after(120), settled=0)
    assert findings is not None and findings.done
    assert (findings.missing, findings.surplus, len(room.world.mail.changes) - told) == (0, 0, 0), name


def check_an_idle_hour(name: str, room: Mailroom) -> None:
    writes = room.world.fuse.count
    for _ in range(TICKS):
        room.world.now += 60
        assert room.sync() is Outcome.QUIET
    assert room.world.fuse.count == writes, f"an idle hour wrote something: {name}"


def report(rooms: dict[str, Mailroom], person: Restless, outcomes: Counter[str], checkpoints: int) -> None:
    print(f"\n{checkpoints} checkpoints, {person.done.total()} acts: {dict(person.done.most_common())}")
    print(f"syncs: {dict(outcomes.most_common())}")
    for name, room in rooms.items():
        mail = room.world.mail
        print(f"{name}: {len(mail.all_messages)} messages, {len(mail.changes)} changes told")
