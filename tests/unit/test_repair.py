"""Reconciliation finds whatever the store says wrongly."""

from __future__ import annotations

import random

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.remote import Flags
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.requests import edits
from chalicelib.sync.safety.comparison import Findings, repair
from tests.fakes.mail import mail
from tests.fakes.services import MemoryQueues
from tests.worlds.sync import ACCOUNT, World


@pytest.fixture
def world() -> World:
    world = World()
    for number in range(250):
        folder = ("INBOX", "Sent")[number % 2]
        world.server.deliver(folder, mail(f"m{number}", number), ("", "s", "fs")[number % 3], at=number)
    world.sync()
    return world


def run(world: World, deadline: float = 60) -> Findings | None:
    work = SyncStores(
        mail=world.mail,
        checkpoints=world.checkpoints,
        blobs=world.blobs,
        accounts=world.accounts,  # type: ignore[arg-type]  # the two calls the engine makes
        provider=lambda account: world.server,
        history_days=world.history_days,
        now=lambda: world.now,
    )
    return repair(work, ACCOUNT, Deadline.after(deadline))


def test_what_is_right_is_not_written(world: World) -> None:
    before = world.fuse.count
    assert run(world) == Findings(folders=5)
    assert world.fuse.count == before + 1, "more than the lease was written"


def test_lost_forgotten_and_changed_messages_are_put_right(world: World) -> None:
    dice = random.Random(4)
    for box in world.server.boxes.values():  # a server that forgets to count
        changes = box.changes
        for id in dice.sample(sorted(box.messages), len(box.messages) // 4):
            box.messages.pop(id)
        for id in dice.sample(sorted(box.messages), len(box.messages) // 4):
            world.server.flag("INBOX" if box is world.server.boxes["INBOX"] else "Sent", id, "a")
        box.changes = changes
    lost = dice.sample(sorted(world.mail.all_messages), 30)
    for lost_id in lost:  # messages that could not be stored
        message = world.mail.all_messages.pop(lost_id)
        del world.mail.all_threads[message.thread_id]
        for place in message.places:
            del world.mail.all_locations[place.folder_id, place.remote_id]
    assert world.sync() and world.mail.all_messages
    findings = run(world)
    world.check()
    assert findings and findings.missing and findings.surplus


def test_an_edit_the_server_never_made_is_taken_back(world: World) -> None:
    folders = {folder.role: folder for folder in world.mail.all_folders.values()}
    before = {m.id: (m.folder_id, m.unread, m.starred) for m in world.mail.all_messages.values()}
    some = list(world.mail.all_messages.values())[:20]
    wanted = edits.Wanted(unread=True, starred=True, folder=folders["trash"])
    edits.update(world.mail, MemoryQueues(), ACCOUNT.id, some, wanted)
    assert {m.id: (m.folder_id, m.unread, m.starred) for m in world.mail.all_messages.values()} != before
    run(world)
    world.check()
    assert {m.id: (m.folder_id, m.unread, m.starred) for m in world.mail.all_messages.values()} == before


def test_an_edit_under_way_is_left_alone(world: World) -> None:
    world.mail.rev = int(world.now) * 1000
    [some, *_] = world.mail.all_messages.values()
    edits.update(world.mail, MemoryQueues(), ACCOUNT.id, [some], edits.Wanted(starred=not some.starred))
    run(world)
    assert world.mail.all_messages[some.id].starred is not some.starred


def test_mail_about_to_leave_the_window_is_not_fetched_again() -> None:
    world, day = World(history_days=30), 86_400
    for number, age in enumerate((1, 29, 31)):
        world.server.deliver("INBOX", mail(f"m{number}", number), at=int(world.now) - age * day)
    world.sync()
    old = next(m for m in world.mail.all_messages.values() if m.subject == "m1")
    del world.mail.all_messages[old.id]  # its time to live came early
    for place in old.places:
        del world.mail.all_locations[place.folder_id, place.remote_id]
    assert run(world) == Findings(folders=5)


def test_a_worker_at_the_account_is_not_disturbed(world: World) -> None:
    world.checkpoints.rival = True
    assert run(world) is None


def test_out_of_time_it_removes_only_what_it_has_compared(world: World) -> None:
    for box in world.server.boxes.values():
        box.messages.clear()
    findings = run(world, deadline=-1)
    assert findings == Findings(done=False)
    assert len(world.mail.all_messages) == 250


def test_flags_are_those_of_the_server(world: World) -> None:
    [id, *_] = world.server.boxes["INBOX"].messages
    world.server.flag("INBOX", id, "afs")
    run(world)
    assert Flags("afs") in world.flags_by_place().values()
    world.check()
