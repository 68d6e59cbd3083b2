"""A worker's hold on one account: the lease, and the cursors that only its holder may move."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.domain.remote import Cursor
from chalicelib.store.values import Lease
from chalicelib.sync.core.retrying import Busy, Overtaken
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.core.tallies import Tallies

LEASE_SECONDS = 20.0


class LeasedCursors:
    """The lease is taken late, before the first write; `begin` hears of it.

    `saved` are the cursors in the store, `cursors` those that the batches under way have reached. Each is
    saved with the tally of its folder.
    """

    def __init__(
        self, work: SyncStores, account_id: str, tallies: Tallies, begin: Callable[[Lease], None]
    ) -> None:
        self._checkpoints = work.checkpoints
        self._account_id = account_id
        self._tallies = tallies
        self._begin = begin
        self.lease: Lease | None = None
        self.saved: dict[str, Cursor] = {}
        self.cursors: dict[str, Cursor] = {}

    def reload(self) -> None:
        """Begin again from the cursors in the store."""
        self.saved = self._checkpoints.cursors(self._account_id)
        self.cursors = dict(self.saved)

    def own(self) -> Lease:
        """Return the lease, taking it first. Raises Busy, and Overtaken if the cursors have moved."""
        if self.lease:
            return self.lease
        self.lease = self._checkpoints.acquire(self._account_id, LEASE_SECONDS)
        if self.lease is None:
            raise Busy(self._account_id)
        self._begin(self.lease)
        if self._checkpoints.cursors(self._account_id) != self.saved:
            raise Overtaken(self._account_id)
        return self.lease

    def release(self) -> None:
        """Give the lease back if it was taken."""
        if self.lease:
            self._checkpoints.release(self.lease)

    def advance(self, folder_id: str, cursor: Cursor) -> None:
        """Save a cursor unless it is saved already."""
        if self.saved.get(folder_id) != cursor:
            self.save(folder_id, cursor)

    def save(self, folder_id: str, cursor: Cursor | None) -> None:
        """Move a cursor in the store; None forgets it."""
        tally = self._tallies.find(folder_id) if cursor else None
        self._checkpoints.save(self.own(), folder_id, cursor, tally)
        self.saved.pop(folder_id, None)
        if cursor:
            self.saved[folder_id] = cursor

    def rewind(self, folder_id: str) -> None:
        """Let the next batch be the one behind the cursor in the store."""
        self.cursors.pop(folder_id, None)
        if folder_id in self.saved:
            self.cursors[folder_id] = self.saved[folder_id]

    def recut(self, folder_id: str, cursor: Cursor | None) -> None:
        """Move a cursor in the store, and go on from there."""
        self.save(folder_id, cursor)
        self.rewind(folder_id)
