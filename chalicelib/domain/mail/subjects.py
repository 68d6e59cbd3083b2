"""Mail without references: what it answers, by subject, people and date.

A reply answers the latest mail before it that bears its subject, shares its people and is at most two weeks
older. Letters answer nothing, so two letters of one subject stay two conversations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from itertools import takewhile

from chalicelib import bounds
from chalicelib.domain.mail.anchor import Anchor, Candidate
from chalicelib.domain.mail.message import Address, Message

_SPAN = bounds.SUBJECT_DAYS * 86_400
_MARK = r"\s*(?:%s)\s?(?:[\[(]\d{1,3}[\])])?\s?[:\uff1a]"
_ANSWER = re.compile(_MARK % "re|aw|sv", re.IGNORECASE)
_PREFIXES = _MARK % "re|aw|sv|fwd?|wg|undeliverable|undelivered"
_PREFIX = re.compile(_PREFIXES, re.IGNORECASE)
_TAG = re.compile(rf"\s*(\[[^\[\]]{{1,60}}\])(?={_PREFIXES})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bare:
    """A mail without references; `node` is a member of its group, `new` says that no anchor lists it yet."""

    node: str
    mail: Candidate
    new: bool

    @property
    def place(self) -> tuple[int, str]:
        """What mail is ordered by."""
        return self.mail.date, self.mail.message_id


@lru_cache(maxsize=512)
def normalised_subject(subject: str) -> str:
    """Return the subject without reply and forward prefixes, in one case, with single blanks.

    A mailing list's name before such a prefix stays, in front.
    """
    position, tags = 0, dict[str, None]()
    while match := _PREFIX.match(subject, position) or _TAG.match(subject, position):
        tags |= dict.fromkeys(filter(None, match.groups()))
        position = match.end()
    rest = subject[position:].lstrip()
    named = [tag for tag in tags if not rest.startswith(tag)]
    return " ".join([*named, *rest.split()]).casefold()


def subject_hash(message: Message) -> str:
    """Return what stands for the normalised subject."""
    return _hash(normalised_subject(message.subject), 8)


def signs(message: Message, owner: str) -> list[str]:
    """Return what mail of one conversation has in common: its subject, and whom it goes to beside us."""
    others = [email for email in _emails(message.to + message.cc) if email != owner.lower()]
    subject = [subject_hash(message)] if normalised_subject(message.subject) else []
    return subject + [_hash(email, 8) for email in dict.fromkeys(others)][: bounds.SIGN_PEOPLE]


def subject_key(message: Message) -> str | None:
    """Return the key of the anchor that lists the message, None if its subject may not join it to any."""
    keys = subject_keys(message)
    return keys[0] if keys else None


def subject_keys(message: Message) -> list[str]:
    """Return the keys of the anchors of mail that it may answer or that may answer it, its own first."""
    subject = normalised_subject(message.subject)
    if not subject or message.references or message.in_reply_to:
        return []
    fortnight = message.date // _SPAN
    return ["s:" + _hash(f"{subject}\0{fortnight + near}", 16) for near in (0, -1, 1)]


def is_reply(message: Message) -> bool:
    """Tell whether the subject says that the mail answers another one."""
    return _ANSWER.match(message.subject) is not None


def candidate_of(message: Message, thread_id: str) -> Candidate:
    """Return what the anchor of its subject keeps of a message."""
    return Candidate(
        thread_id=thread_id,
        emails=_people(message),
        reply=is_reply(message),
        date=message.date,
        message_id=message.id,
    )


def listing(anchor: Anchor, mail: Candidate, *, met: bool) -> Anchor:
    """Return the anchor of a subject with one more mail, or with that mail as it is now.

    One met again that is not listed any more goes to the front: it must not push out what came after it.
    """
    mails = list(anchor.candidates)
    places = [place for place, one in enumerate(mails) if one.message_id == mail.message_id]
    if places:
        mails[places[0]] = mail
    else:
        mails.insert(0 if met else len(mails), mail)
    return replace(anchor, candidates=tuple(mails[-bounds.SUBJECT_MAILS :]))


def answers(mails: Iterable[Bare]) -> Iterator[tuple[Bare, Bare, Bare | None]]:
    """Yield what is new about mail of one subject: a reply, what it answers, what it has answered so far."""
    earlier: list[Bare] = []
    for one in sorted(mails, key=lambda mail: mail.place):
        answered = _answered(one, earlier)
        if answered and (one.new or answered.new):
            yield one, answered, None if one.new else _answered(one, [e for e in earlier if not e.new])
        earlier.append(one)


def _answered(one: Bare, earlier: Sequence[Bare]) -> Bare | None:
    """Return the latest of earlier mails that fits a reply."""
    if not one.mail.reply:
        return None
    recent = takewhile(lambda other: one.mail.date - other.mail.date <= _SPAN, reversed(earlier))
    return next((other for other in recent if _same_people(one.mail.emails, other.mail.emails)), None)


def _people(message: Message) -> tuple[str, ...]:
    """Everyone it is from and to, the sender first; nobody if either is missing."""
    sender, others = _emails(message.sender), _emails(message.to + message.cc)
    people = list(dict.fromkeys([*sender, *others]))[: bounds.SUBJECT_PEOPLE]
    return tuple(_hash(email, 4) for email in people) if sender and others else ()


def _emails(people: Iterable[Address]) -> list[str]:
    return [person.email.lower() for person in people if person.email]


def _same_people(mine: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Two in common, or mail to oneself on both sides."""
    if len(mine) == 1:
        return mine == others
    return len(set(mine) & set(others)) >= 2


@lru_cache(maxsize=512)
def _hash(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=size).hexdigest()
