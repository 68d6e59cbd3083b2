"""A thread: derived, as a whole, from one small entry per message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from chalicelib import bounds
from chalicelib.domain.mail.message import Address, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a thread needs to know of one of its messages."""

    date: int
    unread: bool
    starred: bool
    attachments: bool
    sent: bool
    folder_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Messages that belong together; `version` rises by one with each change.

    `expires_at` is the Unix second in which it leaves the store by itself, 0 for never; `parts` are the
    store's own names of the rows beside it, empty for one that is lost.
    """

    id: str
    account_id: str
    subject: str
    snippet: str
    participants: tuple[Address, ...]
    entries: Mapping[str, Entry]
    version: int = 0
    expires_at: int = 0
    rev: int = 0
    parts: tuple[str, ...] = ()

    @property
    def message_ids(self) -> list[str]:
        """Ids of the messages, oldest first."""
        return sorted(self.entries, key=lambda id: (self.entries[id].date, id))

    @property
    def first_at(self) -> int:
        """Date of the earliest message."""
        return min(entry.date for entry in self.entries.values())

    @property
    def last_at(self) -> int:
        """Date of the latest message."""
        return max(entry.date for entry in self.entries.values())

    @property
    def last_received_at(self) -> int | None:
        """Date of the latest message the account did not send."""
        return max((e.date for e in self.entries.values() if not e.sent), default=None)

    @property
    def last_sent_at(self) -> int | None:
        """Date of the latest message the account sent."""
        return max((e.date for e in self.entries.values() if e.sent), default=None)

    @property
    def unread(self) -> bool:
        """Whether any message is unread."""
        return any(entry.unread for entry in self.entries.values())

    @property
    def starred(self) -> bool:
        """Whether any message is starred."""
        return any(entry.starred for entry in self.entries.values())

    @property
    def has_attachments(self) -> bool:
        """Whether any message has an attachment."""
        return any(entry.attachments for entry in self.entries.values())

    @property
    def folder_ids(self) -> list[str]:
        """Every folder that holds one of the messages."""
        return sorted({id for entry in self.entries.values() for id in entry.folder_ids})


def entry_of(message: Message, sent_folder: str | None) -> Entry:
    """Return what a thread keeps of a message."""
    folders = message.folder_ids
    return Entry(
        date=message.date,
        unread=message.unread,
        starred=message.starred,
        attachments=bool(message.files),
        sent=sent_folder in folders,
        folder_ids=tuple(folders),
    )


def with_messages(thread: Thread, messages: Iterable[Message], sent_folder: str | None) -> Thread:
    """Return the thread with these messages in their present form; the same object if none differs."""
    added = {message.id: message for message in messages}
    entries = {**thread.entries, **{id: entry_of(m, sent_folder) for id, m in added.items()}}
    if entries == dict(thread.entries):
        return thread
    newest = max(entries, key=lambda id: (entries[id].date, id))
    oldest = min(entries, key=lambda id: (entries[id].date, id))
    return replace(
        thread,
        entries=entries,
        subject=added[oldest].subject if oldest in added else thread.subject,
        snippet=added[newest].snippet if newest in added else thread.snippet,
        participants=_merged(thread.participants, added.values()),
    )


def without_messages(thread: Thread, ids: Iterable[str]) -> Thread | None:
    """Return the thread without these messages; None if none is left."""
    gone = set(ids)
    entries = {id: entry for id, entry in thread.entries.items() if id not in gone}
    return replace(thread, entries=entries) if entries else None


def empty_thread(id: str, account_id: str) -> Thread:
    """Return a thread still without messages; never stored."""
    return Thread(id=id, account_id=account_id, subject="", snippet="", participants=(), entries={})


def _merged(known: tuple[Address, ...], messages: Iterable[Message]) -> tuple[Address, ...]:
    """Union by address, capped; an empty name gives way to a full one, two names stay two people."""
    people: dict[tuple[str, str], Address] = {}
    for person in [*known, *(p for m in messages for p in m.participants)]:
        if len(person.email) <= bounds.PARTICIPANT_CHARACTERS:
            named = Address(person.name[: bounds.PARTICIPANT_CHARACTERS], person.email)
            people.setdefault((named.email.lower(), named.name), named)
    full = {email for email, name in people if name}
    return tuple(p for (email, name), p in people.items() if name or email not in full)[
        : bounds.THREAD_PARTICIPANTS
    ]
