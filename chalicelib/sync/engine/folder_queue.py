"""Which folders of an account still need a look, and in which order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.remote import ChangeBatch, Collection, Cursor
from chalicelib.providers.base import Provider
from chalicelib.sync.core.leased_cursors import LeasedCursors
from chalicelib.sync.core.pace import Pace
from chalicelib.sync.mail.ingest import Ingest

TURNS = 2
"""So many batches of a folder come one at a time, so that the newest mail of all folders is here first."""

IN_A_ROW = 4
"""Then as many come at once: to open a large folder costs a server more than to read a batch of it."""


@dataclass
class FolderQueue:
    """Of one worker's stay. Folders are looked at a batch at a time, until nothing is left of any.

    `behind` are those of which only history is left, for a later turn.
    """

    provider: Provider
    hold: LeasedCursors
    pace: Pace
    now: Callable[[], float]
    ingest: Callable[[], Ingest]
    behind: set[str] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)
    _left: Sequence[str] = ()
    _entrance: str = ""
    _batches: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """Know nothing of any folder yet."""
        self._done.clear()
        self.behind.clear()

    def waiting(self, listed: Sequence[Collection]) -> deque[Collection]:
        """Return what needs a look: first where new mail comes in (which is listed first).

        Then come those that the last round had to leave, in their order.
        """
        self._entrance = listed[0].id if listed else ""
        place = {id: number for number, id in enumerate(self._left)}
        return deque(
            sorted(
                (one for one in listed if not self._is_done(one)),
                key=lambda one: (one.id != self._entrance, place.get(one.id, len(place))),
            )
        )

    def leave(self, waiting: Iterable[Collection]) -> None:
        """End a round that may not have come to all; then another one begins with a look at the entrance."""
        self._left = [one.id for one in waiting]
        if self._left:
            self._done.discard(self.ingest().folder(self._entrance).id)

    def strike(self, folder_id: str) -> None:
        """Look no more at a folder."""
        self._done.add(folder_id)

    def put_back(self, folder_id: str) -> None:
        """Look at a folder again."""
        self._done.discard(folder_id)

    def note(
        self,
        collection: Collection,
        folder_id: str,
        batch: ChangeBatch,
        *,
        before: Cursor | None,
        history: int,
    ) -> None:
        """Strike a folder of which a batch was the last one wanted.

        `before` is the cursor it began from, `history` how many messages of history it might have brought.
        """
        stood_still = batch.cursor == before
        if batch.more and not history and stood_still:
            self._leave_history(folder_id)
        elif not batch.more and (not collection.token or stood_still):
            self._done.add(folder_id)

    def go_on(
        self, waiting: deque[Collection], collection: Collection, folder_id: str, batch: ChangeBatch
    ) -> None:
        """Have the next batch of a folder follow in this round, at once or when the others had their turn."""
        self._batches[folder_id] += 1
        if not batch.more or batch.removed or folder_id in self._done:
            return
        later = self._batches[folder_id] - TURNS
        if later > 0 and later % IN_A_ROW:
            waiting.appendleft(collection)
        else:
            waiting.append(collection)

    def waits_for_history(self, collection: Collection, folder: Folder) -> bool:
        """Tell whether nothing is left but history, of which none is wanted now."""
        cursor = self.hold.cursors.get(folder.id)
        if cursor is None or self.pace.history():
            return False
        if not self.provider.unchanged(collection, cursor, self.since(folder), history=False):
            return False
        self._leave_history(folder.id)
        return True

    def is_unmoved(self, collection: Collection, folder: Folder) -> bool:
        """Tell whether there is nothing to see, now or ever."""
        if self.ingest().window.excludes(folder.id):
            return True
        cursor = self.hold.cursors.get(folder.id)
        return cursor is not None and self.provider.unchanged(collection, cursor, self.since(folder))

    def since(self, folder: Folder) -> int:
        """Return the Unix second from which on mail of a folder is wanted, 0 for all."""
        return self.ingest().window.since(folder.id, self.now())

    def _leave_history(self, folder_id: str) -> None:
        self._done.add(folder_id)
        self.behind.add(folder_id)

    def _is_done(self, collection: Collection) -> bool:
        folder = self.ingest().folder(collection.id)
        if folder.id in self._done or self.is_unmoved(collection, folder):
            return True
        return self.waits_for_history(collection, folder)
