"""What every Provider promises, as tests; a subclass names the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pytest

from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Cursor, Edit, Flags, RemoteId
from chalicelib.errors import CursorExpired, Gone
from chalicelib.providers.base import Provider


class OtherProgram(Protocol):
    """The mailbox as its owner's own mail program changes it."""

    def deliver(self, folder: str, raw: bytes, flags: str = "", at: int = 1_600_000_000) -> RemoteId: ...
    def flag(self, folder: str, id: RemoteId, flags: str) -> None: ...
    def expunge(self, folder: str, id: RemoteId) -> None: ...
    def renumber(self, folder: str) -> None: ...


DAY = 86_400
LONG = "all of it " * 10_000


@dataclass
class Copy:
    """What a faithful reader of `changes` holds of one folder, and in which order it came.

    The folder is listed before each batch, unless it was `listed`.
    """

    provider: Provider
    folder: str = "INBOX"
    budget: BatchLimits = field(default_factory=BatchLimits)
    cursor: Cursor | None = None
    flags: dict[RemoteId, Flags] = field(default_factory=dict)
    order: list[RemoteId] = field(default_factory=list)
    raw: dict[RemoteId, bytes] = field(default_factory=dict)
    listed: Collection | None = None

    def step(self) -> ChangeBatch:
        """Take one batch."""
        listed = self.listed or self.collection()
        batch = self.provider.changes(listed, self.cursor, lambda: dict(self.flags), self.budget)
        self.cursor = batch.cursor
        self.order += [message.id for message in batch.arrived]
        self.raw |= {message.id: message.raw for message in batch.arrived}
        self.flags |= {message.id: message.flags for message in batch.arrived}
        self.flags |= {id: flags for id, flags in batch.flags.items() if id in self.flags}
        self.flags = {id: flags for id, flags in self.flags.items() if id not in batch.removed}
        assert not batch.unreadable
        return batch

    def catch_up(self) -> Copy:
        """Take batches until nothing is left."""
        while self.step().more:
            pass
        return self

    def collection(self) -> Collection:
        """Return the folder as it is listed now."""
        return next(c for c in self.provider.collections() if c.id == self.folder)

    def is_finished(self) -> bool:
        """Tell whether nothing is left to come."""
        batch = self.step()
        return not batch.arrived and not batch.more

    def is_quiet(self) -> bool:
        """Tell whether the listing says that nothing changed."""
        assert self.cursor is not None
        return self.provider.unchanged(self.collection(), self.cursor)


def mail(number: int, body: str = "text") -> bytes:
    """Return a small message."""
    head = f"From: a@x.example\r\nMessage-ID: <{number}@x.example>\r\nSubject: {number}\r\n"
    return f"{head}\r\n{body}\r\n".encode()


