"""One feed of many accounts: each account's log in its own order, the accounts taking turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.deltas.follow import Batch, Feed
from chalicelib.errors import CursorTooOld

MOST_ACCOUNTS = 50
"""Read for one request, so that it ends in time whatever the size of the application."""

_LEFT_BEHIND = "The log no longer reaches back to this cursor for these accounts: list their objects again."


@dataclass(frozen=True, slots=True)
class Round:
    """What one request brought: a batch per account, in turn, and who is next."""

    batches: Sequence[tuple[str, Batch]]
    turn: int

    @property
    def ends(self) -> dict[str, int]:
        """Sequence numbers reached, by account."""
        return {account_id: batch.end[0] for account_id, batch in self.batches}


def after(
    places: Mapping[str, int],
    newest: Mapping[str, int],
    turn: int,
    limit: int,
    feed: Callable[[str, int], Feed],
) -> Round:
    """Read on in those accounts whose log has moved, each with a fair share of about `limit` entries.

    `places` holds every account in a fixed order. Raises CursorTooOld with the ids of all accounts
    (`accounts`) whose entries are no longer kept.
    """
    ids = list(places)
    start = turn % len(ids) if ids else 0
    waiting = [id for id in ids[start:] + ids[:start] if newest.get(id, 0) != places[id]]
    chosen = waiting[: min(MOST_ACCOUNTS, max(1, limit))]
    share = max(1, limit // max(1, len(chosen)))
    batches: list[tuple[str, Batch]] = []
    lost: list[str] = []
    for id in chosen:
        try:
            batches.append((id, feed(id, share).after((places[id], 0))))
        except CursorTooOld:
            lost.append(id)
        if sum(batch.size for _, batch in batches) > bounds.ACCOUNT_BATCH_BYTES:
            break
    if lost:
        raise CursorTooOld(_LEFT_BEHIND, accounts=lost)
    following = (ids.index(batches[-1][0]) + 1) % len(ids) if batches else start
    return Round(batches, following)
