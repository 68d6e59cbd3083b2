"""A batch under construction: messages of an opened mailbox, brought within a budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from chalicelib.clock import Clock
from chalicelib.domain.remote import BatchLimits, Flags, Known, RemoteId, RemoteMessage
from chalicelib.errors import Interrupted, ProviderError
from chalicelib.providers.imap.fetch.dating import received_at
from chalicelib.providers.imap.fetch.mailbox import metas, remote_id, search_uids, split_id
from chalicelib.providers.imap.fetch.partial import AT_ONCE, BEGINNING, Beginnings, beginnings
from chalicelib.providers.imap.fetch.pipeline import Ahead
from chalicelib.providers.imap.fetch.whole import bodies
from chalicelib.providers.imap.protocol.metadata import Meta
from chalicelib.providers.imap.protocol.numbers import uid_sets
from chalicelib.providers.imap.protocol.session import Opened, Session

DAY = 86_400
"""Servers compare dates without a zone."""

_UNTOLD = "The mail server tells nothing of this message."


@dataclass(slots=True)
class Step:
    """One step through a mailbox, and what it has brought so far."""

    session: Session
    opened: Opened
    known: Known
    budget: BatchLimits
    ahead: Ahead = field(default_factory=Ahead)
    arrived: list[RemoteMessage] = field(default_factory=list)
    flags: dict[RemoteId, Flags] = field(default_factory=dict)
    removed: set[RemoteId] = field(default_factory=set)
    unreadable: dict[RemoteId, str] = field(default_factory=dict)
    taken: int = 0
    taken_bytes: int = 0
    now: Clock = time.time

    @property
    def oldest(self) -> int:
        """The Unix second before which nothing is wanted, a day earlier than asked."""
        return self.budget.since - DAY

    def name(self, uid: int) -> RemoteId:
        """Return the name of a message of this generation."""
        return remote_id(self.opened.uidvalidity, uid)

    def held(self) -> dict[int, Flags]:
        """What we hold of this generation, by UID."""
        ours = ((split_id(id), flags) for id, flags in self.known().items())
        return {uid: flags for (generation, uid), flags in ours if generation == self.opened.uidvalidity}


def bring(at: Step, uids: Sequence[int], *, cut: bool = False, measured: bool = False) -> int:
    """Fetch messages in this order within the budget; return how many of them are dealt with.

    With `cut` the large ones come with no more than their beginning; `measured` is to ask first how long
    they are. Without either they are new, and none is left out for a date that the server did not tell.
    """
    candidates = list(uids[: max(0, min(AT_ONCE, at.budget.messages - at.taken))])
    found = _known_of(at, candidates, measured=measured)
    handled = 0
    fitting: list[Meta] = []
    for uid in candidates:
        meta = found.get(uid)
        if meta is not None and (meta.received_at is None or meta.received_at >= at.oldest):
            octets = _to_come(at, meta, cut=cut and meta.large)
            if at.taken and at.taken_bytes + octets > at.budget.bytes:
                break
            at.taken += 1
            at.taken_bytes += octets
            fitting.append(meta)
        handled += 1
    _note_untold(at, [uid for uid in candidates[:handled] if uid not in found])
    fetch(at, fitting, {meta.uid for meta in fitting if cut and meta.large}, new=not (cut or measured))
    return handled


def _note_untold(at: Step, uids: Sequence[int]) -> None:
    """Enter as unreadable of what the server says nothing although it is still there."""
    for part in uid_sets(uids):
        there = set(search_uids(at.session, b"UID " + part)).intersection(uids)
        at.unreadable.update(dict.fromkeys(map(at.name, sorted(there)), _UNTOLD))


def _to_come(at: Step, meta: Meta, *, cut: bool) -> int:
    """Return how many octets of a message are still to be fetched."""
    if at.ahead.beginnings.enough(meta, cut=cut) is not None:
        return 0
    return min(meta.size, BEGINNING) if cut else meta.size


def _known_of(at: Step, uids: Sequence[int], *, measured: bool) -> Mapping[int, Meta]:
    """Return what is known of messages, in most cases together with their beginnings."""
    missing = [uid for uid in uids if uid not in at.ahead.beginnings.metas]
    if missing:
        by_size = measured or at.budget.careful
        more = Beginnings(metas(at.session, missing)) if by_size else _begun(at, missing)
        at.ahead = replace(at.ahead, beginnings=at.ahead.beginnings | more)
    return at.ahead.beginnings.metas


def _begun(at: Step, uids: Sequence[int]) -> Beginnings:
    try:
        return beginnings(at.session, uids)
    except ProviderError as error:
        raise _interrupted(at, uids, error) from error


def _interrupted(at: Step, asked: Sequence[int], error: ProviderError) -> ProviderError:
    """Return what to raise: some servers hang up over a message that they cannot read themselves."""
    return Interrupted(error.message, tuple(map(at.name, asked))) if at.session.is_lost() else error


def fetch(at: Step, fitting: Sequence[Meta], cut: Set[int] = frozenset(), *, new: bool = False) -> None:
    """Fetch messages together, except those that the budget wants alone or not at all.

    Those in `cut` come with their beginning only. A message without a date of the server's is left out if its
    own says that it is too old, unless it is `new`.
    """
    names = {meta.uid: at.name(meta.uid) for meta in fitting}
    wanted = [meta for meta in fitting if names[meta.uid] not in at.budget.avoid]
    together = [meta for meta in wanted if names[meta.uid] not in at.budget.alone]
    contents = _fetched(at, together, cut)
    for meta in wanted:
        if names[meta.uid] in at.budget.alone:
            contents |= _fetched(at, [meta], cut)
    for meta in wanted:
        if meta.uid in contents:
            _arrive(at, meta, contents[meta.uid], whole=meta.uid not in cut, new=new)


def _fetched(at: Step, fitting: Sequence[Meta], cut: Set[int]) -> dict[int, bytes]:
    begun = at.ahead.beginnings
    here = {meta.uid: raw for meta in fitting if (raw := begun.enough(meta, cut=meta.uid in cut)) is not None}
    rest = [meta for meta in fitting if meta.uid not in here]
    try:
        content = bodies(
            at.session,
            [meta for meta in rest if meta.uid not in cut],
            [meta for meta in rest if meta.uid in cut],
        )
    except ProviderError as error:
        raise _interrupted(at, [meta.uid for meta in rest], error) from error
    at.unreadable.update({at.name(uid): reason for uid, reason in content.unreadable.items()})
    return {**content.raw, **here}


def _arrive(at: Step, meta: Meta, raw: bytes, *, whole: bool, new: bool) -> None:
    date = received_at(meta, raw, at.now(), at.oldest if new else 0)
    if date >= at.oldest:
        at.arrived.append(
            RemoteMessage(
                id=at.name(meta.uid),
                flags=meta.flags,
                received_at=date,
                raw=raw,
                size=meta.size,
                whole=whole or len(raw) != BEGINNING,
            )
        )
