"""One batch of mail being written, stage after stage (see `ports.Mail.save`)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from chalicelib import ids
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.remote import RemoteId
from chalicelib.store.aws.dynamo import Item, Key, Table, key, parallel, transact_patiently
from chalicelib.store.errors import Cancelled
from chalicelib.store.objects import rows
from chalicelib.store.objects.body import BodyTable, body_key
from chalicelib.store.objects.thread_rows import ThreadRows, part_keys, thread_rows
from chalicelib.store.objects.threads_index import Months, index_key, index_row
from chalicelib.store.values import Location, MailChanges, Revised, Stale, loses

_BUCKETS = 16
_ABSENT = "attribute_not_exists(pk) OR #ttl <= :now"
_MOST_FILES = 90
"""A transaction holds a hundred actions; the message and its body take two."""

Write = Callable[[], None]


class Saving:
    """The stages of one save; each ends before the next begins."""

    def __init__(self, table: Table, bodies: BodyTable, months: Months, now: float, account_id: str) -> None:
        self._table = table
        self._bodies = bodies
        self._months = months
        self._now = now
        self._account = account_id
        self._thread_rows: dict[str, ThreadRows] = {}

    def run(self, changes: MailChanges) -> None:
        """Write everything; raises Stale."""
        messages = [c for c in changes.messages if _differs(c)]
        threads = [c for c in changes.threads if _differs(c)]
        self._thread_rows = {c.new.id: self._rows_of(c.new, c.old) for c in threads if c.new}
        self._prepare(messages, threads, changes)
        self._write_messages(messages, changes.shared)
        self._write_threads([c for c in threads if not loses(c)], changes.shared)
        self._write_threads([c for c in threads if loses(c)], changes.shared)
        _at_once([partial(self._delete_message, c.old) for c in messages if c.old and c.new is None])
        self._finish(messages, threads, changes)
        gone = [self._place(*place) for place, location in changes.locations.items() if location is None]
        self._table.write_many(self._location_rows(changes.locations), gone)

    def _prepare(
        self,
        messages: Sequence[Revised[Message]],
        threads: Sequence[Revised[Thread]],
        changes: MailChanges,
    ) -> None:
        """Write what nobody sees before the message or thread it belongs to."""
        files = [row for c in messages if c.new for row in self._new_files(c.old, c.new)]
        index = [index_row(t) | _ttl(t.expires_at) for t in _moved_to(threads)]
        self._months.enter(
            self._account,
            {ids.month_of(ids.date_of(c.new.id)) for c in messages if c.new},
            {ids.month_of(t.last_at) for t in _moved_to(threads)},
        )
        ttl = {id: _ttl(changes.bodies_expire.get(id, 0)) for id in changes.bodies}
        parts = [part for one in self._thread_rows.values() for part in one.parts]
        ready = files + index + parts + self._location_rows(changes.new_locations)
        _at_once(
            [
                partial(self._table.write_many, ready),
                partial(self._bodies.put, self._account, changes.bodies, ttl),
            ]
        )

    def _write_messages(self, changes: Sequence[Revised[Message]], shared: bool) -> None:
        rest = [(c.old, c.new) for c in changes if c.new]
        changed = [(self._message_row(new, old.rev), old.rev) for old, new in rest if old is not None and new]
        created = [self._message_row(new, 0) for old, new in rest if old is None and new]
        self._write(created, changed, shared=shared)

    def _write_threads(self, changes: Sequence[Revised[Thread]], shared: bool) -> None:
        gone = [
            partial(self._table.delete_if, *rows.thread_key(c.old.account_id, c.old.id), c.old.rev)
            for c in changes
            if c.old and c.new is None
        ]
        rest = [(c.old, c.new) for c in changes if c.new]
        changed = [(self._thread_rows[new.id].own, old.rev) for old, new in rest if old is not None and new]
        created = [self._thread_rows[new.id].own for old, new in rest if old is None and new]
        self._write(created, changed, gone, shared=shared)

    def _write(
        self,
        created: Sequence[Item],
        changed: Sequence[tuple[Item, int]],
        gone: Sequence[Write] = (),
        *,
        shared: bool,
    ) -> None:
        puts = [partial(self._table.put_if, row, "rev = :r", {":r": {"N": str(rev)}}) for row, rev in changed]
        if shared:
            absent = {":now": {"N": str(int(self._now))}}
            puts += [partial(self._table.put_if, row, _ABSENT, absent, {"#ttl": "ttl"}) for row in created]
            created = []
        _at_once([partial(self._table.write_many, created), *puts, *gone])

    def _finish(
        self,
        messages: Sequence[Revised[Message]],
        threads: Sequence[Revised[Thread]],
        changes: MailChanges,
    ) -> None:
        """Remove what the new state has left behind, and write the anchors."""
        left = [index_key(t) for t in _moved_from(threads)]
        left += [part for one in self._thread_rows.values() for part in one.left]
        left += [part for c in threads if c.old and c.new is None for part in part_keys(c.old)]
        left += [file for c in messages if c.old for file in self._old_files(c.old, c.new)]
        left += [rows.anchor_key(self._account, a.key) for a in changes.anchors if not a.candidates]
        ttl = _ttl(changes.anchors_expire)
        puts = [rows.anchor_item(self._account, a) | ttl for a in changes.anchors if a.candidates]
        self._table.write_many(puts, left)

    def _location_rows(self, locations: Mapping[tuple[str, RemoteId], Location | None]) -> list[Item]:
        """Return the rows of places; a copy that is only on its way there has none."""
        return [
            key(*self._place(*place))
            | {"m": {"S": location.message_id}, "f": {"S": location.flags}}
            | _ttl(location.expires_at)
            for place, location in locations.items()
            if location and place[1]
        ]

    def _place(self, folder_id: str, remote_id: RemoteId) -> Key:
        return location_key(self._account, folder_id, remote_id)

    def _delete_message(self, message: Message) -> None:
        """Delete a message with its body and its files, or nothing at all."""
        delete = {"TableName": self._table.name, "Key": key(*rows.message_key(self._account, message.id))}
        delete |= {
            "ConditionExpression": "rev = :r",
            "ExpressionAttributeValues": {":r": {"N": str(message.rev)}},
        }
        others = [(self._bodies.name, body_key(self._account, message.id))]
        files = [rows.file_key(self._account, file.id) for file in message.files]
        others += [(self._table.name, where) for where in dict.fromkeys(files[:_MOST_FILES])]
        actions = [delete, *({"TableName": name, "Key": key(*where)} for name, where in others)]
        try:
            transact_patiently(self._table.client, [{"Delete": action} for action in actions])
        except Cancelled as cancelled:
            raise Stale(message.id) from cancelled

    def _message_row(self, message: Message, old_rev: int) -> Item:
        return rows.message_item(message) | self._rev(old_rev) | _ttl(message.expires_at)

    def _rows_of(self, thread: Thread, old: Thread | None) -> ThreadRows:
        version = max(thread.version, old.version + 1) if old else thread.version
        later = self._rev(old.rev if old else 0)
        found = thread_rows(thread, old, int(later["rev"]["N"]))
        counted = {"v": {"N": str(version)}} | later | _ttl(thread.expires_at)
        return replace(found, own=found.own | counted)

    def _new_files(self, old: Message | None, new: Message) -> list[Item]:
        if old and old.files == new.files and old.expires_at == new.expires_at:
            return []
        later = self._rev(old.rev if old else 0)
        return [
            item | (later if "rev" in item else {}) | _ttl(new.expires_at) for item in rows.file_items(new)
        ]

    def _old_files(self, old: Message, new: Message | None) -> list[Key]:
        kept = {file.id for file in new.files} if new else {file.id for file in old.files[:_MOST_FILES]}
        return [rows.file_key(self._account, file.id) for file in old.files if file.id not in kept]

    def _rev(self, old: int) -> Item:
        return {"rev": {"N": str(max(old + 1, int(self._now * 1000)))}}


def location_key(account_id: str, folder_id: str, remote_id: RemoteId) -> Key:
    """Return where the look-up of a place lies."""
    return _location_partition(account_id, folder_id, zlib.crc32(remote_id.encode()) % _BUCKETS), remote_id


def location_partitions(account_id: str, folder_id: str) -> list[str]:
    """Return every partition with places of a folder."""
    return [_location_partition(account_id, folder_id, bucket) for bucket in range(_BUCKETS)]


def _location_partition(account_id: str, folder_id: str, bucket: int) -> str:
    return f"{account_id}#L#{folder_id}#{bucket:02x}"


def _differs(change: Revised[Message] | Revised[Thread]) -> bool:
    """Whether anything but what the store itself counts has changed."""
    old, new = change.old, change.new
    if isinstance(old, Message) and isinstance(new, Message):
        return replace(new, rev=old.rev) != old
    if isinstance(old, Thread) and isinstance(new, Thread):
        return replace(new, rev=old.rev, version=old.version) != old
    return old is not new


def _moved_to(changes: Iterable[Revised[Thread]]) -> list[Thread]:
    """Threads whose index row has to be written."""
    return [c.new for c in changes if c.new and (c.old is None or _indexed(c.old) != _indexed(c.new))]


def _moved_from(changes: Iterable[Revised[Thread]]) -> list[Thread]:
    return [c.old for c in changes if c.old and (c.new is None or index_key(c.old) != index_key(c.new))]


def _indexed(thread: Thread) -> tuple[Key, int]:
    return index_key(thread), thread.expires_at


def _ttl(expires_at: int) -> Item:
    return {"ttl": {"N": str(expires_at)}} if expires_at else {}


def _at_once(writes: Sequence[Write]) -> None:
    parallel(lambda write: write(), writes)
