"""Mail over DynamoDB: what is saved is read back, in order, at the promised cost."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.mail.anchor import Anchor, Candidate
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread, with_messages
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.store.log.log import LogTable
from chalicelib.store.objects.mail import MailTable
from chalicelib.store.objects.rows import anchor_key, message_key, thread_key
from chalicelib.store.objects.saving import location_key
from chalicelib.store.objects.stream import change_of
from chalicelib.store.values import Location, MailChanges, Revised, Stale
from tests.integration.aws import rows
from tests.worlds.mail_table import ACCOUNT, DAY, INBOX, NOW, World, arrival, message, thread_with
from tests.worlds.mail_table import world as world  # a fixture


def stored(world: World, id: str) -> Message:
    return world.mail.messages(ACCOUNT, [id])[id]


def test_what_is_saved_is_read_back(world: World) -> None:
    new = message("one")
    world.mail.save(ACCOUNT, arrival(new))
    assert stored(world, new.id) == replace(new, rev=NOW * 1000)
    thread = world.mail.threads(ACCOUNT, [new.thread_id])[new.thread_id]
    assert thread == replace(thread_with(new), rev=NOW * 1000)
    assert world.mail.bodies(ACCOUNT, [new.id]) == {new.id: "<p>hi</p>"}
    assert world.mail.file(ACCOUNT, new.files[0].id) == (new.files[0], new.id)
    assert world.mail.anchors(ACCOUNT, [f"m:{new.id}", "s:x"])[f"m:{new.id}"].message_ids == (new.id,)
    place = RemoteId(f"1.{NOW}")
    assert world.mail.locations(ACCOUNT, INBOX, [place, RemoteId("9.9")]) == {
        place: Location(new.id, Flags("s"))
    }
    assert world.mail.known(ACCOUNT, INBOX) == {place: "s"}


def test_a_stale_change_is_refused_and_an_unchanged_object_not_written(world: World) -> None:
    new = message("one")
    world.mail.save(ACCOUNT, arrival(new))
    old = stored(world, new.id)
    read = Revised(old, replace(old, unread=False))
    world.mail.save(ACCOUNT, MailChanges(messages=[read]))
    assert stored(world, new.id).rev == old.rev + 1
    with pytest.raises(Stale):
        world.mail.save(ACCOUNT, MailChanges(messages=[Revised(old, replace(old, starred=True))]))
    with pytest.raises(Stale):
        world.mail.save(ACCOUNT, MailChanges(messages=[Revised(old, None)]))
    world.mail.save(ACCOUNT, MailChanges(messages=[Revised(old, replace(old, rev=7))]))
    assert not stored(world, new.id).unread


def test_a_deleted_message_takes_its_files_and_body_along(world: World) -> None:
    new = message("one")
    world.mail.save(ACCOUNT, arrival(new))
    thread = world.mail.threads(ACCOUNT, [new.thread_id])[new.thread_id]
    gone = MailChanges(
        messages=[Revised(stored(world, new.id), None)],
        threads=[Revised(thread, None)],
        locations={(INBOX, RemoteId(f"1.{NOW}")): None},
    )
    world.mail.save(ACCOUNT, gone)
    left = [(row["pk"]["S"], row["sk"]["S"]) for row in rows(world.settings, "mail")]
    assert {sk for _, sk in left} == {"MONTHS", "K"}
    assert rows(world.settings, "body") == []


def test_messages_come_newest_first_across_months(world: World) -> None:
    dates = [NOW - n * 5 * DAY for n in range(80)]
    batch = MailChanges(messages=[Revised(None, message(f"m{d}", d)) for d in dates])
    world.mail.save(ACCOUNT, batch)
    assert [m.date for m in world.mail.newest_messages(ACCOUNT)] == dates
    some = world.mail.newest_messages(ACCOUNT, before=dates[3], after=dates[40])
    assert [m.date for m in some] == dates[3:40]
    assert list(world.mail.newest_messages(ACCOUNT, before=-1)) == []


def test_a_busy_month_is_read_page_by_page(world: World) -> None:
    dates = [NOW - n for n in range(300)]
    world.mail.save(ACCOUNT, MailChanges(messages=[Revised(None, message(f"m{d}", d)) for d in dates]))
    assert [m.date for m in world.mail.newest_messages(ACCOUNT)] == dates


def test_a_thread_moves_up_with_its_newest_message(world: World) -> None:
    old, other = message("old", NOW - 90 * DAY), message("other", NOW - 40 * DAY)
    for new in (old, other):
        world.mail.save(ACCOUNT, arrival(new))
    before = world.mail.threads(ACCOUNT, [old.thread_id])[old.thread_id]
    reply = message("reply", NOW, thread_id=old.thread_id)
    after = with_messages(before, [reply], None)
    world.mail.save(ACCOUNT, MailChanges(messages=[Revised(None, reply)], threads=[Revised(before, after)]))
    found = list(world.mail.newest_threads(ACCOUNT))
    assert [t.id for t in found] == [old.thread_id, other.thread_id]
    assert found[0].version == before.version + 1
    assert [t.id for t in world.mail.newest_threads(ACCOUNT, before=NOW)] == [other.thread_id]
    assert [t.id for t in world.mail.newest_threads(ACCOUNT, after=NOW - 1)] == [old.thread_id]


def test_mail_beyond_its_keeping_is_invisible_at_once(world: World) -> None:
    new = message("one", NOW, expires_at=NOW + 32 * DAY)
    world.mail.save(ACCOUNT, arrival(new))
    assert stored(world, new.id).expires_at == NOW + 32 * DAY
    world.now = NOW + 32 * DAY + 1
    assert world.mail.messages(ACCOUNT, [new.id]) == {} == world.mail.threads(ACCOUNT, [new.thread_id])
    assert list(world.mail.newest_messages(ACCOUNT)) == [] == list(world.mail.newest_threads(ACCOUNT))
    assert world.mail.file(ACCOUNT, new.files[0].id) is None
    assert world.mail.bodies(ACCOUNT, [new.id]) == {} == world.mail.known(ACCOUNT, INBOX)
    assert world.mail.anchors(ACCOUNT, [f"m:{new.id}"]) == {}


def test_a_longer_life_reaches_every_row_that_belongs_to_a_message(world: World) -> None:
    new = message("one", NOW, expires_at=NOW + DAY)
    world.mail.save(ACCOUNT, arrival(new))
    old, thread = stored(world, new.id), world.mail.threads(ACCOUNT, [new.thread_id])[new.thread_id]
    longer = arrival(replace(old, expires_at=0))
    longer.messages, longer.threads = (
        [Revised(old, longer.messages[0].new)],
        [Revised(thread, replace(thread, expires_at=0))],
    )
    longer.locations, longer.new_locations = dict(longer.new_locations), {}
    world.mail.save(ACCOUNT, longer)
    assert [row for table in ("mail", "body") for row in rows(world.settings, table) if "ttl" in row] == []


def test_who_writes_without_the_lease_replaces_nothing_that_came_meanwhile(world: World) -> None:
    new = message("one", NOW, expires_at=NOW + DAY)
    world.mail.save(ACCOUNT, arrival(new))
    late = replace(arrival(replace(new, subject="late")), shared=True)
    with pytest.raises(Stale):
        world.mail.save(ACCOUNT, late)
    assert stored(world, new.id).subject == new.subject
    world.now += DAY + 1  # what is over is not there, though DynamoDB has yet to remove it
    late = replace(arrival(replace(new, subject="late", expires_at=0)), shared=True)
    world.mail.save(ACCOUNT, late)
    assert stored(world, new.id).subject == "late"


def test_a_body_too_large_for_a_row_is_absent(world: World) -> None:
    new = message("one")
    world.mail.save(ACCOUNT, arrival(new, random.Random(1).randbytes(900_000).hex()))
    assert world.mail.bodies(ACCOUNT, [new.id]) == {}


def test_folders_are_saved_by_revision(world: World) -> None:
    inbox = Folder(
        id=INBOX, account_id=ACCOUNT, collection="INBOX", display_name="Inbox", role="inbox", created_at=1
    )
    world.mail.save_folders(ACCOUNT, [Revised(None, inbox)])
    with pytest.raises(Stale):
        world.mail.save_folders(ACCOUNT, [Revised(None, inbox)])
    [kept] = world.mail.folders(ACCOUNT)
    world.mail.save_folders(ACCOUNT, [Revised(kept, None)])
    assert world.mail.folders(ACCOUNT) == []


def test_the_stream_tells_of_public_changes_only(world: World) -> None:
    new = message("one")
    world.mail.save(ACCOUNT, arrival(new))
    images = rows(world.settings, "mail")
    told = [change_of({"dynamodb": {"NewImage": row}}) for row in images]
    assert sorted(c.kind for c in told if c) == ["file", "message", "thread"]
    row = next(row for row in images if row.get("kind") == {"S": "message"})
    moved = row | {"pl": {"S": "[]"}, "rev": {"N": "9"}}
    assert change_of({"dynamodb": {"OldImage": row, "NewImage": moved}}) is None
    gone = {"dynamodb": {"OldImage": row}}
    deleted = change_of(gone)
    assert deleted and deleted.event is Operation.DELETE and deleted.rev == NOW * 1000 + 1
    assert deleted.attributes == (("thread_id", new.thread_id), ("received_date", NOW))
    assert change_of(gone | {"userIdentity": {"principalId": "dynamodb.amazonaws.com"}}) is None


class Meter:
    """Adds up write units from the requests themselves: one per begun KB, two in a transaction."""

    def __init__(self, dynamodb: Any) -> None:
        self.units = 0
        dynamodb.meta.events.register("provide-client-params.dynamodb", self.count)

    def count(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name == "PutItem":
            self.units += kilobytes(params["Item"])
        elif model.name in ("UpdateItem", "DeleteItem"):
            self.units += 1
        elif model.name == "BatchWriteItem":
            requests = [r for rs in params["RequestItems"].values() for r in rs]
            self.units += sum(kilobytes(r.get("PutRequest", {}).get("Item", {})) for r in requests)
        elif model.name == "TransactWriteItems":
            self.units += sum(
                2 * kilobytes(a.get("Put", {}).get("Item", {})) for a in params["TransactItems"]
            )


def kilobytes(item: dict[str, dict[str, Any]]) -> int:
    return max(1, math.ceil(sum(len(n) + value_size(v) for n, v in item.items()) / 1024))


def value_size(value: dict[str, Any]) -> int:
    [(_, inner)] = value.items()
    return len(inner if isinstance(inner, bytes) else str(inner).encode())


def deltas_of(*objects: Message | Thread, event: Operation) -> list[Change]:
    return [
        Change(
            account_id=ACCOUNT, kind=type(o).__name__.lower(), id=o.id, event=event, rev=o.rev + 1,
            attributes=(("thread_id", "t" * 25), ("received_date", NOW)),
        )
        for o in objects
    ]  # fmt: skip


def test_writes_stay_within_their_budgets(world: World) -> None:
    log = LogTable(world.dynamodb, world.settings, now=lambda: world.now)
    words = "offer meeting budget quarter review attached regards team project".split()
    chosen = random.Random(2)
    body = "<p>" + " ".join(chosen.choice(words) + str(chosen.randrange(99)) for _ in range(700)) + "</p>"
    new = message("one")
    assert len(body) > 6000
    meter = Meter(world.dynamodb)
    changes = arrival(new, body)
    changes.anchors += [
        Anchor(key=f"{kind}:{'0' * 25}", candidates=(Candidate("t" * 25),)) for kind in ("m", "s")
    ]
    world.mail.save(ACCOUNT, changes)
    log.append(ACCOUNT, deltas_of(new, thread_with(new), event=Operation.CREATE), NOW)
    assert meter.units <= 20, meter.units

    meter.units = 0
    old, thread = stored(world, new.id), world.mail.threads(ACCOUNT, [new.thread_id])[new.thread_id]
    read = replace(old, unread=False)
    flagged = MailChanges(
        messages=[Revised(old, read)],
        threads=[Revised(thread, with_messages(thread, [read], None))],
        locations={(INBOX, RemoteId(f"1.{NOW}")): Location(new.id, Flags("s"))},
    )
    world.mail.save(ACCOUNT, flagged)
    log.append(ACCOUNT, deltas_of(read, thread, event=Operation.MODIFY), NOW)
    assert meter.units <= 12, meter.units


def test_a_message_by_id_costs_at_most_two_read_units(world: World) -> None:
    new = message("one")
    world.mail.save(ACCOUNT, arrival(new, "<p>" + "word " * 1200 + "</p>"))
    row = next(r for r in rows(world.settings, "mail") if r.get("kind") == {"S": "message"})
    [body] = rows(world.settings, "body")
    strong, eventual = math.ceil(kilobytes(row) / 4), math.ceil(kilobytes(body) / 4) / 2
    assert kilobytes(row) == 1 and strong + eventual <= 2


class Order:
    """A DynamoDB client that notes which rows are written or deleted, in their order."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.rows: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in ("put_item", "delete_item", "batch_write_item", "transact_write_items"):
            return method

        def noted(**request: Any) -> Any:
            self._note(request)
            return method(**request)

        return noted

    def _note(self, node: Any) -> None:
        if isinstance(node, list):
            for one in node:
                self._note(one)
        elif isinstance(node, dict) and "pk" in node:
            self.rows.append((node["pk"]["S"], node["sk"]["S"]))
        elif isinstance(node, dict):
            self._note(list(node.values()))

    def of(self, *keys: tuple[str, str]) -> list[int]:
        """Return where these rows stand, and begin anew."""
        places = [self.rows.index(key) for key in keys]
        self.rows.clear()
        return places


