"""What is asked in one go with the opening of a mailbox, so that a step costs few round trips.

Asked for is what the last listing of the folders lets expect: new mail, changed flags, the next slice of
history. What has come otherwise meanwhile is asked for then: an answer that does not fit the mailbox as
it was opened is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from chalicelib.domain.remote import BatchLimits, Collection, Flags
from chalicelib.errors import Interrupted, ProviderError
from chalicelib.providers.imap.fetch.mailbox import (
    LARGER,
    MEASURE,
    changes_question,
    keys_between,
    measured,
    numbers,
    open_mailbox,
    open_with,
    read_changes,
    rows,
    stay_with,
)
from chalicelib.providers.imap.fetch.partial import AT_ONCE, Beginnings, question, raise_if_throttled, read
from chalicelib.providers.imap.folders.cursor import Progress, beginning
from chalicelib.providers.imap.folders.folders import state_in
from chalicelib.providers.imap.protocol.lines import Command, Line, Reply
from chalicelib.providers.imap.protocol.metadata import meta_of
from chalicelib.providers.imap.protocol.session import Opened, Session

FIRST_WINDOW = 1_000
"""UIDs among which mail of a window is looked for first."""


class _Ask(Enum):
    NEW = auto()
    """Messages above what is synced, by their beginning."""
    SLICE = auto()
    """The next slice of history, by its beginnings."""
    EVERY = auto()
    """All UIDs there are: with them the last slice of a history ends."""
    CHANGES = auto()
    """Flags changed in what is synced, and what is gone of it."""
    WINDOW = auto()
    """The UIDs of the next slice, where only part of the history is wanted."""
    LARGE = auto()
    """Large messages whose contents are still to come."""


_BRINGING = frozenset({_Ask.NEW, _Ask.SLICE})
_SEARCHING = frozenset({_Ask.WINDOW, _Ask.LARGE})
_BELOW = frozenset({_Ask.SLICE, _Ask.WINDOW, _Ask.LARGE})  # history stays as it was when new mail comes

_Plan = dict[_Ask, range]  # of UIDs; one SEARCH at most, for its answer bears no name


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was learnt on the way; None where nothing was asked, or the answer does not fit.

    `older` are the UIDs that exist in `span`, which ends below what is synced.
    """

    span: range = range(0)
    older: Sequence[int] = ()
    new: Sequence[int] | None = None
    changes: tuple[dict[int, Flags], list[range] | None] | None = None
    every: Sequence[int] | None = None
    large: Sequence[int] | None = None
    beginnings: Beginnings = field(default_factory=Beginnings)


def open_ahead(
    session: Session, collection: Collection, before: Progress | None, budget: BatchLimits
) -> tuple[Opened, Ahead]:
    """Open a mailbox and learn what can be learnt on the way. Raises Gone, Interrupted, ProviderError."""
    told = state_in(collection.token)
    if before is None and told and not told.exists:
        return told, Ahead(every=())
    start = before or (beginning(told, budget.since) if told else None)
    if start is None:
        return open_mailbox(session, collection.id), Ahead()
    plan = _plan(start, told, budget)
    if before is None and _Ask.WINDOW in plan:  # all of it, to tell how much there is
        plan[_Ask.WINDOW] = range(1, plan[_Ask.WINDOW].stop)
    opened, replies = _open(session, collection, plan, start)
    for reply in replies:
        if not reply.ok:
            raise_if_throttled(reply)
            return opened, Ahead()
    if told is None or (told.uidvalidity, told.uidnext) != (opened.uidvalidity, opened.uidnext):
        plan = {ask: uids for ask, uids in plan.items() if before and ask in _BELOW}
    return opened, _learnt(session, plan, [line for reply in replies for line in reply.lines])


def _open(
    session: Session, collection: Collection, plan: _Plan, start: Progress
) -> tuple[Opened, list[Reply]]:
    """Raises Interrupted without names if the server hangs up where contents were asked for."""
    commands = list(_commands(session, plan, start))
    try:
        if (here := _standing(session, collection, start)) is not None:
            return here, stay_with(session, commands)
        return open_with(session, collection.id, commands)
    except ProviderError as error:
        if plan.keys() & _BRINGING and type(error) is ProviderError and session.is_lost():
            raise Interrupted(error.message) from error
        raise


