"""Threads of many messages in the table `mail`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread, with_messages
from chalicelib.store.aws.connection import client
from chalicelib.store.objects.mail import MailTable
from chalicelib.store.objects.rows import thread_key
from chalicelib.store.objects.stream import change_of
from chalicelib.store.objects.thread_rows import part_keys
from chalicelib.store.values import MailChanges, Revised, Stale
from tests.integration.aws import deployment, rows
from tests.worlds.mail_table import ACCOUNT, NOW, World, message, thread_with, world

__all__ = ["world"]
LONG = ids.derived_id("long")


def mails(count: int) -> list[Message]:
    return [message(f"n{number}", NOW + number, thread_id=LONG, files=()) for number in range(count)]


def save(world: World, new: Thread | None, old: Thread | None = None) -> Thread:
    world.mail.save(ACCOUNT, MailChanges(threads=[Revised(old, new)]))
    return stored(world)


def stored(world: World) -> Thread:
    return world.mail.threads(ACCOUNT, [LONG])[LONG]


def partition(world: World) -> list[str]:
    pk, _ = thread_key(ACCOUNT, LONG)
    return [row["sk"]["S"] for row in rows(world.settings, "mail") if row["pk"]["S"] == pk]


def test_a_long_thread_is_read_as_it_was_written(world: World) -> None:
    long = thread_with(*mails(500))
    short = replace(thread_with(message("one")), rev=NOW * 1000)
    world.mail.save(ACCOUNT, MailChanges(threads=[Revised(None, long), Revised(None, replace(short, rev=0))]))
    found = world.mail.threads(ACCOUNT, [LONG, short.id])
    assert found[short.id] == short
    assert replace(found[LONG], parts=()) == replace(long, rev=NOW * 1000)
    assert [thread.id for thread in world.mail.newest_threads(ACCOUNT)] == [LONG, short.id]


def test_a_long_thread_that_goes_leaves_nothing(world: World) -> None:
    old = save(world, thread_with(*mails(100)))
    assert len(partition(world)) == 1 + len(old.parts) > 5
    world.mail.save(ACCOUNT, MailChanges(threads=[Revised(old, None)]))
    assert partition(world) == []


def test_a_thread_that_changes_keeps_no_former_part(world: World) -> None:
    old = save(world, thread_with(*mails(18)))
    assert old.parts == ()
    for count in (19, 60, 300, 10):
        old = save(world, thread_with(*mails(count)), old)
        assert len(old.entries) == count
        assert sorted(partition(world)) == sorted(["T", *(sk for _, sk in part_keys(old))])


def test_who_comes_too_late_changes_nothing(world: World) -> None:
    old = save(world, thread_with(*mails(60)))
    world.now += 1
    newer = save(world, with_messages(old, mails(70), None), old)
    world.now += 1
    with pytest.raises(Stale):
        save(world, with_messages(old, mails(80), None), old)
    assert stored(world) == newer


def test_a_part_that_is_replaced_while_one_reads_is_no_harm(world: World) -> None:
    old = save(world, thread_with(*mails(60)))
    flipped = replace(mails(1)[0], starred=True)
    new = with_messages(old, [flipped], None)

    class Late:
        """A client whose first query comes just after somebody else's write."""

        written = False

        def __getattr__(self, name: str) -> Any:
            return getattr(world.dynamodb, name)

        def query(self, **request: Any) -> Any:
            answer = world.dynamodb.query(**request)
            if not self.written:
                self.written = True
                save(world, new, old)
                gone = {sk for _, sk in part_keys(old)} - {sk for _, sk in part_keys(stored(world))}
                answer["Items"] = [row for row in answer["Items"] if row["sk"]["S"] not in gone]
            return answer

    found = MailTable(Late(), world.settings, now=lambda: NOW).threads(ACCOUNT, [LONG])[LONG]
    assert found == stored(world)
    assert found.starred and len(found.entries) == 60


def test_a_thread_whose_part_is_lost_for_good_is_shown_without_it_and_written_again(world: World) -> None:
    old = save(world, thread_with(*mails(60)))
    pk, sk = part_keys(old)[1]
    table = f"{world.settings.table_prefix}-mail"
    world.dynamodb.delete_item(TableName=table, Key={"pk": {"S": pk}, "sk": {"S": sk}})
    torn = stored(world)
    assert 0 < len(torn.entries) < 60
    assert len(save(world, with_messages(torn, mails(60), None), torn).entries) == 60


def test_a_part_is_no_change_of_its_own(world: World) -> None:
    save(world, thread_with(*mails(60)))
    pk, _ = thread_key(ACCOUNT, LONG)
    found = [row for row in rows(world.settings, "mail") if row["pk"]["S"] == pk]
    records = [{"dynamodb": {"NewImage": row}, "eventName": "INSERT"} for row in found]
    assert [change.kind for change in map(change_of, records) if change] == ["thread"]


def test_a_long_thread_lives_as_long_as_its_newest_mail() -> None:
    with deployment() as settings:
        world = World(settings, MailTable(client(settings, "dynamodb"), settings, now=lambda: NOW), None)
        save(world, replace(thread_with(*mails(60)), expires_at=NOW + 100))
        assert len(stored(world).entries) == 60
        later = MailTable(client(settings, "dynamodb"), settings, now=lambda: NOW + 101)
        assert later.threads(ACCOUNT, [LONG]) == {}
