"""A batch under construction: messages of an opened mailbox, brought within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from chalicelib.domain.change import Budget, Flags, Known, RemoteId, RemoteMessage
from chalicelib.errors import Interrupted, ProviderError
from chalicelib.providers.imap.ahead import Ahead
from chalicelib.providers.imap.beginnings import AT_ONCE, BEGINNING, Beginnings, beginnings
from chalicelib.providers.imap.bodies import bodies
from chalicelib.providers.imap.fetching import Meta, metas, remote_id, split_id
from chalicelib.providers.imap.session import Opened, Session

DAY = 86_400
"""Servers compare dates without a zone."""


@dataclass(slots=True)
class Step:
    """One step through a mailbox, and what it has brought so far."""

    session: Session
    opened: Opened
    known: Known
    budget: Budget
    ahead: Ahead = field(default_factory=Ahead)
    arrived: list[RemoteMessage] = field(default_factory=list)
    flags: dict[RemoteId, Flags] = field(default_factory=dict)
    removed: set[RemoteId] = field(default_factory=set)
    unreadable: dict[RemoteId, str] = field(default_factory=dict)
    taken: int = 0
    taken_bytes: int = 0

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
    they are.
    """
    candidates = list(uids[: max(0, min(AT_ONCE, at.budget.messages - at.taken))])
    found = _known_of(at, candidates, measured=measured)
    handled = 0
    fitting: list[Meta] = []
    for uid in candidates:
        meta = found.get(uid)
        if meta is not None and meta.received_at >= at.budget.since - DAY:
            octets = _to_come(at, meta, cut=cut and meta.large)
            if at.taken and at.taken_bytes + octets > at.budget.bytes:
                break
            at.taken += 1
            at.taken_bytes += octets
            fitting.append(meta)
        handled += 1
    fetch(at, fitting, {meta.uid for meta in fitting if cut and meta.large})
    return handled


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


def fetch(at: Step, fitting: Sequence[Meta], cut: Set[int] = frozenset()) -> None:
    """Fetch messages together, except those that the budget wants alone or not at all.

    Those in `cut` come with their beginning only.
    """
    names = {meta.uid: at.name(meta.uid) for meta in fitting}
    wanted = [meta for meta in fitting if names[meta.uid] not in at.budget.avoid]
    together = [meta for meta in wanted if names[meta.uid] not in at.budget.alone]
    _fetch_together(at, together, cut)
    for meta in wanted:
        if names[meta.uid] in at.budget.alone:
            _fetch_together(at, [meta], cut)


def _fetch_together(at: Step, fitting: Sequence[Meta], cut: Set[int]) -> None:
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
    for meta in fitting:
        raw = here.get(meta.uid, content.raw.get(meta.uid))
        if raw is not None:
            whole = meta.uid not in cut or len(raw) != BEGINNING
            at.arrived.append(_remote(at.name(meta.uid), meta, raw, whole))
    at.unreadable.update({at.name(uid): reason for uid, reason in content.unreadable.items()})


def _remote(name: RemoteId, meta: Meta, raw: bytes, whole: bool) -> RemoteMessage:
    return RemoteMessage(
        id=name, flags=meta.flags, received_at=meta.received_at, raw=raw, size=meta.size, whole=whole
    )
