"""What syncing keeps: cursors, what is set aside, what is due, what was spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from chalicelib.domain.remote import Cursor, RemoteId
from chalicelib.domain.sync.backfill import Backfill
from chalicelib.domain.sync.progress import Tally
from chalicelib.domain.sync.quarantine import Quarantined
from chalicelib.store.values import (
    HostUsage,
    Lease,
    Place,
    Poll,
)


class Checkpoints(Protocol):
    """Sync progress and the fenced lease (table `core`)."""

    def cursors(self, account_id: str) -> dict[str, Cursor]:
        """Return every folder's cursor by folder id, strongly consistent."""

    def acquire(self, account_id: str, seconds: float) -> Lease | None:
        """Take the lease; None while somebody else holds it."""

    def tallies(self, account_id: str) -> dict[str, Tally]:
        """Return the tallies saved with the cursors, by folder id."""

    def save(self, lease: Lease, folder_id: str, cursor: Cursor | None, tally: Tally | None = None) -> None:
        """Move one cursor (None forgets it) with its tally and prolong the lease when it is time.

        Raises LeaseLost if a later holder was here.
        """

    def release(self, lease: Lease) -> None:
        """Give the lease back; does nothing if it is lost already."""


class Quarantine(Protocol):
    """Messages that cannot be taken in (table `core`)."""

    def entries(self, account_id: str) -> list[Quarantined]:
        """Return every entry of an account, oldest first."""

    def get(self, account_id: str, id: str) -> Quarantined | None:
        """Return one entry, strongly consistent."""

    def change(self, old: Quarantined | None, new: Quarantined | None) -> bool:
        """Store or remove an entry if it is still as it was read (None: there is none); False otherwise."""

    def suspects(self, account_id: str) -> frozenset[tuple[str, RemoteId]]:
        """Return the folders and names of messages during which a worker may have died."""

    def suspect(self, account_id: str, names: Iterable[tuple[str, RemoteId]]) -> None:
        """Remember these, and only these."""


class Polls(Protocol):
    """Which accounts are to be polled (table `work`); read by the minute tick."""

    def put(self, poll: Poll) -> None:
        """Enter an account or note that it is active."""

    def rest(self, account_id: str, until: int) -> None:
        """Poll this account not before a time (Unix seconds); one that is not polled stays so."""

    def remove(self, account_id: str) -> None:
        """Poll this account no more."""

    def all(self) -> Iterator[Poll]:
        """Yield every account to be polled, shard by shard, without a scan."""

    def covered(self) -> int:
        """Return the Unix second up to which polls have been asked for, 0 if never."""

    def cover(self, until: int) -> None:
        """Note that all polls before this second have been asked for."""


class Backfills(Protocol):
    """Accounts whose history is still to come (table `work`)."""

    def enter(self, backfill: Backfill) -> bool:
        """Enter an account; False if it is in already, which stays as it is."""

    def get(self, account_id: str) -> Backfill | None:
        """Return an account's entry, strongly consistent."""

    def all(self) -> list[Backfill]:
        """Return every entry, strongly consistent."""

    def put(self, backfill: Backfill) -> None:
        """Replace an entry; one that is no longer there stays away."""

    def remove(self, account_id: str) -> None:
        """Remove an entry: the history is complete, or no longer wanted."""


class Places(Protocol):
    """Live syncs that take long, and whose have done so lately (table `work`)."""

    def slow(self, tenants: Iterable[str], now: float) -> bool:
        """Tell whether any of these was crowded lately."""

    def note_slow(self, tenant: str, until: int) -> None:
        """Remember one as crowded until a Unix second."""

    def put(self, place: Place) -> None:
        """Enter a sync that is under way."""

    def remove(self, account_id: str) -> None:
        """Forget a sync that is over."""

    def all(self) -> list[Place]:
        """Return every sync entered, strongly consistent."""


class Usage(Protocol):
    """Bytes read from mail servers, per UTC day, by account and by host (table `work`)."""

    def add(self, account_id: str, host: str, received: int) -> None:
        """Count bytes of today."""

    def accounts(self, account_ids: Iterable[str]) -> dict[str, int]:
        """Return today's bytes of those that have any."""

    def hosts(self, hosts: Iterable[str]) -> dict[str, HostUsage]:
        """Return what is known of each host."""

    def slow_down(self, host: str, until: int) -> None:
        """Note that a host has asked for patience, until a Unix second."""
