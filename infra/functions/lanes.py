"""Deals the records of a shard out to workers: in order per account, and the accounts take turns.

So does Lambda with a ParallelizationFactor, per partition key. An account's keys stay together here: all its
changes go into one log, in which two workers would be in each other's way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from infra.machine.threads import WORKING, show_thread_as

Record = dict[str, Any]
MOST_WAITING = 4_000
SMALLEST_PORTION = 10
LOOK_SECONDS = 0.2


@dataclass(slots=True)
class _Entry:
    """A record, or (None) the end of what was read in one go."""

    sequence: str
    record: Record | None
    done: bool = False


def lane_of(record: Record) -> str:
    """Return what a record is kept in order with: the account in its partition key, or else the whole key.

    Such keys are ACCOUNT#..., or have a name in capitals before the account: ACCT#ACCOUNT.
    """
    key = str(record["dynamodb"].get("Keys", {}).get("pk", {}).get("S", ""))
    first, *rest = key.split("#")
    return f"{first}#{rest[0]}" if rest and first.isupper() else first


class Lanes:
    """`work` deals with a batch and tells whether it is done; `reached` hears up to where all are."""

    def __init__(
        self,
        work: Callable[[list[Record]], bool],
        reached: Callable[[str], None],
        size: int,
        stop: threading.Event,
    ) -> None:
        self._work = work
        self._reached = reached
        self._size = size
        self._stop = stop
        self._changed = threading.Condition()
        self._order: deque[_Entry] = deque()
        self._lanes: dict[str, deque[_Entry]] = {}
        self._ready: dict[str, None] = {}
        self._busy: set[str] = set()

    def start(self, name: str, workers: int) -> None:
        """Begin to work."""
        for number in range(workers):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def put(self, records: Sequence[Record], last: str) -> None:
        """Take records, the last one read being `last`; wait while there are too many."""
        with self._changed:
            while len(self._order) > MOST_WAITING and not self._stop.is_set():
                self._changed.wait(LOOK_SECONDS)
            for record in records:
                self._enter(record)
            self._order.append(_Entry(last, None, done=True))
            self._advance()
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until everything is done."""
        with self._changed:
            while self._order and not self._stop.is_set():
                self._changed.wait(LOOK_SECONDS)

    def _enter(self, record: Record) -> None:
        entry = _Entry(record["dynamodb"]["SequenceNumber"], record)
        key = lane_of(record)
        self._order.append(entry)
        self._lanes.setdefault(key, deque()).append(entry)
        if key not in self._busy:
            self._ready[key] = None

    def _run(self) -> None:
        show_thread_as(WORKING)
        while not self._stop.is_set():
            keys, batch = self._take()
            if batch and self._work([entry.record for entry in batch if entry.record]):
                self._finish(keys, batch)

    def _take(self) -> tuple[list[str], list[_Entry]]:
        """Take some records of as many keys as fit; nobody else gets these keys meanwhile."""
        keys: list[str] = []
        batch: list[_Entry] = []
        with self._changed:
            if not self._ready:
                self._changed.wait(LOOK_SECONDS)
            portion = max(SMALLEST_PORTION, self._size // max(1, len(self._ready)))
            while self._ready and len(batch) < self._size:
                key = next(iter(self._ready))
                del self._ready[key]
                lane = self._lanes[key]
                count = min(len(lane), portion, self._size - len(batch))
                batch += [lane.popleft() for _ in range(count)]
                keys.append(key)
                self._busy.add(key)
        return keys, batch

    def _finish(self, keys: Sequence[str], batch: Sequence[_Entry]) -> None:
        with self._changed:
            for entry in batch:
                entry.done = True
            for key in keys:
                self._busy.discard(key)
                if self._lanes[key]:
                    self._ready[key] = None
                else:
                    del self._lanes[key]
            self._advance()
            self._changed.notify_all()

    def _advance(self) -> None:
        last = ""
        while self._order and self._order[0].done:
            last = self._order.popleft().sequence
        if last:
            self._reached(last)
