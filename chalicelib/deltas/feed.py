"""Pages of the delta log as clients are to see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.domain.log.delta import Change, Delta, ObjectKey, Operation

if TYPE_CHECKING:
    from chalicelib.store.ports.log import DeltaLog

# A filter may drop entry after entry; a request must end all the same. The cursor has moved by
# then, so the client, which asks on until it stands still, goes on from there.
MAX_READS = 20

Keep = Callable[[Change], bool]


@dataclass(frozen=True, slots=True)
class Page:
    """Deltas in log order; `end_seq` is the entry to go on after, with its time `end_at` (0 if unmoved)."""

    deltas: tuple[Delta, ...]
    end_seq: int
    end_at: int = 0


def page(log: DeltaLog, account_id: str, seq: int, limit: int, keep: Keep | None = None) -> Page:
    """Return what happened after entry `seq`, at most about `limit` deltas; no deltas if nothing did.

    Raises CursorTooOld if the log no longer reaches back.
    """
    end_at = 0
    for _ in range(MAX_READS):
        entries = log.since(account_id, seq, limit)
        if not entries:
            break
        seq, end_at = entries[-1].seq, entries[-1].at
        deltas = rolled_up([entry for entry in entries if keep is None or keep(entry.change)])
        if deltas:
            return Page(deltas, seq, end_at)
    return Page((), seq, end_at)


def rolled_up(entries: Sequence[Delta]) -> tuple[Delta, ...]:
    """Merge the changes of each object into its latest place.

    A create with later modifies stays a create; a delete stays, and swallows what came before it.
    """
    latest: dict[ObjectKey, Delta] = {}
    for entry in entries:
        before = latest.pop(entry.change.name, None)
        latest[entry.change.name] = _merged(before, entry)
    return tuple(latest.values())


def _merged(before: Delta | None, entry: Delta) -> Delta:
    still_new = before is not None and before.change.event is Operation.CREATE
    if still_new and entry.change.event is Operation.MODIFY:
        return replace(entry, change=replace(entry.change, event=Operation.CREATE))
    return entry
