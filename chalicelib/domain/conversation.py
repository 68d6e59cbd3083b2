"""Threads of a provider that has its own (Gmail's X-GM-THRID): its word counts, headers do not.

The thread's id follows from the provider's name of the conversation, so nothing has to be looked up. Mail
that we sent ourselves has no such name until the provider shows it to us: it goes into the thread of the
nearest mail it refers to, or begins one, which then becomes that of the conversation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chalicelib import ids
from chalicelib.domain.anchor import Anchor, Candidate
from chalicelib.domain.message import Message
from chalicelib.domain.thread import Thread
from chalicelib.domain.threader import Assignment, message_key, with_bearer


def conversation_key(name: str) -> str:
    """Return the anchor key of a provider's thread."""
    return "p:" + hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def conversation_id(account_id: str, name: str) -> str:
    """Return the id of the thread made for a provider's thread."""
    return ids.derived_id(account_id, "thread", conversation_key(name))


def converse(
    account_id: str,
    messages: Sequence[Message],
    names: Mapping[str, str],
    anchors: Mapping[str, Anchor],
    threads: Mapping[str, Thread],
) -> Assignment:
    """Return the thread of each message; `names` are the provider's threads by message id."""
    known = dict(anchors)
    thread_of: dict[str, str] = {}
    for message in sorted(messages, key=lambda message: (message.date, message.id)):
        if message.id in names:
            thread_id = _named(account_id, message, names[message.id], known, threads)
        else:
            thread_id = message.thread_id or _nearest(message, known) or _begun(account_id, message)
        thread_of[message.id] = thread_id
        _note(known, message, thread_id)
    changed = [anchor for key, anchor in known.items() if anchors.get(key) != anchor]
    return Assignment(thread_of=thread_of, anchors=changed, merged={})


def _named(
    account_id: str, message: Message, name: str, known: dict[str, Anchor], threads: Mapping[str, Thread]
) -> str:
    key, id = conversation_key(name), conversation_id(account_id, name)
    if key in known:
        known[key] = with_bearer(known[key], message.id)  # so that it lives as long as the newest mail
        return known[key].candidates[0].thread_id
    begun = threads.get(message.thread_id)
    if id in threads or begun is None or begun.id == id or set(begun.entries) != {message.id}:
        return id
    known[key] = Anchor(key=key, candidates=(Candidate(begun.id),))  # we began it; clients know it by this id
    return begun.id


def _nearest(message: Message, known: Mapping[str, Anchor]) -> str | None:
    relatives = [*([message.in_reply_to] if message.in_reply_to else []), *reversed(message.references)]
    found = (known.get(message_key(id)) for id in relatives)
    return next((a.candidates[0].thread_id for a in found if a and a.candidates), None)


def _begun(account_id: str, message: Message) -> str:
    return ids.derived_id(account_id, "thread", message.message_id or message.id)


def _note(known: dict[str, Anchor], message: Message, thread_id: str) -> None:
    """Let the Message-ID lead to the message and its thread."""
    if message.message_id:
        key = message_key(message.message_id)
        anchor = with_bearer(known.get(key) or Anchor(key=key, candidates=()), message.id)
        known[key] = replace(anchor, candidates=(Candidate(thread_id),))