def test_rows_are_written_in_the_order_that_survives_a_crash(world: World) -> None:
    """What a crash leaves must be found again: see `ports.Mail.save`; the fake store keeps the same order."""
    order = Order(world.dynamodb)
    mail = MailTable(order, world.settings, now=lambda: world.now)
    new = message("one")
    where = INBOX, RemoteId(f"1.{NOW}")
    place, own = location_key(ACCOUNT, *where), message_key(ACCOUNT, new.id)
    thread_row, anchor_row = thread_key(ACCOUNT, new.thread_id), anchor_key(ACCOUNT, f"m:{new.id}")
    mail.save(ACCOUNT, arrival(new))
    found = order.of(place, own, thread_row, anchor_row)
    assert found == sorted(found), "created: place, message, thread, anchor"

    old, thread = stored(world, new.id), world.mail.threads(ACCOUNT, [new.thread_id])[new.thread_id]
    read = replace(old, unread=False)
    threads = [Revised(thread, with_messages(thread, [read], None))]
    flags: Any = {where: Location(new.id, Flags(""))}
    mail.save(ACCOUNT, MailChanges(messages=[Revised(old, read)], threads=threads, locations=flags))
    found = order.of(own, thread_row, place)
    assert found == sorted(found), "changed: message, thread, place"

    old, thread = stored(world, new.id), world.mail.threads(ACCOUNT, [new.thread_id])[new.thread_id]
    gone: Any = {where: None}
    mail.save(
        ACCOUNT, MailChanges(messages=[Revised(old, None)], threads=[Revised(thread, None)], locations=gone)
    )
    found = order.of(thread_row, own, place)
    assert found == sorted(found), "deleted: thread, message, place"
