"""Threads of a provider that has its own (Gmail's X-GM-THRID): its word counts, headers do not.

The thread's id follows from the provider's name of the conversation, so nothing has to be looked up. Mail
that we sent ourselves has no such name until the provider shows it to us: it goes into the thread of the
nearest mail it refers to, or begins one, which then becomes that of the conversation. A conversation that
does not fit into one thread goes on in another, whose id follows from that of the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib import bounds, ids
from chalicelib.domain.mail.anchor import Anchor, Candidate
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.mail.threader import Assignment, message_key, with_bearer

_NEAREST = 50


def conversation_key(name: str) -> str:
    """Return the anchor key of a provider's thread."""
    return "p:" + hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def conversation_id(account_id: str, name: str) -> str:
    """Return the id of the thread made for a provider's thread."""
    return ids.derived_id(account_id, "thread", conversation_key(name))


def following_id(account_id: str, thread_id: str) -> str:
    """Return the id of the thread in which a conversation goes on when this one is full."""
    return ids.derived_id(account_id, "thread", "after", thread_id)


def relative_keys(message: Message) -> list[str]:
    """Return the anchor keys of a message and of the mail it refers to, its own first, the nearest next."""
    own = [message.message_id] if message.message_id else []
    return list(dict.fromkeys(message_key(id) for id in [*own, *_relatives(message)]))


def converse(
    account_id: str,
    messages: Sequence[Message],
    names: Mapping[str, str],
    anchors: Mapping[str, Anchor],
    threads: Mapping[str, Thread],
) -> Assignment:
    """Return the thread of each message; `names` are the provider's threads by message id."""
    work = _Work(account_id, dict(anchors), threads, {id: set(one.entries) for id, one in threads.items()})
    thread_of: dict[str, str] = {}
    for message in sorted(messages, key=lambda message: (message.date, message.id)):
        if message.id in names:
            thread_id = work.named(message, names[message.id])
        else:
            thread_id = message.thread_id or work.nearest(message) or _begun(account_id, message)
        thread_of[message.id] = thread_id
        work.note(message, thread_id)
    changed = [anchor for key, anchor in work.known.items() if anchors.get(key) != anchor]
    return Assignment(thread_of=thread_of, anchors=changed, merged={})


@dataclass(frozen=True, slots=True)
class _Work:
    """What is known while a batch is placed; `members` are message ids by thread."""

    account_id: str
    known: dict[str, Anchor]
    threads: Mapping[str, Thread]
    members: dict[str, set[str]]

    def named(self, message: Message, name: str) -> str:
        """Return the thread of a message that the provider names."""
        key = conversation_key(name)
        if key in self.known:  # so that it lives as long as the newest mail
            self.known[key] = with_bearer(self.known[key], message.id)
            ways = self.known[key].candidates
            return self._in(key, ways[0].thread_id, ways[-1].thread_id, message)
        id = conversation_id(self.account_id, name)
        first = self._first(message, id)
        if first != id:
            self._lead(key, first)
        return self._in(key, first, first, message)

    def nearest(self, message: Message) -> str | None:
        """Return the thread of the nearest relative that has room."""
        found = (self.known.get(message_key(id)) for id in _relatives(message))
        threads = (anchor.candidates[0].thread_id for anchor in found if anchor and anchor.candidates)
        return next((id for id in threads if self._fits(id, message)), None)

    def note(self, message: Message, thread_id: str) -> None:
        """Let the Message-ID lead to the message and its thread."""
        self.members.setdefault(thread_id, set()).add(message.id)
        if message.message_id:
            key = message_key(message.message_id)
            anchor = with_bearer(self.known.get(key) or Anchor(key=key, candidates=()), message.id)
            self.known[key] = replace(anchor, candidates=(Candidate(thread_id),))

    def _first(self, message: Message, id: str) -> str:
        """Return the first thread of a conversation: the one we began, if clients know it by that."""
        begun = self.threads.get(message.thread_id)
        ours = id not in self.threads and begun is not None and set(begun.entries) == {message.id}
        return begun.id if ours and begun else id

    def _in(self, key: str, first: str, last: str, message: Message) -> str:
        """Return the thread of a conversation that holds a message, or has room for it."""
        thread_id = first
        while thread_id != last and message.thread_id != thread_id:
            thread_id = following_id(self.account_id, thread_id)
        while message.thread_id != thread_id and not self._fits(thread_id, message):
            thread_id = following_id(self.account_id, thread_id)
            self._lead(key, first, thread_id)
        return thread_id

    def _fits(self, thread_id: str, message: Message) -> bool:
        return len(self.members.get(thread_id, set()) | {message.id}) <= bounds.THREAD_MESSAGES

    def _lead(self, key: str, *thread_ids: str) -> None:
        anchor = self.known.get(key) or Anchor(key=key, candidates=())
        self.known[key] = replace(anchor, candidates=tuple(map(Candidate, thread_ids)))


def _relatives(message: Message) -> list[str]:
    """Return the ids of the mail it refers to, the nearest first."""
    answered = [message.in_reply_to] if message.in_reply_to else []
    return [*answered, *reversed(message.references[-_NEAREST:])]


def _begun(account_id: str, message: Message) -> str:
    return ids.derived_id(account_id, "thread", message.message_id or message.id)