def _standing(session: Session, collection: Collection, start: Progress) -> Opened | None:
    """Return the state of a mailbox that is open, if the last step ended with it and nothing is new.

    To open a large mailbox costs servers more than to read a batch of it.
    """
    ended_with = Opened(start.uidvalidity, start.uidnext, start.exists, start.modseq)
    told = state_in(collection.token)
    news = told and (told.uidnext > start.uidnext or told.modseq > start.modseq)
    return ended_with if session.standing == (collection.id, ended_with) and not news else None


def _plan(start: Progress, told: Opened | None, budget: BatchLimits) -> _Plan:
    """Plan a step: new mail and flags as far as the listing told of them, and more history."""
    plan: _Plan = {}
    room = _room(budget)
    if told and told.uidvalidity == start.uidvalidity:
        new = range(start.uidnext, told.uidnext)
        if 0 < len(new) <= room:
            plan[_Ask.NEW] = new
        room -= len(new)  # what is new goes before history
        if 0 < start.modseq < told.modseq:
            plan[_Ask.CHANGES] = range(start.low, told.uidnext)
    empty = told is not None and not told.exists
    if budget.history > 0 and not (empty or start.complete or start.falls_short(budget.since)):
        plan |= _history(start, min(room, budget.history), (told or start).uidnext)
    if plan.keys() & _SEARCHING:
        plan.pop(_Ask.NEW, None)
    return plan


def _history(start: Progress, wanted: int, uidnext: int) -> _Plan:
    if start.contents_are_due:
        return {_Ask.LARGE: range(start.low, start.whole)}
    if wanted <= 0:
        return {}
    if start.since or start.until:
        return {_Ask.WINDOW: range(max(1, start.low - max(FIRST_WINDOW, wanted)), start.low)}
    slice_ = range(max(1, start.low - wanted), start.low)
    return {_Ask.SLICE: slice_} | ({_Ask.EVERY: range(1, uidnext)} if slice_.start == 1 else {})


def _room(budget: BatchLimits) -> int:
    """Return how many messages may come by their beginning at once."""
    return 0 if budget.careful else min(budget.messages, AT_ONCE)


def _commands(session: Session, plan: _Plan, start: Progress) -> Iterator[Command]:
    brought = [uids for ask, uids in plan.items() if ask in _BRINGING]
    for uids in brought:
        yield question(_set(uids))
    if brought:  # a server may pass over in silence what it cannot give out
        every = plan.get(_Ask.EVERY)
        yield b"UID SEARCH UID", _set(every) if every else b",".join(map(_set, brought))
    if changed := plan.get(_Ask.CHANGES):
        yield changes_question(session, changed.start, changed.stop - 1, start.modseq)
    for ask in plan.keys() & _SEARCHING:
        keys = keys_between(plan[ask].start, plan[ask].stop - 1, start.since, start.until)
        if ask is _Ask.WINDOW:
            yield b"UID SEARCH", *keys
        elif _saves(session):
            yield b"UID SEARCH RETURN (SAVE)", *keys, LARGER
            yield b"UID FETCH $", MEASURE
        else:
            yield b"UID SEARCH", *keys, LARGER


def _saves(session: Session) -> bool:
    """Whether the server remembers what a search has found (RFC 5182)."""
    return session.can("SEARCHRES")


def _set(uids: range) -> bytes:
    return b"%d:%d" % (uids.start, uids.stop - 1)


def _learnt(session: Session, plan: _Plan, lines: Sequence[Line]) -> Ahead:
    """Read the answers; servers may mix those to FETCH, so each is told by its UID and what it says."""
    new, slice_, changed = (plan.get(ask, range(0)) for ask in (_Ask.NEW, _Ask.SLICE, _Ask.CHANGES))
    begun, found = read(lines, {*new, *slice_}), numbers(lines)
    if _Ask.LARGE in plan and _saves(session):
        sizes = {uid: meta_of(uid, line) for uid, line in measured(rows(lines), plan[_Ask.LARGE])}
        begun, found = Beginnings(sizes), sorted(sizes)
    span = slice_ or plan.get(_Ask.WINDOW, range(0))
    return Ahead(
        span=span,
        older=[uid for uid in found if uid in span],
        new=[uid for uid in found if uid in new] if new else None,
        changes=read_changes(session, lines, changed.start, changed.stop - 1) if changed else None,
        every=found if _Ask.EVERY in plan else None,
        large=found if _Ask.LARGE in plan else None,
        beginnings=begun,
    )
