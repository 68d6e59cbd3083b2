"""Slow reconciliation: what a folder holds here against what the server says it holds.

Sync moves from change to change; whatever it should ever miss (a server that forgets to count, an edit
the server refused, a message that could not be stored) is found here, folder by folder, and put right.
What is right already is not written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from chalicelib.clock import Deadline
from chalicelib.domain.account import Account
from chalicelib.domain.change import Collection, Cursor, RemoteId
from chalicelib.domain.folder import Folder
from chalicelib.errors import CursorExpired, Gone
from chalicelib.providers.base import Labelled, Provider
from chalicelib.sync.ingest import Shelf
from chalicelib.sync.stale import until_fresh
from chalicelib.sync.workspace import Workspace

LEASE_SECONDS = 150.0
CHUNK = 100
SETTLED_SECONDS = 3_600
"""An edit made by the API has reached the mail server after so long, or was given up."""

_WEEK = 604_800
_MARGIN = 3 * 86_400  # mail about to leave the window may be here or not

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Findings:
    """How much was put right."""

    missing: int = 0
    surplus: int = 0
    folders: int = 0
    done: bool = True


def repair(
    work: Workspace, account: Account, deadline: Deadline, settled: int = SETTLED_SECONDS
) -> Findings | None:
    """Compare the folders as far as time allows; None if another worker is at the account.

    Begin after a sync: what is still to come is not amiss. Each week begins with another folder, so that
    every one has its turn. What the API wrote less than `settled` seconds ago is left alone. Raises
    ProviderError.
    """
    lease = work.checkpoints.acquire(account.id, LEASE_SECONDS)
    if lease is None:
        return None
    try:
        provider = work.provider(account)
        try:
            return _Comparison(work, account, provider, deadline, settled).run()
        finally:
            provider.close()
    finally:
        work.checkpoints.release(lease)


@dataclass(slots=True)
class _Comparison:
    work: Workspace
    account: Account
    provider: Provider
    deadline: Deadline
    settled: int
    shelf: Shelf = field(init=False)
    findings: Findings = field(default_factory=Findings)

    def run(self) -> Findings:
        folders = {folder.collection: folder for folder in self.work.mail.folders(self.account.id)}
        work = self.work
        self.shelf = Shelf(
            mail=work.mail,
            blobs=work.blobs,
            account=self.account,
            folders=folders,
            now=work.now,
            window=work.window(self.account).fixed(folders.values()),
        )
        cursors = work.checkpoints.cursors(self.account.id)
        surplus: list[tuple[Folder, frozenset[RemoteId]]] = []
        for collection in self._in_turn(self.provider.collections()):
            folder = folders.get(collection.id)
            cursor = cursors.get(folder.id) if folder else None
            if folder and cursor:
                surplus.append((folder, self._compare(collection, folder, cursor)))
        for folder, removed in surplus:  # last of all, so that what merely moved is not deleted
            for part in _chunks(sorted(removed)):
                until_fresh(partial(self.shelf.remove, folder, frozenset(part)))
        log.info("account %s compared with its server: %s", self.account.id, self.findings)
        return self.findings

    def _in_turn(self, collections: Sequence[Collection]) -> Sequence[Collection]:
        first = int(self.work.now()) // _WEEK % max(1, len(collections))
        return [*collections[first:], *collections[:first]]

    def _compare(self, collection: Collection, folder: Folder, cursor: Cursor) -> frozenset[RemoteId]:
        """Bring what is missing, take over flags; return what is no longer there."""
        if self.deadline.passed():
            self.findings.done = False
            return frozenset()
        since = self.shelf.window.since(folder.id, self.work.now())
        try:
            there = self.provider.listing(collection, cursor, since and since + _MARGIN)
            everything = self.provider.listing(collection, cursor) if since else there
        except (CursorExpired, Gone):
            return frozenset()
        known = self.work.mail.known(self.account.id, folder.id)
        for part in _chunks(sorted(there.keys() - known.keys())):
            arrivals = self.shelf.arrivals(self.provider.items(collection, part))
            until_fresh(partial(self.shelf.absorb, folder, arrivals, {}))
            self.findings.missing += len(arrivals)
        settled = int(self.work.now()) - self.settled
        for part in _chunks(sorted(there.keys() & known.keys())):
            flags = {id: there[id] for id in part}
            labels = self.provider.labels(collection, part) if isinstance(self.provider, Labelled) else {}
            until_fresh(partial(self.shelf.restate, folder, flags, settled, labels))
        self.findings.folders += 1
        removed = frozenset(known.keys() - everything.keys())
        self.findings.surplus += len(removed)
        return removed


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
