"""Slow reconciliation: what a folder holds here against what the server says it holds.

Sync moves from change to change; whatever it should ever miss (a server that forgets to count, an edit
the server refused, a message that could not be stored) is found here, folder by folder, and put right.
What is right already is not written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence, Set
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.retention import is_over
from chalicelib.domain.remote import Collection, Cursor, RemoteId, RemoteMessage
from chalicelib.domain.sync.quarantine import Cause, Quarantined, QuarantineState
from chalicelib.errors import CursorExpired, Gone, Interrupted
from chalicelib.providers.base import Labelled, Provider
from chalicelib.sync.accounts.foreseen import foreseen
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.core.tallies import recount
from chalicelib.sync.mail.ingest import Ingest
from chalicelib.sync.safety import retry
from chalicelib.sync.safety.mass_deletion import DeletionGuard
from chalicelib.sync.safety.poison import PoisonGuard, Target
from chalicelib.sync.safety.settling import Loose

LEASE_SECONDS = 150.0
CHUNK = 100
SETTLED_SECONDS = 3_600
"""An edit made by the API has reached the mail server after so long, or was given up."""

RETRY_SECONDS = 86_400
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
    retried: int = 0
    done: bool = True


def repair(
    work: SyncStores, account: Account, deadline: Deadline, settled: int = SETTLED_SECONDS
) -> Findings | None:
    """Compare the folders as far as time allows; None if another worker is at the account.

    Begin after a sync: what is still to come is not amiss. Each week begins with another folder, so that
    every one has its turn. What the API wrote less than `settled` seconds ago is left alone. Raises
    ProviderError, and SyncFailure over whatever nobody foresaw.
    """
    lease = work.checkpoints.acquire(account.id, LEASE_SECONDS)
    if lease is None:
        return None
    try:
        with foreseen(f"the comparison of account {account.id}"), closing(work.provider(account)) as provider:
            comparison = _Comparison(work, account, provider, deadline, settled)
            comparison.poison_guard.begin(lease)
            findings = comparison.run()
            comparison.poison_guard.end()
            recount(work, account.id, lease)
            return findings
    finally:
        work.checkpoints.release(lease)


@dataclass(slots=True)
class _Comparison:
    work: SyncStores
    account: Account
    provider: Provider
    deadline: Deadline
    settled: int
    ingest: Ingest = field(init=False)
    poison_guard: PoisonGuard = field(init=False)
    guard: DeletionGuard = field(init=False)
    set_aside: list[Quarantined] = field(init=False)
    findings: Findings = field(default_factory=Findings)
    compared: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        work, id = self.work, self.account.id
        self.poison_guard = PoisonGuard(work.quarantine, id, work.now)
        self.guard = DeletionGuard(work, self.account)
        entries = work.quarantine.entries(id) if work.quarantine else []
        self.set_aside = [one for one in entries if one.cause is not Cause.FILING]

    def run(self) -> Findings:
        folders = {folder.collection: folder for folder in self.work.mail.folders(self.account.id)}
        work = self.work
        self.ingest = Ingest(
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
            frozen = self.guard.freezes(folder, removed)
            for part in _chunks(sorted(removed) if not frozen else []):
                until_fresh(partial(self.ingest.remove, folder, frozenset(part)))
        loose = Loose(self.work, self.account, self.provider, self.ingest, self.compared)
        self.findings.surplus += loose.settle(int(self.work.now()) - self.settled)
        with suppress(Interrupted):  # then the connection has ended, and everything else is done
            self._retry()
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
        since = self.ingest.window.since(folder.id, self.work.now())
        try:
            there = self.provider.listing(collection, cursor, since and since + _MARGIN)
            everything = self.provider.listing(collection, cursor) if since else there
        except (CursorExpired, Gone):
            return frozenset()
        known = self.work.mail.known(self.account.id, folder.id)
        aside = {entry.remote_id for entry in self.set_aside if entry.folder_id == folder.id}
        for part in _chunks(sorted(there.keys() - known.keys() - aside)):
            arrived = [one for one in self.provider.items(collection, part) if self._is_wanted(one, folder)]
            self.poison_guard.put(Target(self.ingest, folder), arrived)
            self.findings.missing += len(arrived)
        settled = int(self.work.now()) - self.settled
        for part in _chunks(sorted(there.keys() & known.keys())):
            flags = {id: there[id] for id in part}
            labels = self.provider.labels(collection, part) if isinstance(self.provider, Labelled) else {}
            until_fresh(partial(self.ingest.restate, folder, flags, settled, labels))
        self.findings.folders += 1
        self.compared.add(folder.id)
        self._clear(folder, everything.keys())
        removed = frozenset(known.keys() - everything.keys())
        self.findings.surplus += len(removed)
        return removed

    def _is_wanted(self, remote: RemoteMessage, folder: Folder) -> bool:
        """Tell whether the window keeps a message: the server may list those that it has no date of."""
        return not is_over(self.ingest.window.expiry(remote.received_at, [folder.id]), self.work.now())

    def _clear(self, folder: Folder, there: Set[RemoteId]) -> None:
        """Forget what was set aside and is no longer on the server."""
        gone = [one for one in self.set_aside if one.folder_id == folder.id and one.remote_id not in there]
        for entry in gone:
            if self.work.quarantine is not None:
                self.work.quarantine.change(entry, None)
            self.set_aside.remove(entry)

    def _retry(self) -> None:
        """Try once more what was set aside, except what was tried today: a worker may have died of it."""
        quarantine = self.work.quarantine
        settled = int(self.work.now()) - RETRY_SECONDS
        waiting = [one for one in self.set_aside if one.state is not QuarantineState.SKIPPED]
        for entry in (one for one in waiting if one.last_at <= settled):
            if quarantine is None or self.deadline.passed():
                return
            into = retry.attempt(quarantine, self.poison_guard, self.provider, self.ingest, entry)
            self.findings.retried += 1
            self.findings.missing += into


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
