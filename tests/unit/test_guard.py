"""Much is not removed at once before a second look on another connection, or the owner's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from chalicelib.clock import Deadline
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.sync.core.stores import Safety
from chalicelib.sync.engine import session
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.safety.comparison import repair
from tests.fakes.inline import Inline
from tests.fakes.mail import LARGE, mail
from tests.fakes.provider import Box, MemoryProvider
from tests.fakes.store import Crash
from tests.worlds.machines import EXAMPLES, FOLDERS, SyncMachine
from tests.worlds.sync import World

WAIT = 600


def filled(counts: bool, number: int = 50, few: int = 20) -> World:
    world = World(server=MemoryProvider(counts), safety=Safety(seconds=WAIT, few=few))
    world.server.boxes["Old"] = Box(uidvalidity=7)
    for n in range(number):
        world.server.deliver("INBOX", mail(f"m{n}", n), at=n)
        world.server.deliver("Old", mail(f"o{n}", 1_000 + n), at=n)
    world.sync()
    world.check()
    return world


@pytest.fixture(params=[True, False], ids=["counted", "uncounted"])
def world(request: pytest.FixtureRequest) -> World:
    return filled(request.param)


def expunge(world: World, number: int, folder: str = "INBOX") -> None:
    for id in sorted(world.server.boxes[folder].messages)[:number]:
        world.server.expunge(folder, id)


def held(world: World) -> int:
    return len(world.mail.all_messages)


def vanish(world: World) -> None:
    del world.server.boxes["Old"]


LOSSES: dict[str, Callable[[World], None]] = {
    "expunged": lambda world: expunge(world, len(world.server.boxes["Old"].messages) * 4 // 5, "Old"),
    "folder gone": vanish,
}


def lose(world: World, how: str) -> None:
    """Take most of the folder `Old` away."""
    LOSSES[how](world)
    assert world.sync() in (Outcome.CURRENT, Outcome.QUIET)
    assert held(world) == 100, "removed at the first look"
    [mark] = world.accounts.account.frozen
    expected = (40, 50, False) if how == "expunged" else (50, 50, True)
    assert (mark.count, mark.held, mark.vanished) == expected
    assert (mark.name, mark.since) == ("Old", int(world.now))


@pytest.mark.parametrize("how", LOSSES)
def test_most_of_a_folder_goes_only_when_a_later_look_confirms_it(world: World, how: str) -> None:
    lose(world, how)
    world.now += WAIT - 1
    world.sync()
    assert held(world) == 100, "removed too early"
    world.now += 1
    world.sync()
    world.check()
    assert held(world) == (60 if how == "expunged" else 50)
    assert world.accounts.account.frozen == ()
    assert "Old" in {f.collection for f in world.mail.all_folders.values()} or how == "folder gone"


@pytest.mark.parametrize("how", LOSSES)
def test_while_it_waits_a_quiet_poll_writes_nothing(world: World, how: str) -> None:
    lose(world, how)
    world.now += 60
    writes = world.fuse.count
    assert world.sync() is Outcome.QUIET
    assert world.fuse.count == writes


def test_while_it_waits_the_folder_is_not_listed_again_and_again() -> None:
    world = filled(counts=True)
    lose(world, "expunged")

    def listing(*arguments: object) -> dict[RemoteId, Flags]:
        raise AssertionError("the folder was listed too early")

    world.server.listing = listing  # type: ignore[method-assign,assignment]
    world.now += WAIT - 1
    assert world.sync() is Outcome.QUIET


@pytest.mark.parametrize("how", LOSSES)
def test_the_word_of_the_owner_is_enough(world: World, how: str) -> None:
    lose(world, how)
    account = world.accounts.account
    [mark] = account.frozen
    world.accounts.account = replace(account, frozen=(replace(mark, confirmed=True),))
    world.sync()
    world.check()
    assert world.accounts.account.frozen == ()


def test_live_changes_of_the_folder_go_on_meanwhile(world: World) -> None:
    lose(world, "expunged")
    world.server.deliver("Old", mail("news", 9_000), at=9_000)
    left = sorted(world.server.boxes["Old"].messages)
    world.server.flag("Old", left[0], "fs")
    world.sync()
    assert held(world) == 101
    flagged = [m for m in world.mail.all_messages.values() if m.starred]
    assert len(flagged) == 1
    steps = world.server.steps = []
    world.sync()
    assert world.server.counts is (not steps), "the folder was read again although nothing had changed"


def test_a_few_removals_are_made_at_once_while_others_wait() -> None:
    world = filled(counts=True)
    lose(world, "expunged")
    expunge(world, 3, "INBOX")
    world.sync()
    assert held(world) == 97


def test_mail_that_comes_back_is_removed_no_more(world: World) -> None:
    box = world.server.boxes["Old"]
    kept = dict(box.messages)
    lose(world, "expunged")
    box.messages.update(kept)
    box.changes += 1
    world.now += WAIT
    world.sync()
    world.check()
    assert held(world) == 100 and world.accounts.account.frozen == ()


def test_a_folder_that_comes_back_keeps_its_mail(world: World) -> None:
    box = world.server.boxes["Old"]
    lose(world, "folder gone")
    world.mail.changes.clear()
    world.server.boxes["Old"] = box
    world.now += WAIT
    world.sync()
    world.check()
    assert world.accounts.account.frozen == ()
    assert not [change for change in world.mail.changes if change.kind == "message"]


def test_a_folder_that_comes_back_empty_under_a_new_uidvalidity_is_guarded(world: World) -> None:
    world.server.boxes["Old"] = Box(uidvalidity=8)
    world.sync()
    assert held(world) == 100
    [mark] = world.accounts.account.frozen
    assert mark.count == 50


@pytest.mark.parametrize(("number", "left"), [(20, 40), (21, 60)])
def test_twenty_messages_are_few_even_if_they_are_most(number: int, left: int) -> None:
    world = filled(counts=True, number=30)
    expunge(world, number)
    world.sync()
    assert held(world) == left


@pytest.mark.parametrize(("number", "left"), [(20, 20), (21, 42)])
def test_a_folder_of_twenty_messages_goes_with_them(number: int, left: int) -> None:
    world = filled(counts=True, number=number)
    vanish(world)
    world.sync()
    assert held(world) == left


@pytest.mark.parametrize("number", [20, 25])
def test_few_messages_or_half_of_them_go_at_once(world: World, number: int) -> None:
    expunge(world, number)
    world.sync()
    world.check()
    assert held(world) == 100 - number and world.accounts.account.frozen == ()


def test_a_new_uidvalidity_removes_and_freezes_nothing(world: World) -> None:
    world.mail.changes.clear()
    world.server.renumber("INBOX")
    world.sync()
    world.check()
    assert world.accounts.account.frozen == ()
    assert not [change for change in world.mail.changes if change.event is Operation.DELETE]


def test_moving_a_whole_folder_elsewhere_is_a_move(world: World) -> None:
    ids = set(world.mail.all_messages)
    world.mail.changes.clear()
    for id in sorted(world.server.boxes["Old"].messages):
        world.server.move("Old", id, "Trash")
    world.sync()
    world.check()
    assert set(world.mail.all_messages) == ids and world.accounts.account.frozen == ()
    events = {change.event for change in world.mail.changes if change.kind == "message"}
    assert events == {Operation.MODIFY}


def test_a_large_folder_moved_while_its_target_comes_in_pieces_is_still_a_move(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than one batch arrives in the other folder: what is not there yet must not be deleted."""
    monkeypatch.setattr(session, "SIZES", (20,))
    world = filled(counts=True)
    world.mail.changes.clear()
    for id in sorted(world.server.boxes["Old"].messages):
        world.server.move("Old", id, "Trash")
    world.sync()
    world.check()
    assert {change.event for change in world.mail.changes if change.kind == "message"} == {Operation.MODIFY}


