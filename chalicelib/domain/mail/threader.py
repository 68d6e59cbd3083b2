"""Which thread a message belongs to: by what it answers (after Jamie Zawinski), then by subject.

A message joins what it answers, what answers it, and mail that names the same first ancestor and bears the
same sign: the subject, or a recipient beside the account's owner. The other ancestors it names it could have
made up: they join nothing. Nor does the Message-ID of other mail that it bears, if it answers something:
who has read two conversations could make one of them. No thread grows beyond `bounds.THREAD_MESSAGES`; what
does not fit begins a new one, in which the conversation goes on.

`assign` decides for a batch from what is stored. Where it merges threads, the messages of each
merged thread are to be assigned once more with the surviving thread as their `thread_id`: that
moves the rest of their anchors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from chalicelib import bounds, ids
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.anchor import Anchor, Candidate
from chalicelib.domain.mail.groups import Groups
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.subjects import (
    Bare,
    answers,
    candidate_of,
    is_reply,
    listing,
    signs,
    subject_hash,
    subject_key,
    subject_keys,
)
from chalicelib.domain.mail.thread import Thread

Link = tuple[str, str]
"""The key of a Message-ID, and the sign if only mail that bears it is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`anchors` are the changed and new ones to store; `merged` leads from dead threads to living ones.

    `turned` are messages (by id) that answer another mail than they seemed to: the thread they are in, and
    that to which they have to go with all that hangs on them (see `parting`).
    """

    thread_of: dict[str, str]
    anchors: list[Anchor]
    merged: dict[str, str]
    turned: dict[str, tuple[str, str]] = field(default_factory=dict)


@lru_cache(maxsize=512)
def message_key(message_id: str) -> str:
    """Return the anchor key of a Message-ID."""
    bare = "".join(message_id.split()).strip("<>")
    return "m:" + hashlib.blake2b(bare.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def anchor_keys(message: Message) -> list[str]:
    """Return the keys of all anchors that bear on a message, its own Message-ID first."""
    ids = [*_own(message), *_answered(message), *_ancestors(message)[:1]]
    return list(dict.fromkeys([*map(message_key, ids), *subject_keys(message)]))


def assign(
    account: Account,
    messages: Sequence[Message],
    anchors: Mapping[str, Anchor],
    threads: Mapping[str, Thread],
) -> Assignment:
    """Return the thread of each message; the same messages and the new anchors give the same again.

    `threads` are those that `near` names.
    """
    work = _Work(account, messages, anchors, threads)
    work.join()
    final = work.thread_ids()
    changed = [*work.message_anchors(final), *work.subject_anchors(final)]
    return Assignment(
        thread_of={message.id: final[work.groups.find(message.id)] for message in messages},
        anchors=[anchor for anchor in changed if anchors.get(anchor.key) != anchor],
        merged=work.merged(final),
        turned=work.turned_to(final),
    )


def near(account: Account, messages: Sequence[Message], anchors: Mapping[str, Anchor]) -> set[str]:
    """Return the ids of the threads that these messages may join."""
    work = _Work(account, messages, anchors, {})
    work.join_bare()
    keys = {key for m in messages for key in anchor_keys(m) if key[0] == "m"}
    linked = {candidate.thread_id for key in keys & anchors.keys() for candidate in anchors[key].candidates}
    return linked | work.stored | {m.thread_id for m in messages if m.thread_id}


def with_bearer(anchor: Anchor, message_id: str) -> Anchor:
    """Return the anchor of a Message-ID with one more message that bears it."""
    if message_id in anchor.message_ids or len(anchor.message_ids) >= bounds.MESSAGE_ID_BEARERS:
        return anchor
    return replace(anchor, message_ids=(*anchor.message_ids, message_id))


def links(account: Account, message: Message, *, borne: bool = False) -> list[Link]:
    """Return what joins a message: its own name, what it answers, and where its conversation began.

    With `borne` other mail bears that name already: only if both have a sign in common, or this one answers
    nothing, they belong together.
    """
    own, answered = _own(message), _answered(message)
    named = answered if borne and (answered or is_reply(message)) else [*own, *answered]
    signed = [message_key(id) for id in [*own, *_ancestors(message)[:1]]]
    found = [(message_key(id), "") for id in named]
    found += [(key, sign) for sign in signs(message, account.email_address) for key in signed]
    return list(dict.fromkeys(found))


def _own(message: Message) -> list[str]:
    return [message.message_id] if message.message_id else []


def _answered(message: Message) -> list[str]:
    return [message.in_reply_to] if message.in_reply_to else list(message.references[-1:])


def _ancestors(message: Message) -> list[str]:
    return [*message.references, *_answered(message)]


class _Work:
    """The groups of one batch: message ids, links and, after a `t:`, stored thread ids."""

    def __init__(
        self,
        account: Account,
        messages: Sequence[Message],
        anchors: Mapping[str, Anchor],
        threads: Mapping[str, Thread],
    ) -> None:
        self.account = account
        self.messages = sorted(messages, key=lambda message: (message.date, message.id))
        self.anchors = anchors
        self.threads = threads
        self.groups = Groups(bounds.THREAD_MESSAGES)
        self.stored: set[str] = set()
        self.ways: dict[Link, list[str]] = {}
        self.turned: dict[str, tuple[str, str]] = {}
        self.bearers: dict[str, str] = {}

    def join(self) -> None:
        """Join what belongs together."""
        for message in self.messages:
            self.groups.add(message.id, [message.id])
            if message.thread_id:
                self.groups.add(self._thread(message.thread_id), [message.id])
                self.groups.join(message.id, self._thread(message.thread_id))
            for link in links(self.account, message, borne=self._is_borne_before(message)):
                self._join_link(message.id, link)
        self.join_bare()

    def join_bare(self) -> None:
        """Join mail without references to what it answers."""
        for mails in self._bare().values():
            for one, answered, before in answers(mails):
                if before:
                    self.turned[one.mail.message_id] = self._node(one), self._node(answered)
                else:
                    self.groups.join(self._node(one), self._node(answered))

    def _is_borne_before(self, message: Message) -> bool:
        """Tell whether the first bearer of its Message-ID, stored or in the batch, is another message."""
        if not message.message_id:
            return False
        key = message_key(message.message_id)
        stored = self.anchors[key].message_ids[:1] if key in self.anchors else ()
        return self.bearers.setdefault(key, *(stored or (message.id,))) != message.id

    def _join_link(self, message_id: str, link: Link) -> None:
        """Join a message to the first group on the way of a link that has room; else it goes on here."""
        if link not in self.ways:
            self.ways[link] = [self._thread(c.thread_id) for c in self._candidates(link)]
        ways = self.ways[link]
        if not any(self.groups.join(message_id, way) for way in ways):
            ways.append(message_id)

    def _candidates(self, link: Link) -> Iterator[Candidate]:
        anchor = self.anchors.get(link[0])
        return (c for c in anchor.candidates if c.sign == link[1]) if anchor else iter(())

    def _thread(self, thread_id: str) -> str:
        node = "t:" + thread_id
        if thread_id not in self.stored:
            self.stored.add(thread_id)
            thread = self.threads.get(thread_id)
            self.groups.add(node, thread.entries if thread else ())
        return node

    def _node(self, bare: Bare) -> str:
        return self._thread(bare.mail.thread_id) if bare.mail.thread_id else bare.node

    def _bare(self) -> dict[str, list[Bare]]:
        """Return by subject what bears on the mail without references: stored mail, and that of the batch."""
        found: dict[str, dict[str, Bare]] = {}
        own = [(message, keys) for message in self.messages if (keys := subject_keys(message))]
        for message, keys in own:
            mails = found.setdefault(subject_hash(message), {})
            for candidate in (c for key in keys if key in self.anchors for c in self.anchors[key].candidates):
                mails.setdefault(candidate.message_id, Bare("", candidate, new=False))
        for message, _ in own:
            mails = found[subject_hash(message)]
            new = message.id not in mails and not self._borne(message)
            mails[message.id] = Bare(message.id, candidate_of(message, ""), new)
        return {subject: list(mails.values()) for subject, mails in found.items()}

    def _borne(self, message: Message) -> bool:
        """Tell whether the anchor of its Message-ID knows a message."""
        anchor = self.anchors.get(message_key(message.message_id)) if message.message_id else None
        return anchor is not None and message.id in anchor.message_ids

    def thread_ids(self) -> dict[str, str]:
        """Return the thread id of each group: the smallest stored one, else one made of its first message."""
        found: dict[str, str] = {}
        for thread_id in self.stored:
            group = self.groups.find("t:" + thread_id)
            found[group] = min(thread_id, found.get(group, thread_id))
        for message in self.messages:
            if (group := self.groups.find(message.id)) not in found:
                found[group] = self._made(message)
        return found

    def _made(self, message: Message) -> str:
        """Return an id for a thread that begins; its first message may have begun one that is full."""
        id = ids.derived_id(self.account.id, "thread", message.id)
        while id in self.stored:
            id = ids.derived_id(self.account.id, "thread", id)
        return id

    def message_anchors(self, final: Mapping[str, str]) -> Iterable[Anchor]:
        """Return the Message-ID anchors of the batch as they are to be."""
        result: dict[str, Anchor] = {}
        for (key, sign), ways in self.ways.items():
            known = result.get(key) or self.anchors.get(key) or Anchor(key=key, candidates=())
            named = [final[self.groups.find(way)] for way in ways]
            mine = [Candidate(id, sign=sign) for id in dict.fromkeys([named[0], named[-1]])]
            others = [candidate for candidate in known.candidates if candidate.sign != sign]
            if len(others) < max(bounds.MESSAGE_ID_SIGNS, len(known.candidates)):
                by_sign = sorted([*mine, *others], key=lambda candidate: candidate.sign)
                result[key] = replace(known, candidates=tuple(by_sign))
        for message in self.messages:
            if message.message_id:
                key = message_key(message.message_id)
                known = result.get(key) or self.anchors[key]
                result[key] = with_bearer(known, message.id)
        return result.values()

    def subject_anchors(self, final: Mapping[str, str]) -> list[Anchor]:
        """Return the subject anchors of the batch as they are to be."""
        result: dict[str, Anchor] = {}
        for message in self.messages:
            if (key := subject_key(message)) is not None:
                listed = result.get(key) or self._renamed(key, final)
                mine = candidate_of(message, final[self.groups.find(message.id)])
                result[key] = listing(listed, mine, met=self._borne(message))
        return list(result.values())

    def _renamed(self, key: str, final: Mapping[str, str]) -> Anchor:
        """Return a stored anchor with the threads as they are called now."""
        known = self.anchors.get(key) or Anchor(key=key, candidates=())
        named = (replace(c, thread_id=self._named(c.thread_id, final)) for c in known.candidates)
        return replace(known, candidates=tuple(named))

    def _named(self, thread_id: str, final: Mapping[str, str]) -> str:
        return final[self.groups.find("t:" + thread_id)] if thread_id in self.stored else thread_id

    def merged(self, final: Mapping[str, str]) -> dict[str, str]:
        """Return where the messages of each stored thread that dies belong now."""
        survivors = {id: self._named(id, final) for id in sorted(self.stored)}
        return {old: new for old, new in survivors.items() if old != new}

    def turned_to(self, final: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Return the messages that are in another thread than they should be, and both threads."""
        ways = {
            id: (final[self.groups.find(one)], final[self.groups.find(answered)])
            for id, (one, answered) in self.turned.items()
        }
        return {id: way for id, way in ways.items() if way[0] != way[1]}
