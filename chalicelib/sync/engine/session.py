"""One worker's stay in one account: from listing to listing."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Set
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Flags, RemoteId
from chalicelib.errors import AuthRejected, CursorExpired, Gone, Interrupted, ProviderError, Throttled
from chalicelib.providers.base import Provider, received
from chalicelib.sync.accounts.foreseen import foreseen
from chalicelib.sync.core.leased_cursors import LeasedCursors
from chalicelib.sync.core.retrying import Busy, Overtaken, until_fresh
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.core.tallies import Tallies
from chalicelib.sync.engine.folder_queue import FolderQueue
from chalicelib.sync.engine.folders import Cabinet
from chalicelib.sync.engine.terms import Terms
from chalicelib.sync.mail.context import Arrival
from chalicelib.sync.mail.labels import labels_of
from chalicelib.sync.mail.retention_change import RetentionChange
from chalicelib.sync.safety.mass_deletion import DeletionGuard, Listing
from chalicelib.sync.safety.poison import PoisonGuard, Target
from chalicelib.sync.safety.renewals import Renewals

LOOK_AROUND_SECONDS = 5.0
SIZES = (80, 120, 200, 400)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A batch of one folder, ready to be stored; `arrivals` is None if it could not be parsed as a whole."""

    folder: Folder
    collection: Collection
    batch: ChangeBatch
    arrivals: list[Arrival] | None


