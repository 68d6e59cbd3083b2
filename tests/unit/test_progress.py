"""How far a sync has come: counted on the way, saved with the cursors, at no cost of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.remote import ChangeBatch, Cursor
from chalicelib.domain.sync.progress import Tally, percent, progress_of, seconds_left
from chalicelib.sync.core.tallies import Tallies
from chalicelib.sync.engine import session
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.safety.comparison import repair
from chalicelib.wire.accounts import progress as wire
from tests.fakes.mail import mail
from tests.fakes.provider import MemoryProvider
from tests.fakes.store import Crash
from tests.worlds.sync import World


@pytest.fixture(params=[True, False], ids=["counting", "not counting"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(session, "SIZES", (20, 30, 50))
    world = World(server=MemoryProvider(request.param))
    for number in range(900):
        folder = ("INBOX", "Sent", "Trash")[number % 3]
        world.server.deliver(folder, mail(f"m{number}", number), at=number)
    return world


def shown(world: World) -> dict[str, Any]:
    """What the API would show now."""
    account, folders = world.accounts.account, world.mail.folders("a")
    tallies = world.checkpoints.tallies("a")
    return wire.dump(account, progress_of(folders, world.workspace().window(account), tallies, world.now))


def watched(world: World) -> list[dict[str, Any]]:
    """Sync and return what the API would have shown after each cursor that was saved."""
    seen: list[dict[str, Any]] = []
    save = world.checkpoints.save

    def saving(lease: Any, folder_id: str, cursor: Any, tally: Any = None) -> None:
        save(lease, folder_id, cursor, tally)
        world.now += 2
        seen.append(shown(world))

    world.checkpoints.save = saving  # type: ignore[method-assign]  # the same, watched
    world.sync()
    world.checkpoints.save = save  # type: ignore[method-assign]
    return seen


def counts(progress: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {f["display_name"]: (f["synced"], f["expected"]) for f in progress["folders"]}


def test_progress_rises_to_100_percent_and_never_falls(world: World) -> None:
    seen = watched(world)
    told = [one["percent"] for one in seen if one["percent"] is not None]
    assert len(told) > 5 and told == sorted(told)
    assert told[-1] == 100.0 and all(one < 100 for one in told[: told.index(100.0)])
    by_folder = [next(f["percent"] for f in one["folders"] if f["display_name"] == "Sent") for one in seen]
    assert [one for one in by_folder if one] == sorted(one for one in by_folder if one)
    assert {one["expected"] for one in seen} == {None, 900}
    assert seen[-1]["state"] == "synced" and seen[-1]["seconds_left"] == 0


def test_a_rate_and_the_time_left_follow_what_comes(world: World) -> None:
    under_way = [one for one in watched(world) if one["state"] == "syncing" and one["expected"]]
    assert under_way and all(one["rate"] > 0 and one["seconds_left"] > 0 for one in under_way)
    last = under_way[-1]
    assert last["seconds_left"] < under_way[0]["seconds_left"]


def test_arrivals_removals_and_moves_are_counted(world: World) -> None:
    world.sync()
    assert counts(shown(world))["INBOX"] == (300, 300)
    ids = sorted(world.server.boxes["INBOX"].messages)
    world.server.expunge("INBOX", ids[0])
    world.server.move("INBOX", ids[1], "Trash")
    world.server.deliver("INBOX", mail("new", 5000), at=5000)
    world.sync()
    found = counts(shown(world))
    assert (found["INBOX"], found["Trash"], found["Sent"]) == ((299, 299), (301, 301), (300, 300))


def test_a_quiet_sync_neither_writes_nor_reads_tallies(world: World) -> None:
    world.sync()
    writes = world.fuse.count

    def asked(account_id: str) -> Any:
        raise AssertionError("tallies were read")

    world.checkpoints.tallies = asked  # type: ignore[method-assign]
    assert world.sync() is Outcome.QUIET and world.fuse.count == writes


def test_a_worker_that_died_leaves_a_count_that_heals(world: World) -> None:
    """What was stored and not yet counted is counted when the folder is complete."""
    for at in range(20, 400, 35):
        world.fuse.at = len(world.fuse.points) + at
        try:
            world.sync()
        except Crash:
            continue
    world.fuse.at = None
    world.sync()
    assert shown(world)["percent"] == 100.0
    assert counts(shown(world))["Sent"] == (300, 300) == counts(shown(world))["INBOX"]


def test_a_new_uidvalidity_counts_nothing_twice(world: World) -> None:
    world.sync()
    world.server.renumber("Sent")
    world.sync()
    assert counts(shown(world))["Sent"] == (300, 300)


def test_a_wider_window_is_counted_anew_and_no_message_twice(world: World) -> None:
    world.now = 86_400 * 3000.0
    for number, age in enumerate((1, 10, 50, 400), 2000):
        world.server.deliver("INBOX", mail("x", number), at=int(world.now) - age * 86_400)
    world.accounts.account = replace(world.accounts.account, history_days=30)
    world.sync()
    assert counts(shown(world))["INBOX"] == (2, 2)
    world.accounts.account = replace(world.accounts.account, history_days=100)
    world.sync()
    assert (counts(shown(world))["INBOX"], shown(world)["percent"]) == ((3, 3), 100.0)


def test_a_narrower_window_leaves_a_true_count(world: World) -> None:
    world.now = 86_400 * 3000.0
    for number, age in enumerate((1, 10, 50, 400), 2000):
        world.server.deliver("INBOX", mail("x", number), at=int(world.now) - age * 86_400)
    world.sync()
    assert counts(shown(world))["INBOX"] == (304, 304)
    world.accounts.account = replace(world.accounts.account, history_days=30)
    world.sync()
    assert counts(shown(world))["INBOX"] == (2, 2) and counts(shown(world))["Sent"] == (0, 0)
    assert world.sync() is Outcome.QUIET


def test_the_comparison_takes_off_what_has_grown_old(world: World) -> None:
    world.sync()
    for key in list(world.mail.all_locations)[:5]:  # at the end of their lives
        location = world.mail.all_locations.pop(key)
        world.mail.all_messages.pop(location.message_id)
    late = replace(world.workspace(), history_days=1)
    repair(late, world.accounts.account, Deadline.after(60))
    assert shown(world)["synced"] == 895
    writes = world.fuse.count
    repair(late, world.accounts.account, Deadline.after(60))
    assert world.fuse.count == writes + 1, "more than the lease was written"


def test_an_excluded_folder_is_no_part_of_the_whole(world: World) -> None:
    world.accounts.account = replace(world.accounts.account, folder_days={"trash": None})
    world.sync()
    progress = shown(world)
    assert (progress["synced"], progress["percent"], progress["state"]) == (600, 100.0, "synced")
    [trash] = [folder for folder in progress["folders"] if folder["name"] == "trash"]
    assert (trash["state"], trash["synced"], trash["expected"]) == ("excluded", 0, None)


def test_percent_and_time_at_their_ends() -> None:
    assert [percent(0, 0), percent(0, 5), percent(1, 2), percent(10**9, 1)] == [100.0, 0.0, 33.3, 99.9]
    assert [seconds_left(0, 0), seconds_left(9, 0), seconds_left(9, 2)] == [0, None, 5]


def test_a_rate_forgets_the_far_past() -> None:
    tally = Tally().after(1000, 9000, now=10.0, seconds=10)
    assert tally.rate == 100.0
    for step in range(1, 11):
        tally = tally.after(1000 + 100 * step, 9000 - 100 * step, now=10.0 + 10 * step, seconds=10)
    assert 10 <= tally.rate < 15
    assert tally.speed(110.0) == tally.rate and tally.speed(110.0 + 1000) == 0.0


def test_what_is_read_for_another_reason_sets_the_count_right() -> None:
    tallies = Tallies(lambda: {"f": Tally(synced=3, left=9, at=1.0)}, now=lambda: 5.0)
    tallies.note("f", 7)
    tallies.add("f", ChangeBatch(cursor=Cursor(""), more=True, history_left=4), new=2)
    found = tallies.find("f")
    assert found and (found.synced, found.left) == (9, 4)
    tallies.add("f", ChangeBatch(cursor=Cursor("")), new=0, removed=1)
    found = tallies.find("f")
    assert found and (found.synced, found.left) == (8, 0)
