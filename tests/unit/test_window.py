"""Which mail is kept, and what becomes of the rest when that is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.retention import Retention, is_over, latest, widest
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.mail import retention_change
from chalicelib.sync.safety.comparison import repair
from tests.fakes.mail import mail
from tests.fakes.provider import MemoryProvider
from tests.worlds.sync import ACCOUNT, World
from tests.worlds.windows import AGES, DAY, Windowed


def folder(id: str, role: str | None = None) -> Folder:
    return Folder(id=id, account_id="a", collection=id, display_name=id, role=role, created_at=1)


def test_a_folder_counts_before_its_role_and_both_before_the_account() -> None:
    window = Retention(days=30, exceptions={"spam": None, "trash": 0, "f2": 7})
    folders = [folder("f1"), folder("f2", "spam"), folder("f3", "spam"), folder("f4", "trash")]
    fixed = window.fixed(folders)
    assert [fixed.days_of(f.id) for f in folders] == [30, 7, None, 0]
    assert fixed.exceptions == {"f2": 7, "f3": None, "f4": 0}, "what is no exception stands there"
    assert fixed.excludes("f3") and not fixed.excludes("f4")


def test_mail_in_two_folders_stays_as_long_as_the_one_that_keeps_it_longer() -> None:
    window = Retention(days=30, exceptions={"long": 365, "all": 0, "none": None})
    assert window.expiry(1000, ["a"]) == 1000 + 32 * DAY == window.expiry(1000, [])
    assert window.expiry(1000, ["a", "long", "none"]) == 1000 + 367 * DAY
    assert window.expiry(1000, ["a", "all"]) == 0
    assert is_over(window.expiry(1000, ["none"]), 2000)


def test_the_later_end_of_life_is_the_one_that_never_comes() -> None:
    assert (latest(5, 9), latest(5, 0, 9), latest()) == (9, 0, 1)
    assert [is_over(moment, 100) for moment in (0, 99, 100, 101)] == [False, True, True, False]


def test_the_widest_of_two_windows_keeps_what_either_keeps() -> None:
    one, other = (
        Retention(days=30, exceptions={"a": None, "b": 0}),
        Retention(days=90, exceptions={"b": 5, "c": 400}),
    )
    wide = widest(one, other)
    assert [wide.days_of(id) for id in ("a", "b", "c", "d")] == [90, 0, 400, 90]


def test_a_change_sets_only_what_it_names() -> None:
    account = replace(ACCOUNT, history_days=30, folder_days={"spam": None, "x": 5})
    change = RetentionWish(exceptions={"x": 9}, dropped=frozenset({"spam"}))
    assert change.applied(account) == replace(account, folder_days={"x": 9})
    assert RetentionWish(sets_days=True).applied(account) == replace(account, history_days=None)


@pytest.fixture(params=[True, False], ids=["counting", "not counting"])
def world(request: pytest.FixtureRequest) -> Windowed:
    return Windowed(server=MemoryProvider(request.param))


def events(world: Windowed) -> list[Operation]:
    found = [change.event for change in world.mail.changes if change.kind == "message"]
    world.mail.changes.clear()
    return found


def test_an_account_has_its_own_window_and_lives_end_with_it(world: Windowed) -> None:
    world.history_days = 10
    world.keep(30)
    assert world.ages() == [1, 20] == world.ages("Junk")
    assert {m.expires_at - m.date for m in world.mail.all_messages.values()} == {32 * DAY}
    world.check_lives()


def test_the_application_counts_before_the_deployment() -> None:
    work = replace(World().workspace(), history_days=10, application_days={"app": 50}.get)
    assert work.window(ACCOUNT) == Retention(days=50)
    assert work.window(replace(ACCOUNT, application_id="other")) == Retention(days=10)
    assert work.window(replace(ACCOUNT, history_days=0)) == Retention(days=0)


def test_a_folder_may_keep_more_less_or_nothing(world: Windowed) -> None:
    world.keep(30, inbox=100)
    assert (world.ages(), world.ages("Junk")) == ([1, 20, 40, 80], [1, 20])
    world.keep(30, inbox=100, spam=None)
    assert (world.ages(), world.ages("Junk")) == ([1, 20, 40, 80], [])
    world.check_lives()
    world.server.deliver("Junk", mail("Junk 0", 777), at=int(world.now))
    world.sync()
    assert world.ages("Junk") == []
    world.keep(30, inbox=100)
    assert world.ages("Junk") == [0, 1, 20]


def test_a_narrower_window_removes_what_lies_before_it_with_deltas(world: Windowed) -> None:
    world.keep(0)
    assert world.ages() == list(AGES)
    events(world)
    world.keep(60)
    assert world.ages() == [1, 20, 40] == world.ages("Junk")
    told = events(world)
    assert told.count(Operation.DELETE) == 6 and Operation.CREATE not in told
    world.check_lives()


def test_a_wider_window_brings_what_is_missing_and_keeps_what_is_there_longer(world: Windowed) -> None:
    world.keep(30)
    ids = set(world.mail.all_messages)
    events(world)
    world.keep(100)
    assert world.ages() == [1, 20, 40, 80] == world.ages("Junk")
    told = events(world)
    assert told.count(Operation.CREATE) == 4 and Operation.DELETE not in told
    assert ids < set(world.mail.all_messages)
    assert {m.expires_at - m.date for m in world.mail.all_messages.values()} == {102 * DAY}
    world.check_lives()
    world.keep(0)
    assert world.ages() == list(AGES)
    assert {m.expires_at for m in world.mail.all_messages.values()} == {0}
    world.check_lives()


def test_a_window_made_narrower_and_wide_again_brings_everything_back(world: Windowed) -> None:
    world.keep(0)
    world.keep(30)
    assert world.ages() == [1, 20]
    world.keep(0)
    assert world.ages() == list(AGES) == world.ages("Junk")


def test_a_window_widened_after_a_year_brings_what_has_left_meanwhile(world: Windowed) -> None:
    """The folder was walked back to a moment long before the window that is asked for now."""
    world.keep(30)
    world.now += 365 * DAY
    world.server.deliver("INBOX", mail("INBOX 3", 500), at=world.date(3))
    world.sync()
    world.expire()
    assert world.ages() == [3]
    world.keep(400)
    assert world.ages() == [1, 3, 20]  # 366 and 385 days old by now


def test_nothing_is_written_or_read_anew_while_the_window_stands(world: Windowed) -> None:
    world.keep(30)
    writes = world.fuse.count
    world.mail.newest_messages = None  # type: ignore[assignment,method-assign]  # whoever asks fails
    assert world.sync() is Outcome.QUIET and world.fuse.count == writes


def test_fitting_goes_on_where_it_stopped(world: Windowed, monkeypatch: pytest.MonkeyPatch) -> None:
    world.keep(0)
    monkeypatch.setattr(retention_change, "SECONDS", 0.0)
    monkeypatch.setattr(retention_change, "_CHUNK", 2)
    places: list[Any] = []
    save = world.checkpoints.save

    def noting(lease: Any, folder_id: str, cursor: Any, tally: Any = None) -> None:
        save(lease, folder_id, cursor, tally)
        if folder_id == retention_change.KEY:
            places.append(retention_change.load(cursor))

    world.checkpoints.save = noting  # type: ignore[method-assign]  # the same, noted
    world.keep(60)
    world.check_lives()
    assert world.ages() == [1, 20, 40]
    assert len(places) > 4 and [place.was is None for place in places][-1]
    assert sorted((place.place for place in places[:-1]), reverse=True) == [p.place for p in places[:-1]]


def test_a_change_of_mind_half_way_leaves_nothing_behind(
    world: Windowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep(0)
    world.accounts.account = replace(world.accounts.account, history_days=30)
    monkeypatch.setattr(retention_change, "_CHUNK", 1)
    monkeypatch.setattr(retention_change, "SECONDS", -1.0)
    fit = retention_change.RetentionChange.run

    def once(self: retention_change.RetentionChange, *args: Any) -> bool:
        fit(self, *args)
        monkeypatch.setattr(retention_change.RetentionChange, "run", lambda *_: True)
        return True

    monkeypatch.setattr(retention_change.RetentionChange, "run", once)
    world.sync()
    assert len(world.mail.all_messages) > 4, "the pass was not interrupted"
    monkeypatch.undo()
    world.keep(60)
    assert world.ages() == [1, 20, 40] == world.ages("Junk")
    world.check_lives()


def test_a_copy_in_a_folder_that_keeps_longer_keeps_the_first_one_known(world: Windowed) -> None:
    world.keep(30, sent=365)
    inbox = world.server.boxes["INBOX"]
    world.server.boxes["Sent"].add(inbox.messages[min(inbox.messages)])
    world.sync()
    [both] = [m for m in world.mail.all_messages.values() if len(m.places) == 2]
    assert both.expires_at == both.date + 367 * DAY
    world.check_lives()


def test_mail_a_thread_keeps_leaves_the_others_behind(world: Windowed) -> None:
    world.server.deliver("INBOX", mail("INBOX 2", 600, "<4@harbour.example>"), at=world.date(2))
    world.keep(0)
    [thread] = [t for t in world.mail.all_threads.values() if len(t.entries) == 2]
    world.keep(30)
    after = world.mail.all_threads[thread.id]
    assert len(after.entries) == 1 and after.version == thread.version + 1
    world.check_lives()


@pytest.mark.parametrize("second", range(1, 80))
def test_a_worker_that_dies_in_a_first_sync_leaves_no_mail_that_nobody_wants(second: int) -> None:
    """Neither because the window it was stored under is forgotten, nor by way of the quarantine."""
    world = Windowed()
    for at in (12, second, 4):
        world.sync_with_a_crash(at)
    world.keep(0, inbox=None)
    world.now += 30 * 3600
    world.sync()
    repair(world.workspace(), world.accounts.account, Deadline.after(60))
    held = [place.folder_id for message in world.mail.all_messages.values() for place in message.places]
    [inbox] = (folder.id for folder in world.mail.folders("a") if folder.role == "inbox")
    assert inbox not in held


def test_a_copy_that_only_another_folder_kept_goes_with_it() -> None:
    world = Windowed()
    boxes = world.server.boxes
    boxes["Junk"].add(next(iter(boxes["INBOX"].messages.values())))
    world.keep(0, inbox=5)
    world.now += 8 * DAY
    world.keep(5)
    world.keep(5)
    assert not world.mail.all_messages


@pytest.mark.parametrize("at", range(1, 60))
def test_a_window_changed_back_after_a_crash_leaves_no_row_that_ends_before_its_message(at: int) -> None:
    world = Windowed()
    world.keep(0)
    world.accounts.account = replace(world.accounts.account, history_days=5)
    world.sync_with_a_crash(at)
    world.keep(0)
    ends = {location.expires_at for location in world.mail.all_locations.values()}
    assert ends == {0}


@pytest.mark.parametrize("at", range(1, 40))
def test_mail_that_ended_while_a_wider_window_waited_for_a_worker_comes_again(at: int) -> None:
    world = Windowed()
    world.keep(5)
    world.accounts.account = replace(world.accounts.account, history_days=0)
    world.sync_with_a_crash(at)
    world.now += 8 * DAY
    world.expire()
    world.keep(0)
    world.keep(0)
    assert len(world.mail.all_messages) == 2 * len(AGES)
