"""One bounded step of sync through one mailbox: live changes first, then a slice of history.

The state of the mailbox is taken when it is opened, before anything is read. Whatever changes while we
read is therefore reported again by the next step, which does no harm, and never lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chalicelib.domain.change import (
    Budget,
    ChangeBatch,
    Collection,
    Cursor,
    Flags,
    Known,
    RemoteId,
    RemoteMessage,
)
from chalicelib.errors import CursorExpired
from chalicelib.providers.imap.cursor import Progress, load
from chalicelib.providers.imap.fetching import (
    Meta,
    Opened,
    bodies,
    changes_between,
    flags_between,
    metas,
    open_mailbox,
    remote_id,
    split_id,
    uids_between,
)
from chalicelib.providers.imap.session import Session

_FLAGS_DURING_HISTORY = 500  # newest messages compared in each step where changes are not counted
_FIRST_WINDOW = 1_000
_MANY = 1_000  # names of vanished messages that are looked up without asking what we hold
_DAY = 86_400  # servers compare dates without a zone


@dataclass(slots=True)
class _Step:
    """The batch under construction."""

    session: Session
    opened: Opened
    known: Known
    budget: Budget
    arrived: list[RemoteMessage] = field(default_factory=list)
    flags: dict[RemoteId, Flags] = field(default_factory=dict)
    removed: set[RemoteId] = field(default_factory=set)
    unreadable: dict[RemoteId, str] = field(default_factory=dict)
    taken: int = 0
    taken_bytes: int = 0

    def name(self, uid: int) -> RemoteId:
        return remote_id(self.opened.uidvalidity, uid)

    def held(self) -> dict[int, Flags]:
        """What we hold of this generation, by UID."""
        ours = ((split_id(id), flags) for id, flags in self.known().items())
        return {uid: flags for (generation, uid), flags in ours if generation == self.opened.uidvalidity}


def step(
    session: Session, collection: Collection, cursor: Cursor | None, known: Known, budget: Budget
) -> ChangeBatch:
    """Return the next batch. Raises CursorExpired if the mailbox has a new UIDVALIDITY."""
    opened = open_mailbox(session, collection.id)
    at = _Step(session, opened, known, budget)
    if cursor is None:
        progress, cut = _beginning(at), False
    else:
        progress, cut = _live(at, load(cursor))
        if progress.falls_short(budget.since):
            progress = _again(at, progress)
    if not progress.complete and not cut:
        progress = _history(at, progress)
    return ChangeBatch(
        arrived=tuple(at.arrived),
        flags=at.flags,
        removed=frozenset(at.removed),
        unreadable=at.unreadable,
        cursor=progress.dump(),
        more=cut or not progress.complete,
        history_left=progress.below,
    )


def listing(session: Session, collection: Collection, cursor: Cursor, since: int) -> dict[RemoteId, Flags]:
    """Return what the synced range holds. Raises CursorExpired if the mailbox has a new UIDVALIDITY."""
    opened, progress = open_mailbox(session, collection.id), load(cursor)
    if opened.uidvalidity != progress.uidvalidity:
        raise CursorExpired("The folder was made anew on the mail server.")
    first, last = progress.low, progress.uidnext - 1
    flags = flags_between(session, first, last)
    wanted = uids_between(session, first, last, since) if since else list(flags)
    return {remote_id(opened.uidvalidity, uid): flags[uid] for uid in wanted if uid in flags}


def items(session: Session, collection: Collection, ids: Sequence[RemoteId]) -> list[RemoteMessage]:
    """Return those that are still there and readable."""
    opened = open_mailbox(session, collection.id)
    at = _Step(session, opened, dict, Budget())
    uids = [uid for generation, uid in map(split_id, ids) if generation == opened.uidvalidity]
    _fetch(at, list(metas(session, sorted(uids)).values()))
    return at.arrived


def _beginning(at: _Step) -> Progress:
    opened, since = at.opened, at.budget.since
    progress = Progress(
        uidvalidity=opened.uidvalidity,
        uidnext=opened.uidnext,
        modseq=opened.modseq,
        exists=opened.exists,
        low=max(2, opened.uidnext),  # even an empty mailbox is compared once with what we hold of it
        below=opened.exists,
        since=since,
    )
    return replace(progress, below=len(_in_window(at, progress, 1))) if since else progress


def _again(at: _Step, old: Progress) -> Progress:
    """Walk the history once more, for what a narrower window had left out."""
    until = old.since + 2 * _DAY if old.complete else 0
    progress = replace(old, low=max(2, old.uidnext), since=at.budget.since, until=until)
    return replace(progress, below=len(_in_window(at, progress, 1)))


def _in_window(at: _Step, progress: Progress, first: int) -> list[int]:
    """Return the UIDs from `first` to below `low` that are wanted."""
    return uids_between(at.session, first, progress.low - 1, progress.since, progress.until)


def _live(at: _Step, old: Progress) -> tuple[Progress, bool]:
    """Bring everything since the last step; tell whether the budget cut it short."""
    opened = at.opened
    if opened.uidvalidity != old.uidvalidity:
        raise CursorExpired("The folder was made anew on the mail server.")
    new = uids_between(at.session, old.uidnext, opened.uidnext - 1)
    gone = _flags(at, old)
    if gone is not None:
        _vanished(at, gone)
    elif old.exists + len(new) != opened.exists:
        _removals(at, old)
    handled = _bring(at, new)
    waiting = len(new) - handled
    progress = replace(
        old,
        uidnext=new[handled] if waiting else opened.uidnext,
        modseq=opened.modseq,
        exists=opened.exists - waiting,
    )
    return progress, waiting > 0


def _flags(at: _Step, old: Progress) -> list[range] | None:
    """Note flags that changed: counted by the server, or compared where it does not count.

    Returns the UIDs that the server says are gone, None if it says nothing of them.
    """
    now = at.opened.modseq
    first, last = old.low, old.uidnext - 1
    if now and old.modseq and now >= old.modseq:
        if now == old.modseq:
            return None
        changed, gone = changes_between(at.session, first, last, old.modseq)
        at.flags.update({at.name(uid): flags for uid, flags in changed.items()})
        return gone
    if not old.complete:
        first = max(first, last - _FLAGS_DURING_HISTORY)
    held = at.held()
    seen = flags_between(at.session, first, last)
    at.flags.update({at.name(uid): flags for uid, flags in seen.items() if held.get(uid, flags) != flags})
    return None


def _vanished(at: _Step, gone: list[range]) -> None:
    """Note what the server names as gone; of a very long list only what we hold."""
    if sum(map(len, gone)) > _MANY:
        at.removed.update(at.name(uid) for uid in at.held() if any(uid in part for part in gone))
    else:
        at.removed.update(at.name(uid) for part in gone for uid in part)


def _removals(at: _Step, old: Progress) -> None:
    """Compare what we hold of the synced range with what is there."""
    held = {uid for uid in at.held() if old.low <= uid < old.uidnext}
    present = set(uids_between(at.session, old.low, old.uidnext - 1))
    at.removed.update(at.name(uid) for uid in held - present)


def _history(at: _Step, progress: Progress) -> Progress:
    """Bring one slice of what lies below `low`, newest first."""
    wanted = min(at.budget.messages - at.taken, at.budget.history)
    if wanted <= 0:
        return progress
    older, searched = _older(at, progress, wanted)
    slice_ = older[:wanted]
    handled = _bring(at, slice_)
    if handled == len(older):
        low = searched
    elif handled == 0:
        low = progress.low
    else:
        low = slice_[handled - 1]
    left = 0 if low <= 1 else max(0, progress.below - handled)
    progress = replace(progress, low=low, below=left, until=progress.until if low > 1 else 0)
    if progress.complete:
        _confirm(at, progress)
    return progress


def _older(at: _Step, progress: Progress, wanted: int) -> tuple[list[int], int]:
    """Return at least `wanted` UIDs below `low` (if there are), newest first, and how far we looked."""
    found: list[int] = []
    window = max(_FIRST_WINDOW, wanted)
    while progress.low > 1 and len(found) < wanted:
        first = max(1, progress.low - window)
        found.extend(reversed(_in_window(at, progress, first)))
        progress, window = replace(progress, low=first), window * 4
    return found, progress.low


def _confirm(at: _Step, progress: Progress) -> None:
    """With the history complete, note as removed whatever we hold that the whole mailbox lacks."""
    known = at.known()
    if not known:
        return
    present = {at.name(uid) for uid in uids_between(at.session, 1, progress.uidnext - 1)}
    arrived = {message.id for message in at.arrived}
    at.removed.update(id for id in known if id and id not in present and id not in arrived)


def _bring(at: _Step, uids: Sequence[int]) -> int:
    """Fetch messages in this order within the budget; return how many of them are dealt with."""
    candidates = list(uids[: max(0, at.budget.messages - at.taken)])
    found = metas(at.session, candidates) if candidates else {}
    handled = 0
    fitting: list[Meta] = []
    for uid in candidates:
        meta = found.get(uid)
        if meta is not None and meta.received_at >= at.budget.since - _DAY:
            if at.taken and at.taken_bytes + meta.size > at.budget.bytes:
                break
            at.taken += 1
            at.taken_bytes += meta.size
            fitting.append(meta)
        handled += 1
    _fetch(at, fitting)
    return handled


def _fetch(at: _Step, fitting: Sequence[Meta]) -> None:
    content = bodies(at.session, fitting)
    for meta in fitting:
        raw = content.raw.get(meta.uid)
        if raw is not None:
            at.arrived.append(
                RemoteMessage(id=at.name(meta.uid), flags=meta.flags, received_at=meta.received_at, raw=raw)
            )
    at.unreadable.update({at.name(uid): reason for uid, reason in content.unreadable.items()})
