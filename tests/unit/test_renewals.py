"""Servers that number a mailbox anew again and again, or give its UIDs to other mail."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from chalicelib.domain.log.delta import Operation
from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Cursor, Known
from chalicelib.errors import CursorExpired, ProviderError
from chalicelib.sync.engine import session
from tests.fakes.mail import mail
from tests.fakes.provider import Box, MemoryProvider
from tests.worlds.sync import World

HOUR, DAY = 3_600, 86_400


class Restless(MemoryProvider):
    """Gives the folders named another UIDVALIDITY each time they are opened."""

    def __init__(self, *folders: str, counts: bool = True) -> None:
        super().__init__(counts)
        self.restless = set(folders)
        self.fetched: Counter[str] = Counter()

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        if collection.id in self.restless:
            self.renumber(collection.id)
        batch = super().changes(collection, cursor, known, budget)
        self.fetched[collection.id] += len(batch.arrived)
        return batch


def restless(*folders: str, counts: bool = True, number: int = 19) -> tuple[World, Restless]:
    server = Restless(*folders, counts=counts)
    for each in range(number):
        server.deliver("Sent", mail(f"m{each}", each), at=each)
    server.deliver("INBOX", mail("inbox", 900), at=900)
    return World(server=server), server


@pytest.mark.parametrize("counts", [True, False])
def test_a_folder_that_is_always_numbered_anew_is_fetched_a_few_times_a_day(counts: bool) -> None:
    world, server = restless("Sent", counts=counts)
    for _ in range(DAY // 300):
        world.sync()
        server.boxes["Sent"].changes += 1  # the listing never stands still
        world.now += 300
    assert server.fetched["Sent"] <= 19 * 50, "days of refetching"
    assert len(world.mail.all_messages) == 20
    held = sum(one.message_id in world.mail.all_messages for one in world.mail.all_locations.values())
    assert held <= 20 * 4, "names of old generations pile up"


def test_the_others_go_on_and_the_account_says_why() -> None:
    world, server = restless("Sent", counts=False)
    for number in range(6):
        server.deliver("INBOX", mail(f"new {number}", 500 + number), at=500 + number)
        world.sync()
        world.now += 60
    assert {m.subject for m in world.mail.all_messages.values()} >= {f"new {n}" for n in range(6)}
    trouble = world.accounts.account.trouble
    assert trouble and trouble.is_partial and "numbered a folder anew" in trouble.reason


def test_an_account_of_which_every_folder_is_numbered_anew_fails_as_a_whole() -> None:
    world, server = restless(*MemoryProvider().boxes, counts=False)
    with pytest.raises(ProviderError, match="numbered a folder anew"):
        for _ in range(3):
            world.sync()
    steps = len(server.steps)
    with pytest.raises(ProviderError):
        world.sync()
    assert len(server.steps) == steps, "a folder that rests was opened"


def test_a_folder_in_many_pieces_is_not_begun_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SIZES", (5,))
    world, server = restless("Sent", number=60)
    world.sync()
    assert server.fetched["Sent"] <= 5 * 8


@pytest.mark.parametrize("counts", [True, False])
def test_one_that_comes_to_its_senses_is_taken_up_again(counts: bool) -> None:
    world, server = restless("Sent", counts=counts)
    for _ in range(3):
        world.sync()
    server.restless.clear()
    server.deliver("Sent", mail("late", 700), at=700)
    world.now += HOUR
    world.sync()
    world.sync()
    world.check()
    assert world.accounts.account.trouble is None


@pytest.mark.parametrize("counts", [True, False])
def test_a_server_that_is_moved_ten_times_in_a_day_is_followed_each_time(counts: bool) -> None:
    world, server = restless(counts=counts)
    for _ in range(10):
        world.sync()
        server.renumber("Sent")
        world.now += HOUR
        world.sync()
        world.check()
    assert world.accounts.account.trouble is None


def set_back(world: World, server: MemoryProvider, kept: int, new: int) -> None:
    """Put a backup of Sent back that knew so many messages, after which so many others came."""
    box = server.boxes["Sent"]
    old = dict(sorted(box.messages.items())[:kept])
    server.boxes["Sent"] = Box(
        uidvalidity=box.uidvalidity, uidnext=kept + 1, messages=old, changes=box.changes + 1
    )
    for number in range(new):
        server.deliver("Sent", mail(f"other {number}", 600 + number), at=600 + number)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize(("kept", "new"), [(12, 0), (12, 3), (0, 2), (18, 0)])
def test_a_mailbox_put_back_from_a_backup_shows_what_is_in_it(counts: bool, kept: int, new: int) -> None:
    world, server = restless(counts=counts)
    world.sync()
    before = {m.subject: m.id for m in world.mail.all_messages.values()}
    set_back(world, server, kept, new)
    for _ in range(2):
        world.sync()
    world.check()
    after = {m.subject: m.id for m in world.mail.all_messages.values()}
    expected = {"inbox", *(f"m{n}" for n in range(kept)), *(f"other {n}" for n in range(new))}
    assert after.keys() == expected
    assert all(before[subject] == id for subject, id in after.items() if subject in before)


def test_mail_that_lies_under_the_uid_of_other_mail_is_told_as_new_and_the_other_as_gone() -> None:
    world, server = restless()
    world.sync()
    world.mail.changes.clear()
    set_back(world, server, kept=17, new=1)
    world.sync()
    world.check()
    told = Counter(change.event for change in world.mail.changes if change.kind == "message")
    assert told == {Operation.CREATE: 1, Operation.DELETE: 2}


@pytest.mark.parametrize("at", range(1, 120, 7))
def test_a_crash_while_it_is_put_right_changes_nothing(at: int) -> None:
    world, server = restless()
    world.sync()
    set_back(world, server, kept=15, new=4)
    world.sync_with_a_crash(at)
    for _ in range(2):
        world.sync()
    world.let_in_what_was_set_aside()
    world.check()


def test_a_listing_of_a_mailbox_that_was_put_back_is_not_compared_with_old_names() -> None:
    world, server = restless()
    world.sync()
    set_back(world, server, kept=5, new=1)
    [folder] = [one for one in world.mail.all_folders.values() if one.collection == "Sent"]
    sent = next(one for one in server.collections() if one.id == "Sent")
    with pytest.raises(CursorExpired):
        server.changes(replace(sent), world.checkpoints.saved[folder.id], dict, BatchLimits())