def test_a_renamed_folder_keeps_its_messages(world: World) -> None:
    ids = set(world.mail.all_messages)
    world.mail.changes.clear()
    world.server.boxes["New"] = replace(world.server.boxes.pop("Old"), uidvalidity=9)
    world.sync()
    world.check()
    assert set(world.mail.all_messages) == ids and world.accounts.account.frozen == ()
    assert not [c for c in world.mail.changes if c.kind == "message" and c.event is not Operation.MODIFY]


def test_a_loss_that_grows_waits_anew() -> None:
    world = filled(counts=True, number=200)
    expunge(world, 110, "Old")
    world.sync()
    expunge(world, 60, "Old")
    world.now += WAIT
    world.sync()
    assert held(world) == 400, "what was seen for the first time went with the rest"
    [mark] = world.accounts.account.frozen
    assert (mark.count, mark.since) == (170, int(world.now))
    world.now += WAIT
    world.sync()
    world.check()


def test_the_comparison_freezes_too(world: World) -> None:
    box = world.server.boxes["Old"]
    for id in sorted(box.messages)[:40]:
        box.messages.pop(id)  # a server that forgets to count
    repair(world.workspace(), world.accounts.account, Deadline.after(60))
    assert held(world) == 100
    assert [mark.count for mark in world.accounts.account.frozen] == [40]
    world.now += WAIT
    world.sync()
    world.check()


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("how", LOSSES)
def test_a_crash_at_any_point_neither_removes_early_nor_forgets(
    how: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ThreadPoolExecutor", Inline)
    for look in (1, 2):
        at = 0
        while True:
            at += 1
            world = filled(counts, number=10, few=5)
            LOSSES[how](world)
            if look == 2:
                world.sync()
                world.now += WAIT
            world.fuse.at = len(world.fuse.points) + at
            try:
                world.sync()
            except Crash:
                crashed = True
            else:
                crashed = False
            world.fuse.at = None
            if not crashed:
                break
            world.sync()
            if look == 1:
                assert held(world) == 20, f"removed at the first look, crash {at}"
                world.now += WAIT
                world.sync()
            world.check()
            assert world.accounts.account.frozen == ()


class GuardedMachine(SyncMachine):
    """The machine of test_sync_machine with a guard that is easily alarmed."""

    @initialize(counts=st.booleans(), large=st.sampled_from([0, LARGE]))
    def begin(self, counts: bool, large: int) -> None:
        super().begin(counts, large)
        self.world.safety = Safety(seconds=WAIT, few=2)

    @rule(folder=FOLDERS, share=st.integers(1, 4))
    def lose_most(self, folder: str, share: int) -> None:
        for id in self._all(folder)[::share]:
            self.server.expunge(folder, id)

    @rule(folder=FOLDERS, into=FOLDERS)
    def move_all(self, folder: str, into: str) -> None:
        for id in self._all(folder):
            if into in self.server.boxes:
                self.server.move(folder, id, into)

    @rule()
    def rename(self) -> None:
        for old, new in (("Old", "New"), ("New", "Old")):
            if old in self.server.boxes and new not in self.server.boxes:
                self.server.boxes[new] = replace(self.server.boxes.pop(old), uidvalidity=self.number)
                return

    def _all(self, folder: str) -> list[RemoteId]:
        box = self.server.boxes.get(folder)
        return sorted(box.messages) if box else []

    def settle(self) -> None:
        for _ in range(4):  # a loss may have grown once, or its target come in late
            if not self.world.accounts.account.frozen:
                return
            self.world.now += WAIT
            assert self.world.sync() in (Outcome.CURRENT, Outcome.QUIET)


TestGuarded = GuardedMachine.TestCase
TestGuarded.settings = settings(
    max_examples=max(EXAMPLES // 3, 20),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
