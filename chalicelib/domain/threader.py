"""Which thread a message belongs to: by References first (after Jamie Zawinski), then by subject.

`assign` decides for a batch from what is stored. Where it merges threads, the messages of each
merged thread are to be assigned once more with the surviving thread as their `thread_id`: that
moves the rest of their anchors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib import ids
from chalicelib.domain.anchor import Anchor, Candidate
from chalicelib.domain.message import Message

MAX_REFERENCES = 50
MAX_CANDIDATES = 20
MAX_EMAILS = 30
MAX_BEARERS = 50
_PREFIX = re.compile(
    r"\s*(?:re|fwd?|aw|wg|sv|undeliverable|undelivered)\s?(?:[\[(]\d{1,3}[\])])?\s?[:\uff1a]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`anchors` are the changed and new ones to store; `merged` leads from dead threads to living ones."""

    thread_of: dict[str, str]
    anchors: list[Anchor]
    merged: dict[str, str]


def normalised_subject(subject: str) -> str:
    """Return the subject without reply and forward prefixes, in one case, with single blanks."""
    return " ".join(_without_prefixes(subject).split()).casefold()


def is_reply(subject: str) -> bool:
    """Tell whether a subject begins with a reply or forward prefix."""
    return _PREFIX.match(subject) is not None


def message_key(message_id: str) -> str:
    """Return the anchor key of a Message-ID."""
    return "m:" + _hash("".join(message_id.split()).strip("<>"))


def anchor_keys(message: Message) -> list[str]:
    """Return the keys of all anchors that bear on a message, its own Message-ID first."""
    subject = _subject_key(message)
    return _message_keys(message) + ([subject] if subject else [])


def assign(account_id: str, messages: Sequence[Message], anchors: Mapping[str, Anchor]) -> Assignment:
    """Return the thread of each message; the same messages and the new anchors give the same again."""
    work = _Work(account_id, messages, anchors)
    subjects = work.join_by_subject()
    final = work.thread_ids()
    changed = [*work.message_anchors(final), *work.subject_anchors(subjects, final)]
    return Assignment(
        thread_of={message.id: final[work.groups.find(message.id)] for message in messages},
        anchors=[anchor for anchor in changed if anchors.get(anchor.key) != anchor],
        merged=work.merged(final),
    )


def _without_prefixes(subject: str) -> str:
    position = 0
    while match := _PREFIX.match(subject, position):
        position = match.end()
    return subject[position:]


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _references(message: Message) -> list[str]:
    """The first one names the thread, the last ones are the nearest relatives."""
    known = list(dict.fromkeys(message.references))
    if len(known) > MAX_REFERENCES:
        known = known[:1] + known[1 - MAX_REFERENCES :]
    if message.in_reply_to and message.in_reply_to not in known:
        known.append(message.in_reply_to)
    return known


def _message_keys(message: Message) -> list[str]:
    own = [message.message_id] if message.message_id else []
    return list(dict.fromkeys(message_key(id) for id in [*own, *_references(message)]))


def _subject_key(message: Message) -> str | None:
    subject = normalised_subject(message.subject)
    if not subject or message.references or message.in_reply_to:
        return None
    return "s:" + _hash(subject)


def _emails(message: Message) -> tuple[str, ...]:
    people = message.sender + message.to + message.cc
    return tuple(sorted({person.email.lower() for person in people if person.email})[:MAX_EMAILS])


def _root(message: Message) -> str:
    known = [*message.references[:1], message.in_reply_to, message.message_id, message.id]
    return next(id for id in known if id)


class _Groups:
    """Disjoint sets of names (union-find)."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def find(self, name: str) -> str:
        """Return the name that stands for the whole set."""
        root = name
        while (parent := self._parents.setdefault(root, root)) != root:
            root = parent
        while name != root:
            self._parents[name], name = root, self._parents[name]
        return root

    def join(self, one: str, other: str) -> None:
        """Make two sets one."""
        self._parents[self.find(one)] = self.find(other)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A candidate whose thread may still be unnamed: `node` is a member of its group."""

    node: str
    candidate: Candidate