class ProviderContract:
    """Needs the fixtures `provider` and `other`; some servers call their folders differently."""

    SENT = "Sent"
    TRASH = "Trash"

    def test_no_history_comes_where_none_is_wanted(self, provider: Provider, other: OtherProgram) -> None:
        for number in range(5):
            other.deliver("INBOX", mail(number))
        copy = Copy(provider, budget=BatchLimits(messages=3))
        copy.step()
        copy.budget = BatchLimits(history=0)
        new = other.deliver("INBOX", mail(9))
        batch = copy.step()
        assert ([message.id for message in batch.arrived], batch.more) == ([new], True)
        before = copy.cursor
        batch = copy.step()
        assert (batch.arrived, batch.cursor, batch.more) == ((), before, True)
        copy.budget = BatchLimits()
        assert len(copy.catch_up().flags) == 6

    def test_the_inbox_comes_first_and_roles_are_found(self, provider: Provider) -> None:
        collections = provider.collections()
        assert collections[0].role == "inbox"
        assert {"sent", "drafts", "trash", "spam"} <= {c.role for c in collections}

    def test_new_mail_arrives_as_it_was_delivered(self, provider: Provider, other: OtherProgram) -> None:
        copy = Copy(provider).catch_up()
        id = other.deliver("INBOX", mail(1), "fs", at=1_234_567_890)
        [message] = copy.step().arrived
        assert (message.id, message.flags, message.raw) == (id, "fs", mail(1))
        assert message.received_at == 1_234_567_890

    def test_history_comes_in_slices_newest_first(self, provider: Provider, other: OtherProgram) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(7)]
        copy = Copy(provider, budget=BatchLimits(messages=3))
        left = [copy.step().history_left for _ in range(3)]
        assert (copy.order, left) == (ids[::-1], [4, 1, 0])
        assert not copy.step().more

    def test_a_batch_keeps_to_its_bytes_but_brings_at_least_one(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n, "x" * 900)) for n in range(3)]
        copy = Copy(provider, budget=BatchLimits(bytes=10)).catch_up()
        assert copy.order == ids[::-1]

    def test_a_large_message_of_the_history_comes_with_its_beginning_first(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        long = mail(2, LONG)
        ids = [other.deliver("INBOX", raw) for raw in (mail(1), long, mail(3))]
        copy = Copy(provider)
        listed = {message.id: message for message in copy.step().arrived}
        assert [listed[id].whole for id in ids] == [True, False, True]
        assert long.startswith(listed[ids[1]].raw) and b"\r\n\r\n" in listed[ids[1]].raw
        assert listed[ids[1]].octets == len(long)
        [rest] = copy.step().arrived
        assert (rest.id, rest.whole, rest.raw) == (ids[1], True, long)
        assert copy.is_finished()

    def test_contents_keep_to_the_budget_newest_first(self, provider: Provider, other: OtherProgram) -> None:
        ids = [other.deliver("INBOX", mail(n, LONG)) for n in range(5)]
        copy = Copy(provider, budget=BatchLimits(messages=2)).catch_up()
        assert copy.order == [*ids[::-1], *ids[::-1]]
        assert {id: copy.raw[id] for id in ids} == {id: mail(n, LONG) for n, id in enumerate(ids)}

    def test_a_large_message_that_is_new_comes_as_a_whole(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        copy = Copy(provider).catch_up()
        other.deliver("INBOX", mail(1, LONG))
        [message] = copy.step().arrived
        assert message.whole and message.raw == mail(1, LONG)

    def test_a_large_message_expunged_before_its_contents_came_leaves_no_trace(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n, LONG)) for n in range(2)]
        copy = Copy(provider)
        copy.step()
        other.expunge("INBOX", ids[0])
        copy.catch_up()
        assert set(copy.flags) == {ids[1]} and copy.raw[ids[1]] == mail(1, LONG)

    def test_new_mail_beyond_the_budget_follows_in_order(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        copy = Copy(provider, budget=BatchLimits(messages=2)).catch_up()
        ids = [other.deliver("INBOX", mail(n)) for n in range(5)]
        copy.catch_up()
        assert copy.order == ids
        assert copy.is_quiet()

    def test_new_mail_comes_while_history_is_read(self, provider: Provider, other: OtherProgram) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(4)]
        copy = Copy(provider, budget=BatchLimits(messages=2))
        copy.step()
        fresh = other.deliver("INBOX", mail(9))
        copy.step()
        assert copy.order == [ids[3], ids[2], fresh, ids[1]]

    def test_changed_flags_are_reported(self, provider: Provider, other: OtherProgram) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(3)]
        copy = Copy(provider).catch_up()
        other.flag("INBOX", ids[1], "afs")
        assert copy.step().flags == {ids[1]: "afs"}

    def test_flags_changed_while_history_is_read_are_not_lost(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(6)]
        copy = Copy(provider, budget=BatchLimits(messages=2))
        copy.step()
        other.flag("INBOX", ids[5], "s")
        other.flag("INBOX", ids[0], "f")
        copy.catch_up()
        assert copy.flags == {id: {0: "f", 5: "s"}.get(n, "") for n, id in enumerate(ids)}

    def test_a_deleted_message_is_reported_and_only_that(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(3)]
        copy = Copy(provider).catch_up()
        other.expunge("INBOX", ids[1])
        assert copy.step().removed == {ids[1]}

    @pytest.mark.parametrize("number", [1, 3])
    def test_the_newest_messages_are_reported_when_they_are_deleted(
        self, provider: Provider, other: OtherProgram, number: int
    ) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(4)]
        copy = Copy(provider).catch_up()
        for id in ids[-number:]:
            other.expunge("INBOX", id)
        assert set(copy.catch_up().flags) == set(ids[:-number])

    def test_the_only_message_is_reported_when_it_is_deleted(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        id = other.deliver("INBOX", mail(1))
        copy = Copy(provider).catch_up()
        other.expunge("INBOX", id)
        assert copy.catch_up().flags == {}

    def test_a_deletion_hidden_by_an_arrival_is_reported(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(3)]
        copy = Copy(provider).catch_up()
        other.expunge("INBOX", ids[0])
        fresh = other.deliver("INBOX", mail(9))
        copy.step()
        assert set(copy.flags) == {*ids[1:], fresh}

    @pytest.mark.parametrize("also_new", [False, True])
    def test_what_was_taken_in_before_a_crash_and_is_gone_since_is_reported(
        self, provider: Provider, other: OtherProgram, also_new: bool
    ) -> None:
        """The batch was stored, its cursor was not: the message lies beyond what the cursor covers."""
        kept = other.deliver("INBOX", mail(1))
        copy = Copy(provider).catch_up()
        before = copy.cursor
        lost = other.deliver("INBOX", mail(2))
        copy.step()
        assert lost in copy.flags
        copy.cursor = before
        other.expunge("INBOX", lost)
        fresh = [other.deliver("INBOX", mail(3))] if also_new else []
        copy.catch_up()
        assert set(copy.flags) == {kept, *fresh}

    def test_messages_expunged_while_history_is_read_leave_no_trace(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(6)]
        copy = Copy(provider, budget=BatchLimits(messages=2))
        copy.step()
        other.expunge("INBOX", ids[5])
        other.expunge("INBOX", ids[2])
        copy.catch_up()
        assert set(copy.flags) == {ids[0], ids[1], ids[3], ids[4]}

    def test_what_changes_while_batches_follow_one_listing_is_reported_in_the_end(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n)) for n in range(12)]
        copy = Copy(provider, budget=BatchLimits(messages=3))
        copy.listed = copy.collection()
        copy.step()
        copy.step()
        for gone in (ids[10], ids[4]):
            other.expunge("INBOX", gone)
        other.flag("INBOX", ids[9], "fs")
        new = other.deliver("INBOX", mail(20))
        copy.step()
        copy.step()
        other.expunge("INBOX", ids[11])
        copy.listed = None
        copy.catch_up()
        assert copy.flags.keys() == {*ids, new} - {ids[11], ids[10], ids[4]}
        assert copy.flags[ids[9]] == "fs"

    def test_a_quiet_folder_is_known_from_the_listing(self, provider: Provider, other: OtherProgram) -> None:
        id = other.deliver("INBOX", mail(1))
        copy = Copy(provider).catch_up()
        assert copy.is_quiet()
        other.flag("INBOX", id, "s")
        assert not copy.is_quiet()

    def test_a_quiet_step_brings_nothing(self, provider: Provider, other: OtherProgram) -> None:
        other.deliver("INBOX", mail(1))
        batch = Copy(provider).catch_up().step()
        assert (batch.arrived, batch.flags, batch.removed, batch.more) == ((), {}, frozenset(), False)

    def test_a_new_uidvalidity_expires_the_cursor_and_the_old_ids_go_last(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        old = {other.deliver(self.SENT, mail(n)) for n in range(5)}
        copy = Copy(provider, folder=self.SENT, budget=BatchLimits(messages=2)).catch_up()
        other.renumber(self.SENT)
        with pytest.raises(CursorExpired):
            copy.step()
        with pytest.raises(CursorExpired):
            provider.listing(copy.collection(), copy.cursor or Cursor(""))
        copy.cursor = None
        batches = [copy.step()]
        while batches[-1].more:
            batches.append(copy.step())
        removed = [batch.removed for batch in batches]
        assert removed[:2] == [frozenset()] * 2 and [some for some in removed if some] == [old]
        assert len(copy.flags) == 5

    def test_a_thousand_messages_arrive_completely(self, provider: Provider, other: OtherProgram) -> None:
        sent = {other.deliver("INBOX", mail(n)): mail(n) for n in range(1000)}
        copy = Copy(provider).catch_up()
        assert copy.raw == sent
        assert len(copy.order) == 1000

    def test_mail_from_before_the_window_stays_where_it_is(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        old, new = (other.deliver("INBOX", mail(n), at=day * DAY) for n, day in enumerate((18_000, 19_000)))
        copy = Copy(provider, budget=BatchLimits(since=18_500 * DAY)).catch_up()
        assert copy.order == [new]
        late = other.deliver("INBOX", mail(3), at=18_100 * DAY)
        assert copy.catch_up().order == [new]
        other.expunge("INBOX", late)
        other.flag("INBOX", new, "f")
        assert copy.catch_up().flags == {new: "f"}
        assert old not in copy.flags

    def test_a_wider_window_brings_what_was_left_out(self, provider: Provider, other: OtherProgram) -> None:
        ids = [other.deliver("INBOX", mail(n), at=(18_000 + 100 * n) * DAY) for n in range(6)]
        copy = Copy(provider, budget=BatchLimits(since=18_350 * DAY)).catch_up()
        assert copy.order == [ids[5], ids[4]]
        cursor = copy.cursor
        assert cursor is not None
        assert not provider.unchanged(copy.collection(), cursor, since=18_050 * DAY)
        copy.budget = BatchLimits(messages=2, since=18_050 * DAY)
        assert copy.catch_up().order == [ids[n] for n in (5, 4, 3, 2, 1)]
        copy.budget = BatchLimits(since=18_450 * DAY)
        cursor = copy.cursor
        assert copy.catch_up().order == [ids[n] for n in (5, 4, 3, 2, 1)]
        assert copy.cursor == cursor

    def test_a_narrowed_cursor_brings_again_what_was_given_away(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n), at=(18_000 + 100 * n) * DAY) for n in range(4)]
        copy = Copy(provider, budget=BatchLimits(since=0)).catch_up()
        assert copy.order == ids[::-1] and copy.cursor
        copy.cursor = provider.narrowed(copy.cursor, 18_250 * DAY)
        copy.budget = BatchLimits(since=18_250 * DAY)
        assert provider.unchanged(copy.collection(), copy.cursor, 18_250 * DAY) or not copy.collection().token
        copy.order.clear()
        assert copy.catch_up().order == []
        copy.budget = BatchLimits(since=18_050 * DAY)
        assert copy.catch_up().order == [ids[2], ids[1]]
        copy.budget = BatchLimits()
        copy.order.clear()
        assert copy.catch_up().order == [ids[0]]
        again = provider.narrowed(copy.cursor, 17_000 * DAY)
        assert provider.narrowed(again, 0) == again

    def test_a_window_widened_before_any_history_came_leaves_nothing_out(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n), at=(18_000 + 100 * n) * DAY) for n in range(4)]
        copy = Copy(provider, budget=BatchLimits(since=18_250 * DAY, history=0))
        copy.step()
        assert copy.order == []
        copy.budget = BatchLimits(since=18_050 * DAY)
        assert copy.catch_up().order == [ids[3], ids[2], ids[1]]

    def test_a_listing_shows_the_covered_range_and_items_come_again(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n), "s", at=(18_000 + 100 * n) * DAY) for n in range(4)]
        copy = Copy(provider, budget=BatchLimits(messages=2))
        copy.step()
        while len(copy.order) < 2:
            copy.step()
        other.flag("INBOX", ids[3], "f")
        cursor = copy.cursor
        assert cursor is not None
        assert provider.listing(copy.collection(), cursor) == {ids[3]: "f", ids[2]: "s"}
        assert provider.listing(copy.collection(), cursor, since=18_250 * DAY) == {ids[3]: "f"}
        again = provider.items(copy.collection(), [ids[0], ids[3], RemoteId("0000000009.0000000009")])
        assert [(item.id, item.flags, item.raw) for item in sorted(again, key=lambda item: item.id)] == [
            (ids[0], "s", mail(0)),
            (ids[3], "f", mail(3)),
        ]

    def test_edits_change_flags_and_move_and_may_be_repeated(
        self, provider: Provider, other: OtherProgram
    ) -> None:
        ids = [other.deliver("INBOX", mail(n), "s") for n in range(2)]
        edits = [
            Edit(collection="INBOX", item=ids[0], add=Flags("f"), remove=Flags("s")),
            Edit(collection="INBOX", item=ids[1], move_to=self.TRASH),
        ]
        provider.apply(edits)
        provider.apply(edits)
        assert Copy(provider).catch_up().flags == {ids[0]: "f"}
        assert list(Copy(provider, folder=self.TRASH).catch_up().raw.values()) == [mail(1)]

    def test_a_filed_message_is_found_by_its_message_id(self, provider: Provider) -> None:
        provider.append(self.SENT, mail(5), Flags("s"))
        id = provider.find(self.SENT, "<5@x.example>")
        assert id is not None
        assert provider.fetch(self.SENT, id) == mail(5)
        assert provider.find(self.SENT, "<6@x.example>") is None
        assert Copy(provider, folder=self.SENT).catch_up().flags == {id: "s"}

    def test_a_message_that_is_no_longer_there_is_gone(self, provider: Provider, other: OtherProgram) -> None:
        id = other.deliver("INBOX", mail(1))
        other.expunge("INBOX", id)
        with pytest.raises(Gone):
            provider.fetch("INBOX", id)
