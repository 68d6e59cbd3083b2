"""Bring one account up to date, one bounded batch at a time.

A pass lists the folders; those whose token stands still are done. For the others it asks the
provider for the next batch, stores the items, then moves the folder's cursor, round after round,
until nothing is left or the time is up:

    list folders ─▶ nothing moved ─▶ CURRENT (no write at all)
         │
         ▼ take the lease (somebody else has it: BUSY)
    ┌─▶ each moved folder: changes ─▶ absorb arrivals and flags ─▶ cursor
    │    │ removals wait until every folder was seen, so that a move is no deletion
    │    ▼
    └── list again while something is left ─▶ CURRENT, or MORE when the deadline has passed

A crash anywhere repeats the batch under way; repeating writes nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from chalicelib.clock import Clock, Deadline
from chalicelib.domain.account import Account, SyncState
from chalicelib.domain.change import Budget, ChangeBatch, Collection, Cursor, Flags, RemoteId
from chalicelib.domain.folder import Folder
from chalicelib.errors import CursorExpired
from chalicelib.providers.base import Provider
from chalicelib.store.ports import Accounts, Blobs, Checkpoints, Lease, Mail
from chalicelib.sync import folders, ingest
from chalicelib.sync.stale import until_fresh

LEASE_SECONDS = 20.0
BUDGETS = (Budget(messages=50), Budget(messages=100), Budget(messages=200))


class Outcome(Enum):
    """How a pass ended."""

    CURRENT = "current"
    MORE = "more"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What syncing an account needs."""

    mail: Mail
    checkpoints: Checkpoints
    blobs: Blobs
    accounts: Accounts
    provider: Callable[[Account], Provider]
    now: Clock = time.time


def sync_account(work: Workspace, account: Account, deadline: Deadline) -> Outcome:
    """Sync until current or out of time. Raises ProviderError when the mail server fails."""
    provider = work.provider(account)
    try:
        listed = list(provider.collections())
        if _is_quiet(work, account, provider, listed):
            return Outcome.CURRENT
        lease = work.checkpoints.acquire(account.id, LEASE_SECONDS)
        if lease is None:
            return Outcome.BUSY
        try:
            return _Pass(work, account, provider, lease, deadline).run(listed)
        finally:
            work.checkpoints.release(lease)
    finally:
        provider.close()


def _is_quiet(work: Workspace, account: Account, provider: Provider, listed: list[Collection]) -> bool:
    if account.state is not SyncState.RUNNING:
        return False
    stored = {folder.collection: folder for folder in work.mail.folders(account.id)}
    if folders.differences(account.id, stored, listed, now=0):
        return False
    cursors = work.checkpoints.cursors(account.id)
    return all(_is_done(provider, one, cursors.get(stored[one.id].id)) for one in listed)


def _is_done(provider: Provider, collection: Collection, cursor: Cursor | None) -> bool:
    return cursor is not None and provider.unchanged(collection, cursor)


@dataclass(slots=True)
class _Pass:
    """One worker's stay in one account."""

    work: Workspace
    account: Account
    provider: Provider
    lease: Lease
    deadline: Deadline
    cursors: dict[str, Cursor] = field(default_factory=dict)
    shelf: ingest.Shelf = field(init=False)
    batches: int = 0

    def run(self, listed: list[Collection]) -> Outcome:
        self.cursors = self.work.checkpoints.cursors(self.account.id)
        while True:
            self._refresh_folders(listed)
            moved = [one for one in listed if not _is_done(self.provider, one, self._cursor(one))]
            if not moved:
                return self._finish()
            self._round(moved)
            if self.deadline.passed():
                return Outcome.MORE
            listed = list(self.provider.collections())

    def _cursor(self, collection: Collection) -> Cursor | None:
        return self.cursors.get(self.shelf.folder(collection.id).id)

    def _refresh_folders(self, listed: list[Collection]) -> None:
        stored = {folder.collection: folder for folder in self.work.mail.folders(self.account.id)}
        changed = folders.differences(self.account.id, stored, listed, now=int(self.work.now()))
        for gone in (change.old for change in changed if change.old and not change.new):
            self._empty(stored, gone)
        if changed:
            self.work.mail.save_folders(self.account.id, changed)
            stored = {folder.collection: folder for folder in self.work.mail.folders(self.account.id)}
        self.shelf = ingest.Shelf(
            mail=self.work.mail,
            blobs=self.work.blobs,
            account=self.account,
            folders=stored,
            now=self.work.now,
        )

    def _empty(self, stored: dict[str, Folder], gone: Folder) -> None:
        """Take every message out of a folder that is no longer on the server."""
        shelf = ingest.Shelf(
            mail=self.work.mail,
            blobs=self.work.blobs,
            account=self.account,
            folders=stored,
            now=self.work.now,
        )
        known = frozenset(self.work.mail.known(self.account.id, gone.id))
        until_fresh(partial(shelf.remove, gone, known))
        self.work.checkpoints.save(self.lease, gone.id, None)

    def _round(self, moved: list[Collection]) -> None:
        held: list[tuple[Folder, frozenset[RemoteId], Cursor]] = []
        for collection in moved:
            folder = self.shelf.folder(collection.id)
            batch = self._next_batch(collection, folder)
            until_fresh(partial(self.shelf.absorb, folder, batch))
            if batch.removed:
                held.append((folder, batch.removed, batch.cursor))
            else:
                self._advance(folder, batch.cursor)
            if self.deadline.passed():
                break
        if held:
            self._catch_moves({folder.id for folder, _, _ in held})
        for folder, removed, cursor in held:
            until_fresh(partial(self.shelf.remove, folder, removed))
            self._advance(folder, cursor)

    def _catch_moves(self, left: set[str]) -> None:
        """Look once more into the other folders: what vanished in one may have arrived in another."""
        for collection in self.provider.collections():
            folder = self.shelf.folders.get(collection.id)
            if (
                folder is None
                or folder.id in left
                or _is_done(self.provider, collection, self._cursor(collection))
            ):
                continue
            batch = self._next_batch(collection, folder)
            until_fresh(partial(self.shelf.absorb, folder, batch))
            if not batch.removed:
                self._advance(folder, batch.cursor)

    def _next_batch(self, collection: Collection, folder: Folder) -> ChangeBatch:
        budget = BUDGETS[min(self.batches, len(BUDGETS) - 1)]
        self.batches += 1

        def known() -> dict[RemoteId, Flags]:
            return self.work.mail.known(self.account.id, folder.id)

        try:
            return self.provider.changes(collection, self.cursors.get(folder.id), known, budget)
        except CursorExpired:
            # Never wipe: the new generation is walked from the start, known mail is recognised.
            self.cursors.pop(folder.id, None)
            return self.provider.changes(collection, None, known, budget)

    def _advance(self, folder: Folder, cursor: Cursor) -> None:
        self.work.checkpoints.save(self.lease, folder.id, cursor)
        self.cursors[folder.id] = cursor

    def _finish(self) -> Outcome:
        current = self.work.accounts.get(self.account.id)
        if current is not None and current.state in (SyncState.INITIALIZING, SyncState.SYNC_ERROR):
            self.work.accounts.transition(current, SyncState.RUNNING)
        return Outcome.CURRENT
