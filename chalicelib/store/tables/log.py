"""The gapless change log of each account (table `log`).

One transaction moves the counter SEQ, puts one row with a whole batch of entries and raises the head
of every object named in it. Whoever reads SEQ = n therefore finds every entry up to n; a revision at
or below an object's head is in the log already.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.delta import Change, Delta, Event
from chalicelib.errors import CursorTooOld
from chalicelib.store.dynamo import ATTEMPTS, Cancelled, Item, Overloaded, Table, key, pause, transact
from chalicelib.store.ports import Stale

LARGEST_BATCH = 90
"""Objects in one append; a transaction holds a hundred actions."""

KEPT_DAYS, TTL_DAYS = 14, 16
_DAY = 86400
_TOO_OLD = "This cursor is too old: take a new cursor and list the objects again."
_FAILED = "ConditionalCheckFailed"
Name = tuple[str, str]


class LogTable:
    """Entries are numbered from 1 in commit order; readable for 14 days."""

    def __init__(
        self, client: Any, settings: Settings, now: Clock = time.time, wait: Callable[[int], None] = pause
    ) -> None:
        self._table = Table(client, f"{settings.table_prefix}-log")
        self._now = now
        self._wait = wait

    def append(self, account_id: str, changes: Sequence[Change], at: int) -> int:
        """Log each change once, in order; a revision already logged is left out.

        Returns the newest sequence number. Safe under duplicate, reordered and concurrent calls.
        """
        born = _born(changes)
        left = [c for c in coalesced(changes) if not (_name(c) in born and self._unheard(c, at))]
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
        return self.head(account_id)[0]

    def head(self, account_id: str) -> tuple[int, int]:
        """Return the newest sequence number and its time (0, 0 for an empty log), strongly consistent."""
        row = self._table.get(_pk(account_id), "SEQ")
        return (int(row["seq"]["N"]), int(row["at"]["N"])) if row else (0, 0)

    def since(self, account_id: str, seq: int, limit: int) -> list[Delta]:
        """Return up to about `limit` entries after `seq`, in order, never past a hole.

        Raises CursorTooOld if entry seq+1 has been dropped already.
        """
        newest, _ = self.head(account_id)
        if seq >= newest:
            return []
        found: list[Delta] = []
        for row in self._batches(account_id, seq, newest, limit):
            following = found[-1].seq if found else seq
            if int(row["first"]["N"]) > following + 1 or len(found) >= limit:
                break
            found += [delta for delta in _deltas(account_id, row) if delta.seq > following]
        if not found:
            raise CursorTooOld(_TOO_OLD)
        return found[:limit]

    def _batches(self, account_id: str, seq: int, newest: int, limit: int) -> Iterator[Item]:
        """Rows that end behind `seq` and are still kept."""
        low, high = f"D#{seq + 1:016d}", f"D#{newest:016d}"
        oldest = self._now() - KEPT_DAYS * _DAY
        for page in self._table.pages(_pk(account_id), low, high, limits=[max(1, min(limit, 50))]):
            yield from (row for row in page if int(row["at"]["N"]) >= oldest)

    def _commit(self, account_id: str, changes: Sequence[Change], at: int) -> None:
        seq, before = self.head(account_id)
        at = max(at, before)
        counter = key(_pk(account_id), "SEQ") | _numbers(seq=seq + len(changes), at=at)
        actions = [
            self._put(counter, *_unchanged(seq)),
            self._put(_batch_row(account_id, changes, seq + 1, at), "attribute_not_exists(pk)"),
        ]
        for number, change in enumerate(changes, seq + 1):
            condition = "attribute_not_exists(pk) OR rev < :r"
            actions.append(
                self._put(_head_row(change, number, at), condition, _numbers(**{":r": change.rev}))
            )
        transact(self._table.client, actions)

    def _unheard(self, change: Change, at: int) -> bool:
        """Whether an object born here is gone before anybody heard of it; its new head keeps it so."""
        if change.event is not Event.DELETE:
            return False
        try:
            self._table.put_if(_head_row(change, 0, at), "attribute_not_exists(pk)")
        except Stale:
            return False
        return True

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

    Created and then modified is created.
    """
    kept: dict[Name, Change] = {}
    for change in changes:
        earlier = kept.get(_name(change))
        if earlier is None or change.rev > earlier.rev:
            kept.pop(_name(change), None)
            kept[_name(change)] = _merged(earlier, change)
    return list(kept.values())


def _merged(earlier: Change | None, later: Change) -> Change:
    if earlier and earlier.event is Event.CREATE and later.event is Event.MODIFY:
        return replace(later, event=Event.CREATE)
    return later


def _born(changes: Sequence[Change]) -> set[Name]:
    """Objects that begin with their creation here."""
    first: dict[Name, Change] = {}
    for change in changes:
        first.setdefault(_name(change), change)
    return {name for name, change in first.items() if change.event is Event.CREATE}


def _name(change: Change) -> Name:
    return change.kind, change.id


def _already_logged(codes: Sequence[str]) -> set[int]:
    """Positions of the changes whose head has got this revision or a later one."""
    return {n for n, code in enumerate(codes[2:]) if code == _FAILED}


def _pk(account_id: str) -> str:
    return f"A#{account_id}"


def _unchanged(seq: int) -> tuple[str, Item | None]:
    return ("seq = :c", _numbers(**{":c": seq})) if seq else ("attribute_not_exists(pk)", None)


def _head_row(change: Change, seq: int, at: int) -> Item:
    where = key(_pk(change.account_id), f"H#{change.kind}#{change.id}")
    return where | _numbers(rev=change.rev, seq=seq, ttl=at + TTL_DAYS * _DAY)


def _batch_row(account_id: str, changes: Sequence[Change], first: int, at: int) -> Item:
    last = first + len(changes) - 1
    entries = [[c.kind, c.id, c.event.value, c.rev, dict(c.attributes)] for c in changes]
    where = key(_pk(account_id), f"D#{last:016d}")
    facts = {"entries": {"S": json.dumps(entries, ensure_ascii=False, separators=(",", ":"))}}
    return where | facts | _numbers(first=first, n=len(changes), at=at, ttl=at + TTL_DAYS * _DAY)


def _deltas(account_id: str, row: Item) -> list[Delta]:
    first, at = int(row["first"]["N"]), int(row["at"]["N"])
    entries = enumerate(json.loads(row["entries"]["S"]), first)
    return [Delta(seq=seq, at=at, change=_change(account_id, *entry)) for seq, entry in entries]


def _change(
    account_id: str, kind: str, id: str, event: str, rev: int, attributes: dict[str, str | int]
) -> Change:
    return Change(
        account_id=account_id,
        kind=kind,
        id=id,
        event=Event(event),
        rev=rev,
        attributes=tuple(attributes.items()),
    )


def _numbers(**values: int) -> Item:
    return {name: {"N": str(value)} for name, value in values.items()}
