"""A second change of a mail before sync has seen the first: the copy has no name of the server's yet."""

from __future__ import annotations

import pytest

from chalicelib.domain.jobs import ApplyEdits, QueuedEdit
from chalicelib.domain.remote import Flags
from chalicelib.errors import Gone
from chalicelib.sync.requests import edits
from tests.fakes.mail import mail
from tests.fakes.services import MemoryQueues
from tests.worlds.sync import World


def change(world: World, queues: MemoryQueues, **wanted: object) -> None:
    [message] = world.mail.all_messages.values()
    edits.update(world.mail, queues, "a", [message], edits.Wanted(**wanted))  # type: ignore[arg-type]


def moved_and_marked() -> tuple[World, MemoryQueues]:
    world, queues = World(), MemoryQueues()
    world.server.deliver("INBOX", mail("one", 1), at=1)
    world.sync()
    trash = next(folder for folder in world.mail.all_folders.values() if folder.role == "trash")
    change(world, queues, folder=trash)
    change(world, queues, unread=False, starred=True)
    return world, queues


def test_both_changes_reach_the_server() -> None:
    world, queues = moved_and_marked()
    for job in queues.of(ApplyEdits):
        edits.apply(world.server, job.edits)
    assert list(world.server.everything().values()) == ["fs"]
    world.sync()
    world.check()


def test_the_second_change_waits_for_the_first() -> None:
    world, queues = moved_and_marked()
    first, second = (job.edits for job in queues.of(ApplyEdits))
    with pytest.raises(Gone):  # the queue repeats it
        edits.apply(world.server, second)
    for some in (first, second, second):
        edits.apply(world.server, some)
    assert list(world.server.everything().values()) == ["fs"]


def test_what_has_not_arrived_does_not_hold_up_the_others() -> None:
    world, queues = moved_and_marked()
    late = queues.of(ApplyEdits)[1].edits
    id = world.server.deliver("INBOX", mail("two", 2), at=2)
    other = QueuedEdit(collection="INBOX", item=id, add=Flags("f"), remove=Flags(""))
    with pytest.raises(Gone):
        edits.apply(world.server, [*late, other])
    assert world.server.everything()["INBOX", id] == "f"
