"""One worker's stay in one account: from listing to listing."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Set
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from chalicelib.clock import Deadline
from chalicelib.domain.account import Account
from chalicelib.domain.change import Budget, ChangeBatch, Collection, Cursor, Flags, RemoteId
from chalicelib.domain.folder import Folder
from chalicelib.errors import CursorExpired, Gone
from chalicelib.providers.base import Provider, received
from chalicelib.store.ports import Lease
from chalicelib.sync import folders
from chalicelib.sync.ingest import Arrival, Shelf
from chalicelib.sync.pace import Pace
from chalicelib.sync.stale import until_fresh
from chalicelib.sync.workspace import Workspace

LEASE_SECONDS = 20.0
LOOK_AROUND_SECONDS = 5.0
SIZES = (80, 120, 200, 400)

log = logging.getLogger(__name__)


class Busy(Exception):
    """Another worker has the lease."""


class Overtaken(Exception):
    """Another worker moved the cursors before the lease was ours."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A batch of one folder, parsed and ready to be stored."""

    folder: Folder
    collection: Collection
    batch: ChangeBatch
    arrivals: list[Arrival]


class Sweep:
    """Syncs one account; a context manager that gives the lease back."""

    def __init__(
        self, work: Workspace, account: Account, provider: Provider, deadline: Deadline, pace: Pace
    ) -> None:
        self._work = work
        self._account = account
        self._provider = provider
        self._deadline = deadline
        self._pace = pace
        self._behind: set[str] = set()
        self._since = work.since()
        self._lease: Lease | None = None
        self._saved: dict[str, Cursor] = {}
        self._cursors: dict[str, Cursor] = {}
        self._finished: set[str] = set()
        self._held: list[_Fetched] = []
        self._left: list[str] = []
        self._batches = 0
        self._shelf = self._shelf_of({})
        self._storing = threading.RLock()
        self._fetcher = ThreadPoolExecutor(1, "fetch")

    def __enter__(self) -> Self:
        self.reload()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fetcher.shutdown(cancel_futures=True)
        if self._lease:
            self._work.checkpoints.release(self._lease)

    @property
    def wrote(self) -> bool:
        """Whether anything had to be written."""
        return self._lease is not None

    @property
    def behind(self) -> bool:
        """Whether history was left for a later turn."""
        return bool(self._behind)

    def reload(self) -> None:
        """Begin again from the cursors in the store."""
        self._saved = self._work.checkpoints.cursors(self._account.id)
        self._cursors = dict(self._saved)
        self._finished.clear()
        self._behind.clear()
        self._held.clear()

    def once(self) -> bool:
        """List the folders and sync those that moved; False if none did. Raises Busy, Overtaken."""
        listed = list(self._provider.collections())
        self._refresh_folders(listed)
        waiting = self._in_turn([one for one in listed if not self._is_done(one)])
        if not waiting:
            return False
        if self._pace.history() and any(one.token or self._cursor(one) is None for one in waiting):
            self._own()  # here something is sure to be written
        self._drain(waiting)
        self._settle()
        return True

    def _in_turn(self, waiting: Iterable[Collection]) -> deque[Collection]:
        """Order folders: the inbox, then those the last round had to leave, in their order."""
        place = {id: number for number, id in enumerate(self._left)}
        return deque(sorted(waiting, key=lambda one: (one.role != "inbox", place.get(one.id, len(place)))))

    def _drain(self, waiting: deque[Collection]) -> None:
        """Fetch and store, one batch ahead, until nothing waits or it is time to look around."""
        pause, rounds = Deadline.after(LOOK_AROUND_SECONDS), 0
        upcoming = self._start(waiting)
        try:
            while upcoming:
                fetched, rounds = upcoming.result(), rounds + 1
                if fetched and self._goes_on(fetched):
                    waiting.append(fetched.collection)
                enough = self.over() or (pause.passed() and rounds > 1)
                first = self._batches == 1  # somebody waits for it: nothing else runs beside it
                with self._storing:  # from before the next fetch: it must not know less than it should
                    upcoming = None if enough or first else self._start(waiting)
                    ids = self._store(fetched) if fetched else []
                self._pace.stored(ids)
                if first and not enough:
                    upcoming = self._start(waiting)
        finally:
            wait([upcoming] if upcoming else [])
        self._left = [one.id for one in waiting]
        if waiting and (inbox := self._shelf.role("inbox")):  # there will be another round
            self._finished.discard(inbox.id)

    def _start(self, waiting: deque[Collection]) -> Future[_Fetched | None] | None:
        return self._fetcher.submit(self._fetch, waiting.popleft()) if waiting else None

    def _fetch(self, collection: Collection) -> _Fetched | None:
        """Bring the next batch of a folder and move its cursor here, not yet in the store."""
        folder = self._shelf.folder(collection.id)
        before = self._cursors.get(folder.id)
        try:
            history = self._pace.history()
            batch = self._changes(collection, folder, history)
        except Gone:  # deleted since it was listed; the next listing will say so
            log.info("folder %s of account %s has gone", folder.id, self._account.id)
            self._finished.add(folder.id)
            return None
        self._cursors[folder.id] = batch.cursor
        self._pace.note(len(batch.arrived), received(self._provider))
        if not batch.more and (not collection.token or batch.cursor == before):
            self._finished.add(folder.id)
        if batch.more and not history and batch.cursor == before:  # nothing new, and no more is wanted
            self._finished.add(folder.id)
            self._behind.add(folder.id)
        for id, reason in batch.unreadable.items():
            log.warning("message %s in folder %s is passed over: %s", id, folder.id, reason)
        return _Fetched(folder, collection, batch, self._shelf.arrivals(batch.arrived))

    def _changes(self, collection: Collection, folder: Folder, history: int) -> ChangeBatch:
        size = SIZES[min(self._batches, len(SIZES) - 1)]
        budget = Budget(messages=size, history=history, since=self._since)
        self._batches += 1
        cursor = self._cursors.get(folder.id)
        known = partial(self._known, folder.id)
        try:
            return self._provider.changes(collection, cursor, known, budget)
        except CursorExpired:
            # Never wipe: the new generation is walked from the start, known mail is recognised.
            return self._provider.changes(collection, None, known, budget)

    def _known(self, folder_id: str) -> dict[RemoteId, Flags]:
        """What the store holds of a folder, the batch being stored included."""
        with self._storing:
            return self._work.mail.known(self._account.id, folder_id)

    def _store(self, fetched: _Fetched) -> list[str]:
        folder, batch = fetched.folder, fetched.batch
        ids: list[str] = []
        if fetched.arrivals or batch.flags or batch.removed:
            self._own()
            ids = until_fresh(partial(self._shelf.absorb, folder, fetched.arrivals, batch.flags))
        if batch.removed:
            self._held.append(fetched)
        else:
            self._advance(folder, batch.cursor)
        return ids

    def _advance(self, folder: Folder, cursor: Cursor) -> None:
        if self._saved.get(folder.id) == cursor:
            return
        self._work.checkpoints.save(self._own(), folder.id, cursor)
        self._saved[folder.id] = cursor

    def _settle(self) -> None:
        """Carry out the removals, once the other folders have shown what had only moved there."""
        held, self._held = self._held, []
        if not held:
            return
        self._catch_moves({fetched.folder.id for fetched in held})
        for fetched in held:
            until_fresh(partial(self._shelf.remove, fetched.folder, fetched.batch.removed))
            self._advance(fetched.folder, fetched.batch.cursor)

    def _catch_moves(self, left: Set[str]) -> None:
        """Look once more into the other folders: what vanished in one may have arrived in another."""
        for collection in self._provider.collections():
            folder = self._shelf.folders.get(collection.id)
            if folder is None or folder.id in left or self._is_unmoved(collection, folder):
                continue
            fetched = self._fetch(collection)
            if fetched is None:
                continue
            until_fresh(partial(self._shelf.absorb, folder, fetched.arrivals, fetched.batch.flags))
            if fetched.batch.removed:
                self._rewind(folder)
            else:
                self._advance(folder, fetched.batch.cursor)

    def _rewind(self, folder: Folder) -> None:
        """Let the next look at a folder bring the same batch again."""
        self._finished.discard(folder.id)
        self._cursors.pop(folder.id, None)
        if folder.id in self._saved:
            self._cursors[folder.id] = self._saved[folder.id]

    def over(self) -> bool:
        """Tell whether time or turn are over."""
        return self._deadline.passed() or self._pace.over()

    def _goes_on(self, fetched: _Fetched) -> bool:
        return fetched.batch.more and not fetched.batch.removed and fetched.folder.id not in self._finished

    def _is_done(self, collection: Collection) -> bool:
        folder = self._shelf.folder(collection.id)
        return folder.id in self._finished or self._is_unmoved(collection, folder)

    def _is_unmoved(self, collection: Collection, folder: Folder) -> bool:
        cursor = self._cursors.get(folder.id)
        return cursor is not None and self._provider.unchanged(collection, cursor, self._since)

    def _cursor(self, collection: Collection) -> Cursor | None:
        return self._cursors.get(self._shelf.folder(collection.id).id)

    def _own(self) -> Lease:
        """Return the lease, taking it first; what was read before must still hold."""
        if self._lease:
            return self._lease
        self._lease = self._work.checkpoints.acquire(self._account.id, LEASE_SECONDS)
        if self._lease is None:
            raise Busy(self._account.id)
        if self._work.checkpoints.cursors(self._account.id) != self._saved:
            raise Overtaken(self._account.id)
        return self._lease

    def _refresh_folders(self, listed: Iterable[Collection]) -> None:
        listed = list(listed)
        stored = {folder.collection: folder for folder in self._work.mail.folders(self._account.id)}
        changed = folders.differences(self._account.id, stored, listed, now=int(self._work.now()))
        if changed:
            self._own()
            for gone in (change.old for change in changed if change.old and not change.new):
                self._empty(stored, gone)
            self._work.mail.save_folders(self._account.id, changed)
            stored = {folder.collection: folder for folder in self._work.mail.folders(self._account.id)}
        self._shelf = self._shelf_of(stored)

    def _shelf_of(self, stored: dict[str, Folder]) -> Shelf:
        work = self._work
        return Shelf(mail=work.mail, blobs=work.blobs, account=self._account, folders=stored, now=work.now)

    def _empty(self, stored: dict[str, Folder], gone: Folder) -> None:
        """Take every message out of a folder that is no longer on the server."""
        known = frozenset(self._work.mail.known(self._account.id, gone.id))
        until_fresh(partial(self._shelf_of(stored).remove, gone, known))
        self._work.checkpoints.save(self._own(), gone.id, None)
        for cursors in (self._saved, self._cursors):
            cursors.pop(gone.id, None)
