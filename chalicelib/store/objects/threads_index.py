"""Newest first: which months hold anything, and threads by their last message (table `mail`).

An index row is put before its thread is written and the former row deleted afterwards, so a crash
leaves at most a row too many; readers compare each row with its thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from chalicelib import ids
from chalicelib.domain.mail.thread import Thread
from chalicelib.store.aws.dynamo import Item, Key, Table, key, parallel

_SETS = {"messages": "m", "threads": "i"}
_LIMITS = (60, 200)
_WIDEST = 8


class Months:
    """The months of an account that hold messages or threads; a month once entered stays."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._entered: dict[str, dict[str, set[str]]] = {}

    def of(self, account_id: str) -> dict[str, set[str]]:
        """Return the months of `messages` and of `threads`."""
        row = self._table.get(account_id, "MONTHS") or {}
        return {name: set(row.get(short, {}).get("SS", ())) for name, short in _SETS.items()}

    def enter(self, account_id: str, messages: set[str], threads: set[str]) -> None:
        """Make sure these months are entered; costs nothing for those this instance has seen."""
        wanted = {"messages": messages, "threads": threads}
        entered = self._entered.get(account_id)
        if entered is None or any(wanted[name] - entered[name] for name in _SETS):
            entered = self.of(account_id)
        missing = {name: wanted[name] - entered[name] for name in _SETS if wanted[name] - entered[name]}
        if missing:
            self._add(account_id, missing)
        self._entered[account_id] = {name: entered[name] | wanted[name] for name in _SETS}

    def _add(self, account_id: str, missing: dict[str, set[str]]) -> None:
        self._table.client.update_item(
            TableName=self._table.name,
            Key=key(account_id, "MONTHS"),
            UpdateExpression="ADD " + ", ".join(f"{_SETS[name]} :{_SETS[name]}" for name in missing),
            ExpressionAttributeValues={f":{_SETS[n]}": {"SS": sorted(v)} for n, v in missing.items()},
        )


def newest_pages(table: Table, partitions: Iterable[str], low: str, high: str) -> Iterator[list[Item]]:
    """Yield pages of partitions in the order given, each from its end; later ones are read ahead.

    The first partition is read alone, then ever more at once: a busy month costs one page, years of
    sparse ones few round trips.
    """
    left, width = list(partitions), 1
    while left:
        wave, left = left[:width], left[width:]
        readers = [table.pages(pk, low, high, newest=True, limits=_LIMITS) for pk in wave]
        for pages in parallel(_begun, readers):
            yield from pages
        width = min(2 * width, _WIDEST)


def months_between(months: Iterable[str], first: int, last: int) -> list[str]:
    """Return those that overlap the seconds first to last, newest first."""
    low, high = ids.month_of(first), ids.month_of(last)
    return sorted((month for month in months if low <= month <= high), reverse=True)


def index_key(thread: Thread) -> Key:
    """Return where the index row of a thread lies."""
    at = max(0, thread.last_at)
    return f"{thread.account_id}#I#{ids.month_of(at)}", f"{index_bound(at)}#{thread.id}"


def index_bound(at: int) -> str:
    """Return what all index rows of that second begin with."""
    return f"I#{min(max(at, 0), ids.LAST_SECOND):012d}"


def index_row(thread: Thread) -> Item:
    """Return the index row of a thread."""
    return key(*index_key(thread)) | {"t": {"S": thread.id}}


def _begun(pages: Iterator[list[Item]]) -> Iterator[list[Item]]:
    first = next(pages, [])
    return chain([first], pages)