class _Work:
    """The groups of one batch: message ids, anchor keys and, after a `t:`, stored thread ids."""

    def __init__(self, account_id: str, messages: Sequence[Message], anchors: Mapping[str, Anchor]) -> None:
        self.account_id = account_id
        self.messages = sorted(messages, key=lambda message: (message.date, message.id))
        self.anchors = anchors
        self.groups = _Groups()
        self.stored: set[str] = set()
        for message in self.messages:
            self._join_by_references(message)

    def _join_by_references(self, message: Message) -> None:
        self.groups.find(message.id)
        if message.thread_id:
            self._join_thread(message.id, message.thread_id)
        for key in _message_keys(message):
            self.groups.join(message.id, key)
            for candidate in self.anchors[key].candidates if key in self.anchors else ():
                self._join_thread(message.id, candidate.thread_id)

    def _join_thread(self, node: str, thread_id: str) -> None:
        self.stored.add(thread_id)
        self.groups.join(node, "t:" + thread_id)

    def join_by_subject(self) -> dict[str, list[_Seen]]:
        """Join messages without references to a conversation of their subject; return what was seen."""
        seen: dict[str, list[_Seen]] = {}
        placed = {self.groups.find("t:" + id) for id in self.stored}
        for message in self.messages:
            key = _subject_key(message)
            if key is None:
                continue
            candidates = seen.setdefault(key, self._stored_candidates(key))
            mine = Candidate("", _emails(message), is_reply(message.subject))
            new = self._is_new(message)
            if new and self.groups.find(message.id) not in placed:
                match = self._match(mine, candidates)
                if match is not None:
                    self._join_match(message.id, match.node)
                    placed.add(self.groups.find(message.id))
            self._remember(candidates, _Seen(message.id, mine), new)
        return seen

    def _join_match(self, message_id: str, node: str) -> None:
        if node.startswith("t:"):
            self.stored.add(node[2:])
        self.groups.join(message_id, node)

    def _stored_candidates(self, key: str) -> list[_Seen]:
        anchor = self.anchors.get(key)
        return [_Seen("t:" + c.thread_id, c) for c in anchor.candidates] if anchor else []

    def _is_new(self, message: Message) -> bool:
        key = message_key(message.message_id) if message.message_id else ""
        known = self.anchors[key].message_ids if key in self.anchors else ()
        return not message.thread_id and message.id not in known

    def _match(self, mine: Candidate, seen: list[_Seen]) -> _Seen | None:
        """Return the latest fitting one. A conversation has one beginning, so another finds no place."""
        begun = {self.groups.find(s.node) for s in seen if not s.candidate.reply}
        for other in reversed(seen):
            if not mine.reply and self.groups.find(other.node) in begun:
                continue
            if (mine.reply or other.candidate.reply) and _same_people(mine.emails, other.candidate.emails):
                return other
        return None

    def _remember(self, seen: list[_Seen], mine: _Seen, new: bool) -> None:
        """A message met again goes to the front: it must not push out what came after it."""
        if new:
            seen.append(mine)
        elif not any(self._alike(mine, other) for other in seen):
            seen.insert(0, mine)

    def _alike(self, one: _Seen, other: _Seen) -> bool:
        same = (one.candidate.emails, one.candidate.reply) == (other.candidate.emails, other.candidate.reply)
        return same and self.groups.find(one.node) == self.groups.find(other.node)

    def thread_ids(self) -> dict[str, str]:
        """Return the thread id of each group: the smallest stored one, else one made from its roots."""
        made: dict[str, str] = {}
        for message in self.messages:
            group = self.groups.find(message.id)
            id = ids.derived_id(self.account_id, "thread", _root(message))
            made[group] = min(id, made.get(group, id))
        kept: dict[str, str] = {}
        for thread_id in self.stored:
            group = self.groups.find("t:" + thread_id)
            kept[group] = min(thread_id, kept.get(group, thread_id))
        return made | kept

    def message_anchors(self, final: Mapping[str, str]) -> Iterable[Anchor]:
        """Return the Message-ID anchors of the batch as they are to be."""
        result: dict[str, Anchor] = {}
        for message in self.messages:
            candidates = (Candidate(final[self.groups.find(message.id)]),)
            for key in _message_keys(message):
                known = result.get(key) or self.anchors.get(key) or Anchor(key=key, candidates=())
                result[key] = replace(known, candidates=candidates)
            if message.message_id:
                own = result[message_key(message.message_id)]
                result[own.key] = with_bearer(own, message.id)
        return result.values()

    def subject_anchors(self, subjects: Mapping[str, list[_Seen]], final: Mapping[str, str]) -> list[Anchor]:
        """Return the subject anchors of the batch as they are to be."""
        result = []
        for key, seen in subjects.items():
            named = [Candidate(self._named(s, final), s.candidate.emails, s.candidate.reply) for s in seen]
            latest = list(dict.fromkeys(reversed(named)))[:MAX_CANDIDATES]
            result.append(Anchor(key=key, candidates=tuple(reversed(latest))))
        return result

    def _named(self, seen: _Seen, final: Mapping[str, str]) -> str:
        return final.get(self.groups.find(seen.node), seen.candidate.thread_id)

    def merged(self, final: Mapping[str, str]) -> dict[str, str]:
        """Return where the messages of each stored thread that dies belong now."""
        survivors = {id: final[self.groups.find("t:" + id)] for id in sorted(self.stored)}
        return {old: new for old, new in survivors.items() if old != new}


def with_bearer(anchor: Anchor, message_id: str) -> Anchor:
    """Return the anchor of a Message-ID with one more message that bears it."""
    if message_id in anchor.message_ids or len(anchor.message_ids) >= MAX_BEARERS:
        return anchor
    return replace(anchor, message_ids=(*anchor.message_ids, message_id))


def _same_people(mine: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Two in common, or mail to oneself on both sides."""
    if len(mine) == 1:
        return mine == others
    return len(set(mine) & set(others)) >= 2
