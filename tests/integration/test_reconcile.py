"""A log that has missed stream records, and the job that repairs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

import pytest

from chalicelib.clock import Deadline
from chalicelib.deltas import reconcile
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.log.delta import Change, Delta, Operation
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.services import Services, use
from chalicelib.store.aws.connection import client
from chalicelib.store.log.log import LogTable
from chalicelib.store.objects.mail import MailTable
from chalicelib.store.objects.stream import change_to
from chalicelib.store.objects.walk import ObjectTable
from chalicelib.store.values import MailChanges, Poll, Revised
from chalicelib.store.work.reconciliations import ReconciliationTable
from chalicelib.workers import reconcile as worker
from tests.fakes.services import MemoryAccounts, MemoryPolls
from tests.integration.aws import deployment, rows
from tests.worlds.mail_table import ACCOUNT, DAY, INBOX, NOW, arrival, message, thread_with

Name = tuple[str, str]
OWNER = Account(
    id=ACCOUNT, application_id="app", email_address="mira@kestrel.example", name="Mira", provider="imap",
    state=SyncState.RUNNING, linked_at=1, scopes="email", history_days=0, rev=NOW * 1000,
)  # fmt: skip


@dataclass
class World:
    """A deployment whose stream brings only what `hear` is asked to."""

    settings: Any
    now: float = NOW
    accounts: MemoryAccounts = field(default_factory=MemoryAccounts)

    def __post_init__(self) -> None:
        dynamodb = client(self.settings, "dynamodb")
        self.mail = MailTable(dynamodb, self.settings, now=lambda: self.now)
        self.log = LogTable(dynamodb, self.settings, now=lambda: self.now)
        self.objects = ObjectTable(dynamodb, self.settings)
        self.reconciliations = ReconciliationTable(dynamodb, self.settings)
        self.polls = MemoryPolls({ACCOUNT: Poll(account_id=ACCOUNT, active_at=1)})

    @property
    def stored(self) -> dict[Name, Change]:
        """Every object there is, as the stream would tell of its latest change."""
        changes = map(change_to, rows(self.settings, "mail"))
        return {change.name: change for change in changes if change}

    def hear(self, *names: Name, event: Operation = Operation.CREATE) -> None:
        found = self.stored
        self.log.append(ACCOUNT, [replace(found[name], event=event) for name in names], int(self.now))

    def reconcile(self, minutes: float = 20) -> list[Delta]:
        """Let some time pass, repair, and return what was added to the log."""
        self.now += minutes * 60
        before = self.log.head(ACCOUNT)[0]
        desk = reconcile.Reconciling(log=self.log, objects=self.objects, accounts=self.accounts)
        place = desk.step(ACCOUNT, "", self.now)
        while place:
            place = desk.step(ACCOUNT, place, self.now)
        return self.log.since(ACCOUNT, before, 1000)

    def told(self) -> dict[Name, int]:
        """What a client holds that has read the whole log."""
        held: dict[Name, int] = {}
        for delta in self.log.since(ACCOUNT, 0, 1000):
            held[delta.change.name] = delta.change.rev
            if delta.change.event is Operation.DELETE:
                del held[delta.change.name]
        return held


@pytest.fixture
def world() -> Iterator[World]:
    with deployment() as settings:
        yield World(settings)


def filled(world: World) -> list[Message]:
    """Store a folder and messages of three months, each with its thread and its file."""
    inbox = Folder(
        id=INBOX, account_id=ACCOUNT, collection="INBOX", display_name="INBOX", role="inbox", created_at=1
    )
    world.mail.save_folders(ACCOUNT, [Revised(None, inbox)])
    mails = [message(f"m{n}", NOW - n * 20 * DAY) for n in range(5)]
    for mail in mails:
        world.mail.save(ACCOUNT, arrival(mail))
    return mails


def events(added: list[Delta]) -> dict[Name, Operation]:
    assert len({delta.change.name for delta in added}) == len(added), "something was told twice"
    return {delta.change.name: delta.change.event for delta in added}


def test_what_the_stream_never_told_is_told_once(world: World) -> None:
    mails = filled(world)
    heard = [("folder", INBOX), ("message", mails[0].id), ("thread", mails[1].thread_id)]
    world.hear(*heard)
    added = events(world.reconcile())
    assert added == {name: Operation.CREATE for name in world.stored if name not in heard}
    assert {kind for kind, _ in added} == {"message", "thread", "file"}
    assert world.told() == {name: change.rev for name, change in world.stored.items()}
    assert world.reconcile() == []


def test_what_the_stream_brings_late_is_not_told_again(world: World) -> None:
    filled(world)
    world.reconcile()
    head = world.log.head(ACCOUNT)
    world.hear(*world.stored)
    assert world.log.head(ACCOUNT) == head


def test_what_may_be_on_its_way_is_left_to_the_stream(world: World) -> None:
    filled(world)
    assert world.reconcile(minutes=9) == []


def test_a_lost_change_is_a_modification(world: World) -> None:
    mails = filled(world)
    world.hear(*world.stored)
    world.now += 60
    old = world.mail.messages(ACCOUNT, [mails[2].id])[mails[2].id]
    world.mail.save(ACCOUNT, MailChanges(messages=[Revised(old, replace(old, unread=False))]))
    assert events(world.reconcile()) == {("message", old.id): Operation.MODIFY}
    assert world.reconcile() == []


def test_a_lost_deletion_is_told_with_what_webhooks_need(world: World) -> None:
    mails = filled(world)
    world.hear(*world.stored)
    world.now += 60
    old = world.mail.messages(ACCOUNT, [mails[0].id])[mails[0].id]
    thread = world.mail.threads(ACCOUNT, [old.thread_id])[old.thread_id]
    changes = MailChanges(messages=[Revised(old, None)], threads=[Revised(thread, None)])
    world.mail.save(ACCOUNT, changes)
    added = world.reconcile()
    names = {("message", old.id), ("thread", old.thread_id), ("file", old.files[0].id)}
    assert events(added) == dict.fromkeys(names, Operation.DELETE)
    [told] = [delta.change for delta in added if delta.change.kind == "message"]
    assert dict(told.attributes) == {"thread_id": old.thread_id, "received_date": old.date}
    assert world.told() == {name: change.rev for name, change in world.stored.items()}
    head = world.log.head(ACCOUNT)
    late = Change(account_id=ACCOUNT, kind="message", id=old.id, event=Operation.DELETE, rev=old.rev + 1)
    world.log.append(ACCOUNT, [late], int(world.now))
    assert world.log.head(ACCOUNT)[0] == head[0]
    assert world.reconcile() == []


def test_what_comes_back_after_a_repaired_deletion_is_told(world: World) -> None:
    [mail, *_] = filled(world)
    world.hear(*world.stored)
    old = world.mail.messages(ACCOUNT, [mail.id])[mail.id]
    world.mail.save(ACCOUNT, MailChanges(messages=[Revised(old, None)]))
    world.reconcile()
    world.mail.save(ACCOUNT, MailChanges(messages=[Revised(None, mail)]))
    before = world.log.head(ACCOUNT)[0]
    world.hear(("message", mail.id))
    assert [delta.change.event for delta in world.log.since(ACCOUNT, before, 9)] == [Operation.CREATE]


def test_mail_that_left_by_itself_is_not_told(world: World) -> None:
    mail = message("old", expires_at=NOW + 3 * DAY)
    world.mail.save(ACCOUNT, arrival(mail))
    world.hear(*world.stored)
    world.now += 4 * DAY
    dynamodb = client(world.settings, "dynamodb")
    for row in rows(world.settings, "mail"):
        if "ttl" in row:
            dynamodb.delete_item(
                TableName=f"{world.settings.table_prefix}-mail",
                Key={name: row[name] for name in ("pk", "sk")},
            )
    assert world.stored == {}
    assert world.reconcile() == []


def test_a_lost_deletion_of_mail_untouched_for_months_is_told(world: World) -> None:
    [mail, *_] = filled(world)
    world.hear(*world.stored)
    world.now += 100 * DAY
    dynamodb = client(world.settings, "dynamodb")
    for row in rows(world.settings, "log"):
        if "ttl" in row and int(row["ttl"]["N"]) <= world.now:
            key = {name: row[name] for name in ("pk", "sk")}
            dynamodb.delete_item(TableName=f"{world.settings.table_prefix}-log", Key=key)
    old = world.mail.messages(ACCOUNT, [mail.id])[mail.id]
    world.mail.save(ACCOUNT, MailChanges(messages=[Revised(old, None)]))
    assert events(world.reconcile()) == {
        ("message", old.id): Operation.DELETE, ("file", old.files[0].id): Operation.DELETE,
    }  # fmt: skip


def test_a_lost_change_of_state_is_told_and_other_changes_of_the_account_are_not(world: World) -> None:
    world.accounts.rows[ACCOUNT] = OWNER
    assert events(world.reconcile()) == {("account", ACCOUNT): Operation.CREATE}
    world.accounts.rows[ACCOUNT] = replace(OWNER, rev=int(world.now * 1000), name="Mira O.")
    assert world.reconcile() == []
    world.accounts.rows[ACCOUNT] = replace(OWNER, rev=int(world.now * 1000), state=SyncState.INVALID)
    [delta] = world.reconcile()
    assert delta.change.event is Operation.MODIFY
    assert dict(delta.change.attributes)["sync_state"] == "invalid-credentials"
    assert world.reconcile() == []


def test_a_thread_of_many_months_is_looked_at_wherever_its_index_row_lies(world: World) -> None:
    mails = [message("a"), message("b", NOW - 40 * DAY)]
    mails[1] = replace(mails[1], thread_id=mails[0].thread_id)
    world.mail.save(ACCOUNT, MailChanges(
        messages=[Revised(None, mail) for mail in mails], threads=[Revised(None, thread_with(*mails))]
    ))  # fmt: skip
    assert ("thread", mails[0].thread_id) in events(world.reconcile())


class TestTheJob:
    """What the schedule calls."""

    @pytest.fixture(autouse=True)
    def here(self, world: World) -> Iterator[None]:
        with use(cast(Services, world)):
            yield

    def its_time(self) -> float:
        """The first second of the account's slot behind the arrivals."""
        return next(t for t in range(NOW + 1200, NOW + 2 * DAY) if reconcile.is_due(ACCOUNT, t))

    def test_each_account_has_its_time_once_a_day(self) -> None:
        slots = range(NOW, NOW + DAY, reconcile.SLOT_SECONDS)
        for account_id in ("a", "b", ACCOUNT):
            assert sum(reconcile.is_due(account_id, slot) for slot in slots) == 1

    def test_an_account_is_repaired_when_its_time_has_come(self, world: World) -> None:
        filled(world)
        world.now = self.its_time() - reconcile.SLOT_SECONDS
        worker.run(Deadline(1.0, now=lambda: 0.0), lambda: world.now)
        assert world.log.head(ACCOUNT) == (0, 0)
        world.now = self.its_time()
        worker.run(Deadline(1.0, now=lambda: 0.0), lambda: world.now)
        assert world.told() == {name: change.rev for name, change in world.stored.items()}
        assert world.reconciliations.under_way() == {}

    def test_a_large_account_goes_on_in_the_next_call(self, world: World) -> None:
        filled(world)
        world.now = self.its_time()
        calls = 0
        while not calls or world.reconciliations.under_way():
            looks = count()  # time for one page: over at the third look at the clock
            worker.run(Deadline(2.0, now=looks.__next__), lambda: world.now)
            calls += 1
            world.now += reconcile.SLOT_SECONDS
        assert calls > 5
        assert world.told() == {name: change.rev for name, change in world.stored.items()}
