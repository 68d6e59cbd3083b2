"""Following an account's log: a batch at once, a batch as soon as there is one, or line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib import bounds
from chalicelib.clock import Deadline
from chalicelib.deltas import feed
from chalicelib.domain.log.delta import Delta
from chalicelib.wire import size as json_size

if TYPE_CHECKING:
    from chalicelib.store.ports.log import ChangeLog

POLL_SECONDS = 1.0
"""Between two looks at the counter while nothing happens; one look is half a read unit."""

BEAT_SECONDS = 4.0
"""After so long without a line a stream sends an empty one: clients give up after 15 s, v2 promised 5."""

_SHOWN_TOGETHER = 25
"""Deltas whose objects are read in one step, so that no more than these are held beyond what is answered."""

BEAT = b"\n"

Line = tuple[int, dict[str, Any]]
"""A delta as JSON with its sequence number."""

LogPosition = tuple[int, int]
"""Sequence number and time of the last entry a client has been told of; time 0 if it is not known."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is shown of the entries up to `end`, and its bytes in the answer of a function."""

    shown: Sequence[Line]
    end: LogPosition
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One account's log as one client wants to see it; `show` may leave deltas out."""

    log: ChangeLog
    account_id: str
    limit: int
    show: Callable[[Sequence[Delta]], list[Line]]
    keep: feed.Keep | None = None
    most_bytes: int = bounds.BATCH_BYTES

    def after(self, place: LogPosition) -> Batch:
        """Return what happened after a place, going on while there is nothing to show.

        A batch that would be too large for one answer is cut, and so is a delta that would be too large for a
        batch: none keeps a cursor from moving on. Raises CursorTooOld.
        """
        limit = self.limit
        batch = self._page(place, limit)
        while limit > 1 and batch.size > self.most_bytes:
            limit = max(1, limit // 4)
            batch = self._page(place, limit)
        return batch

    def _page(self, place: LogPosition, limit: int) -> Batch:
        for _ in range(feed.MAX_READS):
            page = feed.page(self.log, self.account_id, place[0], limit, self.keep)
            if page.end_seq == place[0]:
                break
            place = (page.end_seq, page.end_at)
            shown, size = self._shown(page.deltas)
            if shown or not page.deltas:
                return Batch(shown, place, size)
        return Batch((), place)

    def _shown(self, deltas: Sequence[Delta]) -> tuple[list[Line], int]:
        """Show deltas and weigh them, no further than until they are too large for a batch."""
        shown: list[Line] = []
        size = 0
        for start in range(0, len(deltas), _SHOWN_TOGETHER):
            for seq, one in self.show(deltas[start : start + _SHOWN_TOGETHER]):
                bounded = json_size.fitted(one, bounds.DELTA_BYTES)
                shown.append((seq, bounded))
                size += json_size.ascii_weight(bounded)
            if size > self.most_bytes:
                break
        return shown, size


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for news, and how to wait: `pause` sleeps for so many seconds."""

    until: Deadline
    pause: Callable[[float], None]

    def rest(self) -> None:
        """Sleep until the next look at the counter, or until the end."""
        self.pause(min(POLL_SECONDS, self.until.left()))


def longpoll(wanted: Feed, place: LogPosition, patience: Patience) -> Batch:
    """Return the first batch that has something to show, or an empty one when the time is over.

    Waiting costs one cheap read of the counter per POLL_SECONDS. Raises CursorTooOld.
    """
    batch = wanted.after(place)
    while not batch.shown and not patience.until.passed():
        patience.rest()
        if wanted.log.peek(wanted.account_id) > batch.end[0]:
            batch = wanted.after(batch.end)
    return batch


def lines(wanted: Feed, place: LogPosition, patience: Patience, numbered: bool = False) -> Iterator[bytes]:
    """Yield a line per delta as they happen, and an empty one before more than 5 s of silence.

    Ends soon after the time is over; whoever has read a line goes on after its cursor. Waiting costs
    what it costs in `longpoll`. Raises CursorTooOld.
    """
    yield BEAT
    told, spoken = place[0], patience.until.now()
    over = False
    while not over:
        over = patience.until.passed()
        batch = wanted.after(place)
        for one in in_order(batch.shown, told) if numbered else [one for _, one in batch.shown]:
            yield _line(one)
        if batch.shown:
            told, spoken = batch.shown[-1][0], patience.until.now()
        if batch.end != place:
            place = batch.end
        elif not over:
            patience.rest()
            _await_news(wanted, place[0], patience, spoken + BEAT_SECONDS)
        if patience.until.now() >= spoken + BEAT_SECONDS:
            yield BEAT
            spoken = patience.until.now()


def in_order(shown: Sequence[Line], after: int) -> list[dict[str, Any]]:
    """Return the deltas with numbers a client can check: each covers the entries seq_after+1 to seq."""
    befores = [after, *(seq for seq, _ in shown)]
    return [
        {**one, "seq": seq, "seq_after": before}
        for (seq, one), before in zip(shown, befores[: len(shown)], strict=True)
    ]


def _await_news(wanted: Feed, seq: int, patience: Patience, latest: float) -> None:
    """Wait until the log has moved on, the time is over or `latest` has come."""
    while wanted.log.peek(wanted.account_id) <= seq:
        if patience.until.passed() or patience.until.now() >= latest:
            return
        patience.rest()


def _line(one: dict[str, Any]) -> bytes:
    return json_size.ascii_text(one).encode() + b"\n"
