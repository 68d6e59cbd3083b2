"""How far each folder has come, while one worker is at an account; it is saved with the cursors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from chalicelib.clock import Clock
from chalicelib.domain.remote import ChangeBatch
from chalicelib.domain.sync.progress import Tally
from chalicelib.store.values import Lease
from chalicelib.sync.core.stores import SyncStores


class Tallies:
    """Tallies by folder id; `load` reads those of earlier workers, once one is asked for."""

    def __init__(self, load: Callable[[], Mapping[str, Tally]], now: Clock) -> None:
        self._load = load
        self._now = now
        self._began = now()
        self._held: dict[str, Tally] | None = None
        self._exact: dict[str, int] = {}

    def note(self, folder_id: str, messages: int) -> None:
        """Take in how many messages of a folder the store holds, having been read for another reason."""
        self._exact[folder_id] = messages

    def add(self, folder_id: str, batch: ChangeBatch, new: int, removed: int = 0) -> None:
        """Count a batch that was stored."""
        before = self.find(folder_id) or Tally()
        base = self._exact.pop(folder_id, before.synced)
        left = max(batch.history_left, 1) if batch.more else 0
        now = self._now()
        since = max(before.at, self._began)
        counted = replace(before, synced=base).after(max(0, base + new - removed), left, now, now - since)
        self._all()[folder_id] = counted

    def settle(self, folder_id: str) -> None:
        """Let the count of a folder be what was last noted, if it has a tally."""
        if (tally := self.find(folder_id)) and folder_id in self._exact:
            self._all()[folder_id] = replace(tally, synced=self._exact.pop(folder_id))

    def find(self, folder_id: str) -> Tally | None:
        """Return a folder's tally, None if it has none yet."""
        return self._all().get(folder_id)

    def _all(self) -> dict[str, Tally]:
        if self._held is None:
            self._held = dict(self._load())
        return self._held


def recount(work: SyncStores, account_id: str, lease: Lease) -> None:
    """Set counts right from which mail has grown old; what is right is not written."""
    cursors = work.checkpoints.cursors(account_id)
    for folder_id, tally in work.checkpoints.tallies(account_id).items():
        held = len(work.mail.known(account_id, folder_id))
        if folder_id in cursors and held != tally.synced:
            work.checkpoints.save(lease, folder_id, cursors[folder_id], replace(tally, synced=held))
