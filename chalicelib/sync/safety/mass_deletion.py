"""A second look before much is removed at once.

When more than half of a folder seems gone, or the folder itself, nothing is removed: a mark is kept with
the account, once. Sync goes on meanwhile. When everything else is in place the mark is looked at again: what
has merely moved is let go at once; the rest only if another stay, on another connection and some minutes
later, finds it gone still, or if the owner has confirmed it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval, is_too_much
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.remote import Collection, Cursor, RemoteId
from chalicelib.errors import CursorExpired, Gone
from chalicelib.providers.base import Provider
from chalicelib.store.values import Lease, Revised
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.mail.ingest import Ingest

CHUNK = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a second look needs: the server as listed now, and the right to write."""

    provider: Provider
    listed: Mapping[str, Collection]
    ingest: Ingest
    cursors: Mapping[str, Cursor]
    own: Callable[[], Lease]


class DeletionGuard:
    """The frozen removals of one account during one stay."""

    def __init__(self, work: SyncStores, account: Account) -> None:
        self._work = work
        self._account_id = account.id
        self._marks = {mark.folder_id: mark for mark in account.frozen}
        self._earlier = dict(self._marks)

    def is_waiting(self, folder: Folder, removed: frozenset[RemoteId]) -> bool:
        """Tell whether so many removals are covered by the folder's mark already."""
        guarded = self._work.safety is not None and folder.id in self._marks
        return guarded and len(removed) > self._few

    def freezes(self, folder: Folder, removed: frozenset[RemoteId]) -> bool:
        """Tell whether removals must wait; a mark is kept if they must."""
        if self._work.safety is None or len(removed) <= self._few:
            return False
        if folder.id in self._marks:
            return True
        known = self._work.mail.known(self._account_id, folder.id)
        count = len(removed & known.keys())
        if is_too_much(count, len(known), self._few) and not self._lost(folder, sorted(removed)):
            return False  # old names of mail that lies elsewhere, or here under a new one
        return self._freeze_if_too_much(folder, count, len(known), vanished=False)

    def keeps(self, folder: Folder) -> bool:
        """Tell whether a folder that is no longer listed stays for now; a mark is kept if it does."""
        if self._work.safety is None:
            return False
        if folder.id in self._marks:
            return True
        held = len(self._work.mail.known(self._account_id, folder.id))
        return self._freeze_if_too_much(folder, held, held, vanished=True)

    def review(self, scene: Listing) -> None:
        """Look again at what was frozen in this stay, and at what has waited long enough."""
        for mark in list(self._marks.values()):
            if mark != self._earlier.get(mark.folder_id) or self._is_due(mark):
                self._look(scene, mark)

    @property
    def _few(self) -> int:
        return self._work.safety.few if self._work.safety else 0

    def _freeze_if_too_much(self, folder: Folder, count: int, held: int, *, vanished: bool) -> bool:
        if not is_too_much(count, held, self._few):
            return False
        mark = FrozenRemoval(
            folder_id=folder.id,
            name=folder.display_name,
            count=count,
            held=held,
            since=int(self._work.now()),
            vanished=vanished,
        )
        self._mark(mark)
        return True

    def _is_due(self, mark: FrozenRemoval) -> bool:
        """Tell whether an earlier stay, on another connection, saw the same and long enough ago."""
        safety = self._work.safety
        if safety is None or self._earlier.get(mark.folder_id) != mark:
            return False
        return mark.confirmed or self._work.now() - mark.since >= safety.seconds

    def _look(self, scene: Listing, mark: FrozenRemoval) -> None:
        folder = next((one for one in scene.ingest.folders.values() if one.id == mark.folder_id), None)
        if folder is None:
            self._unmark(mark)
            return
        gone = self._gone(scene, folder)
        if gone is None:
            return
        lost = self._lost(folder, gone)
        held = len(self._work.mail.known(self._account_id, folder.id))
        if is_too_much(lost, held, self._few) and not self._may(mark, lost):
            self._wait(mark, lost, held)
            return
        log.warning("account %s: %d of %d messages leave folder %s", self._account_id, lost, held, folder.id)
        self._remove(scene, folder, gone)
        self._unmark(mark)

    def _gone(self, scene: Listing, folder: Folder) -> list[RemoteId] | None:
        """Return what we hold of a folder and the server does not; None if it cannot be told now."""
        there: frozenset[RemoteId] = frozenset()
        collection = scene.listed.get(folder.collection)
        if collection is not None:
            cursor = scene.cursors.get(folder.id)
            if cursor is None:
                return None
            try:
                there = frozenset(scene.provider.listing(collection, cursor))
            except (CursorExpired, Gone):
                return None
        known = self._work.mail.known(self._account_id, folder.id)
        return sorted(id for id in known if id and id not in there)

    def _lost(self, folder: Folder, gone: Sequence[RemoteId]) -> int:
        """Return how many messages lie nowhere else."""
        vanished = frozenset((folder.id, id) for id in gone)
        found = self._work.mail.locations(self._account_id, folder.id, gone)
        ids = {location.message_id for location in found.values()}
        messages = self._work.mail.messages(self._account_id, ids).values()
        return sum(
            all((place.folder_id, place.remote_id) in vanished for place in message.places)
            for message in messages
        )

    def _may(self, mark: FrozenRemoval, lost: int) -> bool:
        """Tell whether a due mark covers what is lost now: much more than that needs another look."""
        return self._is_due(mark) and (mark.confirmed or lost <= mark.count + self._few)

    def _wait(self, mark: FrozenRemoval, lost: int, held: int) -> None:
        if self._is_due(mark):  # it has grown meanwhile
            self._mark(replace(mark, count=lost, held=held, since=int(self._work.now())))
        elif mark.folder_id not in self._earlier:
            log.error(
                "account %s needs a look: removal of %d of %d messages from folder %s is frozen",
                self._account_id, lost, held, mark.folder_id,
            )  # fmt: skip

    def _remove(self, scene: Listing, folder: Folder, gone: Sequence[RemoteId]) -> None:
        lease = scene.own()
        for part in _chunks(gone):
            until_fresh(partial(scene.ingest.remove, folder, frozenset(part)))
        if folder.collection not in scene.listed:
            self._work.checkpoints.save(lease, folder.id, None)
            self._work.mail.save_folders(self._account_id, [Revised(folder, None)])

    def _mark(self, mark: FrozenRemoval) -> None:
        self._marks[mark.folder_id] = mark
        until_fresh(partial(self._save, mark.folder_id, mark))

    def _unmark(self, mark: FrozenRemoval) -> None:
        del self._marks[mark.folder_id]
        until_fresh(partial(self._save, mark.folder_id, None))

    def _save(self, folder_id: str, mark: FrozenRemoval | None) -> None:
        account = self._work.accounts.get(self._account_id)
        if account is None:
            return
        others = [one for one in account.frozen if one.folder_id != folder_id]
        self._work.accounts.note_frozen(account, [*others, *([mark] if mark else [])])


def _chunks(items: Sequence[RemoteId]) -> Iterator[Sequence[RemoteId]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
