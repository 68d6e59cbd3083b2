"""One bounded step of sync through one mailbox: live changes first, then a slice of history.

The state of the mailbox is taken when it is opened, before anything is read. Whatever changes while we
read is therefore reported again by the next step, which does no harm, and never lost.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from chalicelib.domain.remote import (
    BatchLimits,
    ChangeBatch,
    Collection,
    Cursor,
    Flags,
    Known,
    RemoteId,
    RemoteMessage,
)
from chalicelib.errors import CursorExpired
from chalicelib.providers.imap.fetch.batch import DAY, Step, bring, fetch
from chalicelib.providers.imap.fetch.mailbox import (
    changes_between,
    flags_between,
    large_uids_between,
    metas,
    open_mailbox,
    remote_id,
    split_id,
    uids_between,
)
from chalicelib.providers.imap.fetch.pipeline import FIRST_WINDOW, Ahead, open_ahead
from chalicelib.providers.imap.folders.cursor import Progress, beginning, load
from chalicelib.providers.imap.marks import agree, noted
from chalicelib.providers.imap.protocol.session import Session

_FLAGS_DURING_HISTORY = 500  # newest messages compared in each step where changes are not counted
_MANY = 1_000  # names of vanished messages that are looked up without asking what we hold


def step(
    session: Session, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
) -> ChangeBatch:
    """Return the next batch. Raises CursorExpired if UIDs mean something else than for the cursor."""
    before = load(cursor) if cursor else None
    opened, ahead = open_ahead(session, collection, before, budget)
    at = Step(session, opened, known, budget, ahead)
    if before and _is_set_back(at, before):
        raise CursorExpired("The folder was set back to an earlier state on the mail server.")
    if before is None:
        progress, cut = _beginning(at), False
    else:
        progress, cut = _live(at, before)
        if progress.falls_short(budget.since):
            progress, at.ahead = _again(at, progress), Ahead()
    if not progress.complete and not cut:
        progress = _contents(at, progress) if progress.contents_are_due else _history(at, progress)
    if progress.complete:
        progress = replace(progress, until=0)
    progress = replace(progress, marks=noted(progress.marks, at.arrived))
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
    if opened.uidvalidity != progress.uidvalidity or (opened.told and opened.uidnext < progress.uidnext):
        raise CursorExpired("The folder was made anew on the mail server.")
    first, last = progress.low, progress.uidnext - 1
    flags = flags_between(session, first, last)
    wanted = uids_between(session, first, last, since) if since else list(flags)
    return {remote_id(opened.uidvalidity, uid): flags[uid] for uid in wanted if uid in flags}


def items(session: Session, collection: Collection, ids: Sequence[RemoteId]) -> list[RemoteMessage]:
    """Return those that are still there and readable."""
    opened = open_mailbox(session, collection.id)
    at = Step(session, opened, dict, BatchLimits())
    uids = [uid for generation, uid in map(split_id, ids) if generation == opened.uidvalidity]
    fetch(at, list(metas(session, sorted(uids)).values()))
    return at.arrived


def _is_set_back(at: Step, old: Progress) -> bool:
    """Tell whether an earlier state of the mailbox was put back, and UIDs have other mail now.

    UIDNEXT and HIGHESTMODSEQ never become less where servers are sound. Some make UIDNEXT of the newest
    message, which may go; some lose their count of changes: then the landmarks are as they were.
    """
    now = at.opened
    if now.uidvalidity != old.uidvalidity:
        return False
    if now.told and now.uidnext < old.uidnext:
        return bool(now.exists) and not (old.complete and agree(at.session, old.marks))
    return 0 < now.modseq < old.modseq and agree(at.session, old.marks) is False


def _beginning(at: Step) -> Progress:
    progress = beginning(at.opened, at.budget.since)
    if not progress.since:
        return progress
    told = at.ahead.span == range(1, progress.low)
    return replace(progress, below=len(at.ahead.older if told else _in_window(at, progress, 1)))


def _again(at: Step, old: Progress) -> Progress:
    """Walk the history once more, for what a narrower window had left out."""
    until = old.since + 2 * DAY if old.complete else 0
    top = max(2, old.uidnext)
    progress = replace(old, low=top, whole=top, since=at.budget.since, until=until)
    return replace(progress, below=len(_in_window(at, progress, 1)))


def _in_window(at: Step, progress: Progress, first: int) -> list[int]:
    """Return the UIDs from `first` to below `low` that are wanted."""
    if not at.opened.exists:
        return []
    return uids_between(at.session, first, progress.low - 1, progress.since, progress.until)


def _live(at: Step, old: Progress) -> tuple[Progress, bool]:
    """Bring everything since the last step; tell whether the budget cut it short."""
    opened = at.opened
    if opened.uidvalidity != old.uidvalidity:
        raise CursorExpired("The folder was made anew on the mail server.")
    new = at.ahead.new
    if new is None:
        new = uids_between(at.session, old.uidnext, opened.uidnext - 1)
    gone = _flags(at, old)
    if gone is not None:
        _vanished(at, gone)
    elif old.exists + len(new) != opened.exists:
        _removals(at, old)
    if gone is None and (len(new) < opened.uidnext - old.uidnext or not opened.told):
        _lost(at, old, set(new))
    handled = bring(at, new)
    waiting = len(new) - handled
    progress = replace(
        old,
        uidnext=new[handled] if waiting else opened.uidnext,
        modseq=opened.modseq,
        exists=opened.exists - waiting,
    )
    return progress, waiting > 0


def _flags(at: Step, old: Progress) -> list[range] | None:
    """Note flags that changed: counted by the server, or compared where it does not count.

    Returns the UIDs that the server says are gone, None if it says nothing of them.
    """
    now = at.opened.modseq
    first, last = old.low, old.uidnext - 1
    if now and old.modseq and now >= old.modseq:
        if now == old.modseq:
            return None
        # To the end: what a crash left stored without its cursor may be gone as well.
        changed, gone = at.ahead.changes or changes_between(
            at.session, first, at.opened.uidnext - 1, old.modseq
        )
        at.flags.update({at.name(uid): flags for uid, flags in changed.items() if uid <= last})
        return gone
    if not old.listed:
        first = max(first, last - _FLAGS_DURING_HISTORY)
    held = at.held()
    seen = flags_between(at.session, first, last)
    at.flags.update({at.name(uid): flags for uid, flags in seen.items() if held.get(uid, flags) != flags})
    return None


def _vanished(at: Step, gone: list[range]) -> None:
    """Note what the server names as gone; of a very long list only what we hold."""
    if sum(map(len, gone)) > _MANY:
        at.removed.update(at.name(uid) for uid in at.held() if any(uid in part for part in gone))
    else:
        at.removed.update(at.name(uid) for part in gone for uid in part)


def _removals(at: Step, old: Progress) -> None:
    """Compare what we hold of the synced range with what is there."""
    held = {uid for uid in at.held() if old.low <= uid < old.uidnext}
    present = set(uids_between(at.session, old.low, old.uidnext - 1))
    at.removed.update(at.name(uid) for uid in held - present)


def _lost(at: Step, old: Progress, new: Set[int]) -> None:
    """Note what a crash left stored without its cursor and what is gone since: nobody counts it."""
    at.removed.update(at.name(uid) for uid in at.held() if uid >= old.uidnext and uid not in new)


def _history(at: Step, progress: Progress) -> Progress:
    """Bring one slice of what lies below `low`, newest first."""
    wanted = min(at.budget.messages - at.taken, at.budget.history)
    if wanted <= 0:
        return progress
    older, searched = _older(at, progress, wanted)
    slice_ = older[:wanted]
    handled = bring(at, slice_, cut=True)
    if handled == len(older):
        low = searched
    elif handled == 0:
        low = progress.low
    else:
        low = slice_[handled - 1]
    left = 0 if low <= 1 else max(0, progress.below - handled)
    keeps_up = progress.whole == progress.low and all(message.whole for message in at.arrived)
    progress = replace(progress, low=low, below=left, whole=low if keeps_up else progress.whole)
    if progress.listed:
        _confirm(at, progress)
    return progress


def _contents(at: Step, progress: Progress) -> Progress:
    """Bring the rest of large messages of which only the beginning is here, newest first."""
    if at.budget.history <= 0:
        return progress
    bounds = progress.low, progress.whole - 1, progress.since, progress.until
    found = at.ahead.large
    large = (large_uids_between(at.session, *bounds) if found is None else found)[::-1]
    handled = bring(at, large, measured=True)
    if handled == len(large):
        return replace(progress, whole=progress.low)
    return replace(progress, whole=large[handled - 1] if handled else progress.whole)


def _older(at: Step, progress: Progress, wanted: int) -> tuple[list[int], int]:
    """Return about `wanted` UIDs below `low` (if there are), newest first, and how far we looked."""
    found: list[int] = []
    window = max(FIRST_WINDOW, wanted)
    if progress.low == at.ahead.span.stop:
        found.extend(reversed(at.ahead.older))
        progress = replace(progress, low=at.ahead.span.start)
    while progress.low > 1 and len(found) < (wanted + 1) // 2:
        first = max(1, progress.low - window)
        found.extend(reversed(_in_window(at, progress, first)))
        progress, window = replace(progress, low=first), window * 4
    return found, progress.low


def _confirm(at: Step, progress: Progress) -> None:
    """With the history complete, note as removed whatever we hold that the whole mailbox lacks."""
    known = at.known()
    if not known:
        return
    every = at.ahead.every
    if every is None:
        every = uids_between(at.session, 1, progress.uidnext - 1)
    present = {at.name(uid) for uid in every}
    arrived = {message.id for message in at.arrived}
    at.removed.update(id for id in known if id and id not in present and id not in arrived)
