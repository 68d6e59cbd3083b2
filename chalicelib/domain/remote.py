"""The vocabulary of sync."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NewType

Cursor = NewType("Cursor", str)
"""Progress through one collection; only the provider that issued it can read it."""

RemoteId = NewType("RemoteId", str)
"""A provider's own name of one item in one collection (IMAP: zero-padded UIDVALIDITY.UID).

The empty name marks a copy that is on its way there: a move or a sent mail not yet seen by sync.
"""

Flags = NewType("Flags", str)
"""Sorted letters: d(raft) s(een) f(lagged) a(nswered)."""

Known = Callable[[], Mapping[RemoteId, Flags]]
"""What we hold of a collection; asked only when a provider must compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A folder or label on the server. `token` changes whenever its contents may have; empty if unknown.

    A label is not synced by itself: the messages of the collections that are synced name their labels.
    `mark` stays when a label gets another name; empty if unknown.
    """

    id: str
    name: str
    role: str | None = None
    token: str = ""
    label: bool = False
    synced: bool = True
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteMessage:
    """A message as the server gave it; `received_at` is its INTERNALDATE in Unix seconds.

    One that is not `whole` is here with its beginning only, headers and first words; the rest comes in a
    later batch. `size` is what the server claims the whole to have, in octets, 0 if it said nothing.

    `labels` are ids of collections. `identity` and `thread` are the provider's own names of the mail
    wherever it lies and of its conversation; empty where it has none.
    """

    id: RemoteId
    flags: Flags
    received_at: int
    raw: bytes
    size: int = 0
    whole: bool = True
    labels: tuple[str, ...] = ()
    identity: str = ""
    thread: str = ""

    @property
    def octets(self) -> int:
        """Size of the whole message, as far as it is known."""
        return self.size or len(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """The most that one batch may bring; mail from before `since` (Unix seconds) is left alone.

    `history` bounds those of the messages that were there before the connection. Messages in `alone` are
    asked for one by one, those in `avoid` not at all: the server hung up over them. `careful` is to ask for
    no contents before the messages are known by name, so that a hang-up can be traced to some of them.
    """

    messages: int = 200
    history: int = 1_000_000
    bytes: int = 8_000_000
    since: int = 0
    alone: frozenset[RemoteId] = frozenset()
    avoid: frozenset[RemoteId] = frozenset()
    careful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBatch:
    """What changed, and the cursor behind it: store the items, then the cursor.

    `history_left` counts messages still to come from before the connection. `labels` are those of
    messages whose flags or labels changed, as ids of collections.
    """

    arrived: tuple[RemoteMessage, ...] = ()
    flags: Mapping[RemoteId, Flags] = field(default_factory=dict)
    labels: Mapping[RemoteId, tuple[str, ...]] = field(default_factory=dict)
    removed: frozenset[RemoteId] = frozenset()
    unreadable: Mapping[RemoteId, str] = field(default_factory=dict)
    cursor: Cursor
    more: bool = False
    history_left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change of one item on the server; making it twice is harmless. Labels are ids of collections."""

    collection: str
    item: RemoteId
    add: Flags = Flags("")
    remove: Flags = Flags("")
    add_labels: tuple[str, ...] = ()
    remove_labels: tuple[str, ...] = ()
    move_to: str | None = None
