"""How much of an account's history a live sync brings."""

from __future__ import annotations

from chalicelib.sync.core.pace import FIRST_MESSAGES
from chalicelib.sync.engine.run import Outcome
from tests.worlds.live import Scene


def test_a_small_account_comes_at_once() -> None:
    scene = Scene()
    scene.fill("INBOX", 100)
    assert scene.live() is Outcome.CURRENT
    scene.world.check()


def test_of_a_large_account_the_first_screens_come_at_once_the_newest_first() -> None:
    scene = Scene()
    scene.fill("INBOX", 3_000)
    assert scene.live() is Outcome.MORE
    held = {message.date for message in scene.world.mail.all_messages.values()}
    assert FIRST_MESSAGES <= len(held) < 2 * FIRST_MESSAGES
    assert held == set(range(3_000 - len(held), 3_000))


def test_while_history_waits_only_what_is_new_comes() -> None:
    scene = Scene()
    scene.fill("INBOX", 1_500)
    scene.fill("Archive", 300, first=5_000)
    assert scene.live() is Outcome.MORE
    scene.waits = True
    before = set(scene.world.mail.all_messages)
    scene.fill("INBOX", 3, first=8_000)
    scene.fill("Archive", 2, first=9_000)
    scene.fill("Projects", 4, first=9_500)  # all of it was there before we first looked
    scene.world.server.flag("INBOX", next(iter(scene.world.server.boxes["INBOX"].messages)), "s")
    assert scene.live() is Outcome.MORE
    new = {scene.world.mail.all_messages[id].date for id in scene.world.mail.all_messages.keys() - before}
    assert new == {8_000, 8_001, 8_002, 9_000, 9_001}


def test_while_history_waits_a_folder_without_news_is_not_opened() -> None:
    scene = Scene()
    scene.fill("INBOX", 3_000)
    scene.fill("Archive", 300, first=5_000)
    assert scene.live() is Outcome.MORE
    scene.waits = True
    scene.world.server.steps.clear()
    assert scene.live() is Outcome.MORE
    assert scene.world.server.steps == []
    scene.fill("Archive", 1, first=9_000)
    assert scene.live() is Outcome.MORE
    assert scene.world.server.steps == ["Archive"]


def test_then_the_whole_history_comes_in_turns_and_is_complete() -> None:
    scene = Scene()
    scene.fill("INBOX", 1_200)
    scene.fill("Archive", 400, first=5_000)
    scene.live()
    scene.waits = True
    scene.live()
    assert scene.world.sync() is Outcome.CURRENT
    scene.world.check()
    assert scene.live() is Outcome.QUIET


def test_a_live_sync_with_nothing_new_neither_takes_the_lease_nor_writes() -> None:
    scene = Scene()
    scene.fill("INBOX", 1_500)
    scene.live()
    scene.waits = True
    scene.live()
    epoch, writes = scene.world.checkpoints.epoch, scene.world.fuse.count
    scene.live()
    assert (scene.world.checkpoints.epoch, scene.world.fuse.count) == (epoch, writes)


def test_whether_history_waits_is_asked_only_when_something_moved() -> None:
    scene = Scene()
    scene.fill("INBOX", 10)
    scene.live()
    scene.asked = 0
    assert scene.live() is Outcome.QUIET
    assert scene.asked == 0
