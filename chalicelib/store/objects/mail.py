"""Messages, threads, folders and the look-ups between them (tables `mail` and `body`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

from chalicelib import ids
from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import File, Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.store.aws.dynamo import AFTER_ALL, Item, Key, Table, parallel
from chalicelib.store.objects import rows, thread_rows, threads_index
from chalicelib.store.objects.body import BodyTable
from chalicelib.store.objects.saving import Saving, location_key, location_partitions
from chalicelib.store.values import Location, MailChanges, Revised

T = TypeVar("T")
_READINGS = 4


class MailTable:
    """The port Mail; all reads but those of bodies are strongly consistent."""

    def __init__(self, client: Any, settings: Settings, now: Clock = time.time) -> None:
        self._table = Table(client, f"{settings.table_prefix}-mail")
        self._bodies = BodyTable(Table(client, f"{settings.table_prefix}-body"))
        self._months = threads_index.Months(self._table)
        self._now = now

    def folders(self, account_id: str) -> list[Folder]:
        pages = self._table.pages(account_id, "F#", "F#" + AFTER_ALL)
        found = [rows.folder_of(row) for page in pages for row in page]
        return sorted(found, key=lambda folder: (folder.created_at, folder.id))

    def save_folders(self, account_id: str, changes: Sequence[Revised[Folder]]) -> None:
        parallel(self._save_folder, changes)

    def messages(self, account_id: str, ids: Iterable[str]) -> dict[str, Message]:
        found = self._read(account_id, ids, rows.message_key, rows.message_of)
        return {message.id: message for message in found}

    def threads(self, account_id: str, ids: Iterable[str]) -> dict[str, Thread]:
        found = self._read(account_id, ids, rows.thread_key, lambda row: row)
        short = (thread_rows.thread_of(row, {}) for row in found if not thread_rows.in_parts(row))
        long = parallel(self._whole_thread, filter(thread_rows.in_parts, found))
        return {thread.id: thread for thread in [*short, *long] if thread}

    def anchors(self, account_id: str, keys: Iterable[str]) -> dict[str, Anchor]:
        found = self._table.get_many(rows.anchor_key(account_id, key) for key in keys)
        anchors = [rows.anchor_of(row) for row in self._live(found)]
        return {anchor.key: anchor for anchor in anchors}

    def locations(
        self, account_id: str, folder_id: str, remote_ids: Iterable[RemoteId]
    ) -> dict[RemoteId, Location]:
        keys = [location_key(account_id, folder_id, id) for id in remote_ids if id]
        return dict(map(_location_of, self._live(self._table.get_many(keys))))

    def known(self, account_id: str, folder_id: str) -> dict[RemoteId, Flags]:
        partitions = location_partitions(account_id, folder_id)
        found = parallel(lambda pk: [r for page in self._table.pages(pk) for r in page], partitions)
        places = map(_location_of, self._live(chain.from_iterable(found)))
        return {remote_id: location.flags for remote_id, location in places}

    def bodies(self, account_id: str, ids: Iterable[str]) -> dict[str, str]:
        return self._bodies.get(account_id, ids, self._now())

    def save(self, account_id: str, changes: MailChanges) -> None:
        """Write a batch so that a crash anywhere can be repaired by repeating it.

        Order: months, new locations, files, bodies, index rows and parts of threads (nobody sees them without
        what they belong to), messages, threads that gain, threads that lose messages, deletions of messages,
        anchors, changed locations. Raises Stale if a changed object is no longer that of `old`.
        """
        Saving(self._table, self._bodies, self._months, self._now(), account_id).run(changes)

    def newest_messages(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Message]:
        first, last = _bounds(after, before)
        months = self._months.of(account_id)["messages"] if first <= last else ()
        partitions = [f"{account_id}#{m}" for m in threads_index.months_between(months, first, last)]
        low, high = f"M#{ids.date_prefix(first)}", f"M#{ids.date_prefix(last)}{AFTER_ALL}"
        for page in threads_index.newest_pages(self._table, partitions, low, high):
            yield from map(rows.message_of, self._live(page))

    def newest_threads(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Thread]:
        first, last = _bounds(after, None if before is None else before - 1)
        months = self._months.of(account_id)["threads"] if first <= last else ()
        partitions = [f"{account_id}#I#{m}" for m in threads_index.months_between(months, first, last)]
        low, high = threads_index.index_bound(first), threads_index.index_bound(last) + AFTER_ALL
        for page in threads_index.newest_pages(self._table, partitions, low, high):
            yield from self._indexed(account_id, self._live(page))

    def file(self, account_id: str, file_id: str) -> tuple[File, str] | None:
        if not ids.is_id(file_id):
            return None
        row = self._table.get(*rows.file_key(account_id, file_id))
        return rows.file_of(row) if row and self._live([row]) else None

    def _whole_thread(self, row: Item) -> Thread | None:
        """Return the thread of a row with its parts; reads again if they change just now."""
        found: dict[str, Item] = {}
        for _ in range(_READINGS):
            found = {one["sk"]["S"]: one for page in self._table.pages(row["pk"]["S"]) for one in page}
            own = self._live([found[row["sk"]["S"]]] if row["sk"]["S"] in found else [])
            if not own:
                return None
            [row] = own
            if thread_rows.is_whole(row, found):
                break
        return thread_rows.thread_of(row, found)

    def _indexed(self, account_id: str, page: Sequence[Item]) -> Iterator[Thread]:
        """Threads of index rows; a row that its thread has moved away from is passed over."""
        threads = self.threads(account_id, [row["t"]["S"] for row in page])
        for row in page:
            thread = threads.get(row["t"]["S"])
            if thread and threads_index.index_key(thread) == (row["pk"]["S"], row["sk"]["S"]):
                yield thread

    def _read(
        self,
        account_id: str,
        wanted: Iterable[str],
        key_of: Callable[[str, str], Key],
        make: Callable[[Item], T],
    ) -> list[T]:
        keys = [key_of(account_id, id) for id in wanted if ids.is_id(id)]
        return [make(row) for row in self._live(self._table.get_many(keys))]

    def _live(self, found: Iterable[Item]) -> list[Item]:
        return rows.live(found, self._now())

    def _save_folder(self, change: Revised[Folder]) -> None:
        old, new = change.old, change.new
        if new is None:
            if old is not None:
                self._table.delete_if(*rows.folder_key(old.account_id, old.id), old.rev)
            return
        fresh = replace(new, rev=max((old.rev if old else 0) + 1, int(self._now() * 1000)))
        if old is None:
            self._table.put_if(rows.folder_item(fresh), "attribute_not_exists(pk)")
        elif old != replace(new, rev=old.rev):
            self._table.put_if(rows.folder_item(fresh), "rev = :r", {":r": {"N": str(old.rev)}})


def _bounds(after: int | None, before: int | None) -> tuple[int, int]:
    first = 0 if after is None else max(0, after + 1)
    return first, ids.LAST_SECOND if before is None else min(before, ids.LAST_SECOND)


def _location_of(row: Item) -> tuple[RemoteId, Location]:
    return RemoteId(row["sk"]["S"]), Location(row["m"]["S"], Flags(row["f"]["S"]), rows.expiry_of(row))