class SyncSession:
    """Syncs one account; a context manager that gives the lease back."""

    def __init__(self, work: SyncStores, account: Account, provider: Provider, stay: Terms) -> None:
        self._work = work
        self._account = account
        self._provider = provider
        self._deadline = stay.deadline
        self._tallies = Tallies(partial(work.checkpoints.tallies, account.id), work.now)
        self._pace = stay.pace
        self._held: list[_Fetched] = []
        self._hidden: set[str] = set()
        self._renewed: set[str] = set()
        self._batches = 0
        self._poison_guard = PoisonGuard(work.quarantine, account.id, work.now)
        self._hold = LeasedCursors(work, account.id, self._tallies, self._poison_guard.begin)
        self._renewals = Renewals(self._hold, work.now, self._hold.own)
        self._cabinet = Cabinet(work, account)
        self._hangups = stay.hangups
        self._guard = DeletionGuard(work, account)
        self._listed: dict[str, Collection] = {}
        self.failing: dict[str, ProviderError] = {}
        self._ingest = self._cabinet.ingest({})
        self._folder_queue = FolderQueue(provider, self._hold, stay.pace, work.now, lambda: self._ingest)
        self._storing = threading.RLock()
        self._fetcher = ThreadPoolExecutor(1, "fetch")

    def __enter__(self) -> Self:
        self.reload()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fetcher.shutdown(cancel_futures=True)
        if self._hold.lease and kind is None:
            self._poison_guard.end()
        self._hold.release()

    @property
    def wrote(self) -> bool:
        """Whether anything had to be written."""
        return self._hold.lease is not None

    @property
    def behind(self) -> bool:
        """Whether history was left for a later turn."""
        return bool(self._folder_queue.behind)

    def reload(self) -> None:
        """Begin again from the cursors in the store."""
        self._hold.reload()
        self._folder_queue.begin()
        self._held.clear()

    def once(self) -> bool:
        """List the folders and sync those that moved; False if all was done. Raises Busy, Overtaken."""
        listed = list(self._provider.collections())
        self._listed = {one.id: one for one in listed}
        self._refresh_folders(listed)
        fits = self._fit()
        waiting = self._folder_queue.waiting([one for one in listed if one.synced])
        if not waiting:
            return not fits
        if self._pace.history() and (not self._hold.saved or any(one.token for one in waiting)):
            self._hold.own()  # here something is sure to be written
        self._drain(waiting)
        self._settle()
        return True

    def review(self) -> None:
        """Look again at removals that were held back, once nothing else moves. Raises Busy, Overtaken."""
        if self.failing and len(self.failing) >= sum(one.synced for one in self._listed.values()):
            raise next(iter(self.failing.values()))
        known = {id: one for id, one in self._hold.cursors.items() if id not in self.failing}
        self._guard.review(Listing(self._provider, self._listed, self._ingest, known, self._hold.own))

    def _drain(self, waiting: deque[Collection]) -> None:
        """Fetch and store, one batch ahead, until nothing waits or it is time to look around."""
        pause, rounds = Deadline.after(LOOK_AROUND_SECONDS), 0
        upcoming = self._start(waiting)
        try:
            while upcoming:
                fetched, rounds = upcoming.result(), rounds + 1
                if fetched:
                    self._folder_queue.go_on(waiting, fetched.collection, fetched.folder.id, fetched.batch)
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
        self._folder_queue.leave(waiting)

    def _start(self, waiting: deque[Collection]) -> Future[_Fetched | None] | None:
        return self._fetcher.submit(self._fetch, waiting.popleft()) if waiting else None

    def _fetch(self, collection: Collection) -> _Fetched | None:
        """Bring the next batch of a folder and move its cursor here, not yet in the store."""
        folder = self._ingest.folder(collection.id)
        before = self._hold.cursors.get(folder.id)
        if self._folder_queue.waits_for_history(collection, folder):
            return None
        try:
            history = self._pace.history()
            with foreseen(f"folder {folder.id} of account {self._account.id}", Busy, Overtaken):
                batch = self._changes(collection, folder, history)
        except ProviderError as error:
            self._pass_over(folder, error)
            return None
        self._learn_labels(batch)
        self._hold.cursors[folder.id] = batch.cursor
        self._pace.note(len(batch.arrived), received(self._provider))
        self._folder_queue.note(collection, folder.id, batch, before=before, history=history)
        if folder.id in self._renewed:  # a second look tells whether the new numbers last
            self._renewed.discard(folder.id)
            self._folder_queue.put_back(folder.id)
        if batch.arrived and self._hold.lease is None:
            with self._storing:
                self._hold.own()  # whoever dies over a message must leave a trace
        return _Fetched(folder, collection, batch, self._poison_guard.parse(self._ingest, batch.arrived))

    def _pass_over(self, folder: Folder, error: ProviderError) -> None:
        """Go on without a folder that fails. Raises ProviderError if it is the account or the connection."""
        if isinstance(error, Interrupted):
            error.folder_id = folder.id
        if isinstance(error, AuthRejected | Interrupted | Throttled):
            raise error
        listed = {one.id for one in self._provider.collections()}
        self._folder_queue.strike(folder.id)
        if isinstance(error, Gone) and folder.collection not in listed:
            return  # deleted since it was listed
        log.warning("folder %s of account %s fails: %s", folder.id, self._account.id, error)
        self.failing[folder.id] = error

    def _learn_labels(self, batch: ChangeBatch) -> None:
        """List again if a message bears a label made since; one that is still not listed is kept from us."""
        named = labels_of(batch)
        if named <= self._ingest.folders.keys() | self._hidden:
            return
        listed = list(self._provider.collections())
        with self._storing:
            self._refresh_folders(listed)
            self._hidden |= named - self._ingest.folders.keys()

    def _changes(self, collection: Collection, folder: Folder, history: int) -> ChangeBatch:
        size, since = SIZES[min(self._batches, len(SIZES) - 1)], self._folder_queue.since(folder)
        wanted = BatchLimits(messages=size, history=history, since=since)
        budget = self._hangups.budget(folder.id, wanted)
        self._batches += 1
        cursor = self._hold.cursors.get(folder.id)
        known = partial(self._known, folder.id)
        self._renewals.check(folder.id)
        try:
            return self._provider.changes(collection, cursor, known, budget)
        except CursorExpired:
            with self._storing:
                self._renewals.note(folder.id)
            self._renewed.add(folder.id)
            # Never wipe: the new generation is walked from the start, known mail is recognised.
            return self._provider.changes(collection, None, known, budget)

    def _known(self, folder_id: str) -> dict[RemoteId, Flags]:
        """What the store holds of a folder, the batch being stored included."""
        with self._storing:
            known = self._work.mail.known(self._account.id, folder_id)
            self._tallies.note(folder_id, len(known))
            return known

    def _store(self, fetched: _Fetched) -> list[str]:
        folder, batch = fetched.folder, fetched.batch
        removed = batch.removed and not self._guard.is_waiting(folder, batch.removed)
        if removed:
            self._hold.own()
        place = self._take(fetched)
        if self._hold.lease or self._hold.saved.get(folder.id) != batch.cursor:
            self._tallies.add(folder.id, batch, place.new)
        if removed:
            self._held.append(fetched)
        else:
            self._hold.advance(folder.id, batch.cursor)
        return place.ids

    def _take(self, fetched: _Fetched) -> Target:
        """Store what a batch brings."""
        place, batch = Target(self._ingest, fetched.folder), fetched.batch
        if batch.arrived or batch.flags or batch.unreadable:
            self._hold.own()
            self._poison_guard.withhold(fetched.folder, batch.unreadable)
            self._poison_guard.take(place, batch, fetched.arrivals)
        return place

    def _settle(self) -> None:
        """Carry out the removals, once the other folders have shown what had only moved there."""
        held, self._held = self._held, []
        if not held:
            return
        self._catch_moves({fetched.folder.id for fetched in held} | self.failing.keys())
        for fetched in held:
            removed = 0
            if not self._guard.freezes(fetched.folder, fetched.batch.removed):
                removed = until_fresh(partial(self._ingest.remove, fetched.folder, fetched.batch.removed))
            self._tallies.add(fetched.folder.id, fetched.batch, 0, removed)
            self._hold.advance(fetched.folder.id, fetched.batch.cursor)

    def _catch_moves(self, left: Set[str]) -> None:
        """Look once more into the other folders: what vanished in one may have arrived in another."""
        for collection in self._provider.collections():
            folder = self._ingest.folders.get(collection.id)
            if not collection.synced or folder is None or folder.id in left:
                continue
            if self._folder_queue.is_unmoved(collection, folder):
                continue
            fetched = self._fetch(collection)
            if fetched is None:
                continue
            self._tallies.add(folder.id, fetched.batch, self._take(fetched).new)
            if fetched.batch.removed:
                self._rewind(folder)
            else:
                self._hold.advance(folder.id, fetched.batch.cursor)

    def _rewind(self, folder: Folder) -> None:
        """Let the next look at a folder bring the same batch again."""
        self._folder_queue.put_back(folder.id)
        self._hold.rewind(folder.id)

    def over(self) -> bool:
        """Tell whether time or turn are over."""
        return self._deadline.passed() or self._pace.over()

    def _fit(self) -> bool:
        """Make what is stored fit the window for a while; True if all fits."""
        work, account, ingest = self._work, self._account, self._ingest
        fitting = RetentionChange(
            work=work,
            account=account,
            provider=self._provider,
            ingest=ingest,
            save=self._hold.recut,
            recount=self._recount,
        )
        fitting.begin(self._hold.saved)
        return fitting.run(dict(self._hold.saved), self._deadline)

    def _recount(self, folder_id: str) -> None:
        """Save how many messages of a folder the store holds now."""
        if folder_id in self._hold.saved:
            self._known(folder_id)
            self._tallies.settle(folder_id)
            self._hold.save(folder_id, self._hold.saved[folder_id])

    def _refresh_folders(self, listed: list[Collection]) -> None:
        self._ingest = self._cabinet.follow(listed, self._hold, self._guard)
