"""Search on the mail server, folder by folder."""

from __future__ import annotations

import time
from collections.abc import Sequence

from chalicelib import bounds
from chalicelib.domain.remote import BatchLimits, RemoteId, RemoteMessage
from chalicelib.providers.imap.fetch.dating import received_at
from chalicelib.providers.imap.fetch.mailbox import metas, open_mailbox, remote_id, split_id
from chalicelib.providers.imap.fetch.partial import raise_if_throttled
from chalicelib.providers.imap.fetch.whole import bodies
from chalicelib.providers.imap.protocol.metadata import Meta
from chalicelib.providers.imap.protocol.session import Session
from chalicelib.providers.imap.search import search_here
from chalicelib.providers.imap.search.search_here import uids_of
from chalicelib.providers.imap.search.search_keys import search_key
from chalicelib.providers.imap.search.search_tree import Key, is_ascii, widened, written


def search(session: Session, collection_id: str, query: str, limit: int) -> list[RemoteId]:
    """Return matching messages of a folder, newest first. Raises Gone, InvalidRequest.

    Where the server cannot sort (RFC 5256), those that came into the folder last count as newest.
    """
    key = search_key(query)  # a server with a search language of its own gets other words here
    uidvalidity = open_mailbox(session, collection_id).uidvalidity
    uids = _found(session, key)
    if uids is None:
        candidates = _found(session, widened(key)) or []
        uids = search_here.matching(session, key, candidates[: bounds.SEARCHED_HERE_MESSAGES])
    return [remote_id(uidvalidity, uid) for uid in uids[:limit]]


def _found(session: Session, key: Key) -> list[int] | None:
    """Return the UIDs, newest first; None if the server does not know the charset of the words."""
    charset, words = b"US-ASCII" if is_ascii(key) else b"UTF-8", written(key)
    if session.can("SORT"):
        reply, verb = session.wire.run(b"UID SORT (REVERSE ARRIVAL)", charset, *words), b"SORT"
    else:
        named = [] if is_ascii(key) else [b"CHARSET", charset]
        reply, verb = session.wire.run(b"UID SEARCH", *named, *words), b"SEARCH"
    if not reply.ok and not is_ascii(key):
        raise_if_throttled(reply)  # else it is BADCHARSET, whether the server says so or not
        return None
    uids = uids_of(reply, verb)
    return uids if verb == b"SORT" else sorted(uids, reverse=True)


def bring(
    session: Session, collection_id: str, ids: Sequence[RemoteId], budget: BatchLimits
) -> list[RemoteMessage]:
    """Return those of these messages that are still there, in this order, as far as the budget goes."""
    uidvalidity = open_mailbox(session, collection_id).uidvalidity
    uids = [uid for generation, uid in map(split_id, ids) if generation == uidvalidity and uid]
    fitting = _fitting(session, uids[: budget.messages], budget.bytes)
    raw = bodies(session, fitting).raw
    return [
        RemoteMessage(
            id=remote_id(uidvalidity, meta.uid),
            flags=meta.flags,
            received_at=received_at(meta, raw[meta.uid], time.time()),
            raw=raw[meta.uid],
            size=meta.size,
        )
        for meta in fitting
        if meta.uid in raw
    ]


def _fitting(session: Session, uids: Sequence[int], most_bytes: int) -> list[Meta]:
    found = metas(session, uids) if uids else {}
    fitting, left = [], most_bytes
    for meta in (found[uid] for uid in uids if uid in found):
        if meta.size <= left:
            fitting.append(meta)
            left -= meta.size
    return fitting
