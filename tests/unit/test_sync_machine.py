"""Sync under a mailbox that never rests and a worker that dies, played by hypothesis."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.worlds.machines import EXAMPLES, SyncMachine


def test_of_threads_whose_merge_was_broken_off_twice_one_is_left() -> None:
    machine = SyncMachine()
    machine.begin(counts=False, large=0)
    machine.create_or_delete_a_folder()
    machine.sync()
    machine.deliver(copies=37, flags="", folder="Trash", reply=True)
    machine.sync_with_a_crash(at=154)
    machine.deliver(copies=9, flags="", folder="INBOX", reply=True)
    machine.sync_with_a_crash(at=84)
    machine.sync()
    assert len(machine.world.mail.all_threads) == 1


TestSync = SyncMachine.TestCase
TestSync.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
