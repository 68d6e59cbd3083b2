"""Search on the mail server, folder by folder."""

from __future__ import annotations

import time
from collections.abc import Sequence

from chalicelib.domain.change import Budget, RemoteId, RemoteMessage
from chalicelib.errors import InvalidRequest
from chalicelib.providers.imap.bodies import bodies
from chalicelib.providers.imap.dating import received_at
from chalicelib.providers.imap.fetching import metas, open_mailbox, remote_id, split_id
from chalicelib.providers.imap.metadata import Meta
from chalicelib.providers.imap.numbers import number
from chalicelib.providers.imap.search_keys import search_words
from chalicelib.providers.imap.session import Session


def search(session: Session, collection_id: str, query: str, limit: int) -> list[RemoteId]:
    """Return matching messages of a folder, newest first. Raises Gone, InvalidRequest.

    Where the server cannot sort (RFC 5256), those that came into the folder last count as newest.
    """
    words = search_words(query)  # a server with a search language of its own gets other words here
    uidvalidity = open_mailbox(session, collection_id).uidvalidity
    if session.can("SORT"):
        uids = _uids(session, b"SORT", b"(REVERSE ARRIVAL) UTF-8", *words)
    else:
        charset = [] if query.isascii() else [b"CHARSET UTF-8"]
        uids = sorted(_uids(session, b"SEARCH", *charset, *words), reverse=True)
    return [remote_id(uidvalidity, uid) for uid in uids[:limit]]


def _uids(session: Session, verb: bytes, *words: bytes) -> list[int]:
    reply = session.wire.run(b"UID " + verb, *words)
    if not reply.ok and "BADCHARSET" in reply.text.upper():
        raise InvalidRequest("The mail server searches for ASCII characters only.")
    words_found = (word for line in reply.or_fail().of(verb) for word in line.text.split()[2:])
    return [uid for word in words_found if (uid := number(word))]


def bring(
    session: Session, collection_id: str, ids: Sequence[RemoteId], budget: Budget
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
