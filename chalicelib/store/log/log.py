"""The gapless change log of each account (table `log`).

One transaction moves the counter SEQ, puts one row with a whole batch of entries and raises the head
of every object named in it. Whoever reads SEQ = n therefore finds every entry up to n; a revision at
or below an object's head is in the log already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.log.delta import Change, Delta, ObjectKey, Operation
from chalicelib.errors import CursorTooOld
from chalicelib.store.aws.dynamo import ATTEMPTS, Item, Table, pause, transact
from chalicelib.store.errors import Cancelled, Overloaded
from chalicelib.store.log import rows as rows

LARGEST_BATCH = 90
"""Objects in one append; a transaction holds a hundred actions."""

KEPT_DAYS = 14
_TOO_OLD = "The log no longer reaches back to this cursor: take a new cursor, then list the objects again."
_NOT_KEPT = f"The log reaches back {KEPT_DAYS} days: take the latest cursor, then list the objects again."
_FAILED = "ConditionalCheckFailed"
_HEADS_PER_PAGE = 200


class LogTable:
    """The port ChangeLog: entries are numbered from 1 in commit order; readable for 14 days."""

    def __init__(
        self, client: Any, settings: Settings, now: Clock = time.time, wait: Callable[[int], None] = pause
    ) -> None:
        self._table = Table(client, f"{settings.table_prefix}-log")
        self._now = now
        self._wait = wait

    def append(self, account_id: str, changes: Sequence[Change], at: int) -> None:
        left = coalesced(changes)
        size, attempt = LARGEST_BATCH, 0
        while left:
            try:
                self._commit(account_id, left[:size], at)
                left, attempt = left[size:], 0
            except Cancelled as cancelled:
                stale = _already_logged(cancelled.codes)
                left = [c for n, c in enumerate(left) if n not in stale]
                # Only a failure that taught us nothing counts: dropping entries is progress.
                attempt = 0 if stale else attempt + 1
                size = max(1, size // 2) if attempt % 3 == 2 else size
                self._patience(attempt)

    def head(self, account_id: str) -> tuple[int, int]:
        return rows.place_of(self._table.get(rows.partition(account_id), rows.COUNTER))

    def peek(self, account_id: str) -> int:
        row = self._table.get(rows.partition(account_id), rows.COUNTER, consistent=False)
        return rows.place_of(row)[0]

    def places(self, account_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        found = self._table.get_many((rows.partition(id), rows.COUNTER) for id in account_ids)
        return {rows.account_of(row): rows.place_of(row) for row in found}

    def since(self, account_id: str, seq: int, limit: int) -> list[Delta]:
        newest, _ = self.head(account_id)
        if seq == newest:
            return []
        found: list[Delta] = []
        for row in self._batches(account_id, seq, newest, limit):
            following = found[-1].seq if found else seq
            if rows.span_of(row)[0] > following + 1 or len(found) >= limit:
                break
            found += [delta for delta in rows.deltas_of(row) if delta.seq > following]
        if not found:
            raise CursorTooOld(_TOO_OLD)
        return found[:limit]

    def before(self, account_id: str, moment: int) -> tuple[int, int]:
        newest, found = self.head(account_id), (0, 0)
        if newest[1] <= moment:
            return newest
        low, high = 1, newest[0]
        while low <= high:
            middle = (low + high) // 2
            first, last, at = self._batch_at(account_id, middle, newest[0])
            if at <= moment:
                found, low = (last, at), last + 1
            else:
                high = min(first, middle) - 1
        first, _, at = self._batch_at(account_id, found[0] + 1, newest[0])
        if first > found[0] + 1 or at < self._oldest():
            raise CursorTooOld(_NOT_KEPT)
        return found

    def heads(self, account_id: str, names: Iterable[ObjectKey]) -> dict[ObjectKey, Change]:
        found = self._table.get_many(rows.head_key(account_id, name) for name in names)
        return {head.name: head for head in map(rows.head_of, found)}

    def heads_after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        low, high = rows.HEADS
        pages = self._table.pages(rows.partition(account_id), place or low, high, limits=[_HEADS_PER_PAGE])
        page = [row for row in next(pages, []) if row["sk"]["S"] != place]
        return [rows.head_of(row) for row in page], page[-1]["sk"]["S"] if page else ""

    def _batches(self, account_id: str, seq: int, newest: int, limit: int) -> Iterator[Item]:
        """Rows that end behind `seq` and are still kept."""
        if seq > newest:
            return
        low, high = rows.entries_key(seq + 1), rows.entries_key(newest)
        oldest, sizes = self._oldest(), [max(1, min(limit, 50))]
        for page in self._table.pages(rows.partition(account_id), low, high, limits=sizes):
            yield from (row for row in page if rows.span_of(row)[2] >= oldest)

    def _batch_at(self, account_id: str, seq: int, newest: int) -> tuple[int, int, int]:
        """Return first, last and time of the batch with entry `seq`, or of the next one that is kept."""
        low, high = rows.entries_key(seq), rows.entries_key(newest)
        for page in self._table.pages(rows.partition(account_id), low, high, limits=[1]):
            if page:
                return rows.span_of(page[0])
        raise CursorTooOld(_NOT_KEPT)

    def _oldest(self) -> float:
        return self._now() - KEPT_DAYS * rows.DAY

    def _commit(self, account_id: str, changes: Sequence[Change], at: int) -> None:
        seq, before = self.head(account_id)
        at = max(at, before)
        actions = [
            self._put(rows.counter_row(account_id, seq + len(changes), at), *_unchanged(seq)),
            self._put(rows.entries_row(account_id, changes, seq + 1, at), "attribute_not_exists(pk)"),
        ]
        for number, change in enumerate(changes, seq + 1):
            newer = rows.numbers(**{":r": change.rev})
            row = rows.head_row(change, number, at)
            actions.append(self._put(row, "attribute_not_exists(pk) OR rev < :r", newer))
        transact(self._table.client, actions)

    def _put(self, item: Item, condition: str, values: Item | None = None) -> Item:
        put: Item = {"TableName": self._table.name, "Item": item, "ConditionExpression": condition}
        return {"Put": put | ({"ExpressionAttributeValues": values} if values else {})}

    def _patience(self, attempt: int) -> None:
        if attempt > 2 * ATTEMPTS:
            raise Overloaded("the log of one account is written by too many at once")
        if attempt:
            self._wait(attempt)


def coalesced(changes: Sequence[Change]) -> list[Change]:
    """Return one change per object, the latest, in the order of the latest ones.

    Created and then modified is created. Created and then deleted is deleted: whoever listed the
    objects in between has to hear of it, though the log never told of the creation.
    """
    kept: dict[ObjectKey, Change] = {}
    for change in changes:
        earlier = kept.get(change.name)
        if earlier is None or change.rev > earlier.rev:
            kept.pop(change.name, None)
            kept[change.name] = _merged(earlier, change)
    return list(kept.values())


def _merged(earlier: Change | None, later: Change) -> Change:
    if earlier and earlier.event is Operation.CREATE and later.event is Operation.MODIFY:
        return replace(later, event=Operation.CREATE)
    return later


def _already_logged(codes: Sequence[str]) -> set[int]:
    """Positions of the changes whose head has got this revision or a later one."""
    return {n for n, code in enumerate(codes[2:]) if code == _FAILED}


def _unchanged(seq: int) -> tuple[str, Item | None]:
    return ("seq = :c", rows.numbers(**{":c": seq})) if seq else ("attribute_not_exists(pk)", None)
