"""A message, its addresses, its files and the places where the server keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.remote import Flags, RemoteId


@dataclass(frozen=True, slots=True)
class Address:
    """A participant; `name` may be empty."""

    name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An attachment or inline part; `part` is its position in the MIME tree in walk order, from 0.

    `size` counts decoded bytes; `content_id` has no angle brackets.
    """

    id: str
    filename: str | None
    content_type: str
    size: int
    disposition: str | None
    content_id: str | None
    part: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server keeps one copy, and that copy's flags."""

    folder_id: str
    remote_id: RemoteId
    flags: Flags

    def is_at(self, folder_id: str, remote_id: RemoteId) -> bool:
        """Tell whether this is the copy of that name."""
        return self.folder_id == folder_id and self.remote_id == remote_id


@dataclass(frozen=True, slots=True)
class RawRef:
    """Where the raw MIME lies: bytes offset to offset+length of an S3 object, stored at `stored_at`."""

    key: str
    offset: int
    length: int
    stored_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A compact message: everything but its body. `date` is the received time in Unix seconds.

    `places` are all copies on the server; a message in no place is deleted. Folder and flags are
    those of the copy in the preferred folder. `label_ids` are the labels it bears beside its folder,
    sorted; `identity` is the provider's own name of the mail, empty where it has none, `fingerprint` stands
    for its content, empty where the provider names it or an older version stored it. `expires_at` is the
    Unix second in which it leaves the store by itself, 0 for never.
    """

    id: str
    account_id: str
    thread_id: str
    subject: str
    sender: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    date: int
    size: int
    snippet: str
    files: tuple[File, ...]
    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    folder_id: str | None
    unread: bool
    starred: bool
    places: tuple[Place, ...] = ()
    raw: RawRef | None = None
    expires_at: int = 0
    rev: int = 0
    label_ids: tuple[str, ...] = ()
    identity: str = ""
    fingerprint: str = ""

    @property
    def folder_ids(self) -> list[str]:
        """Ids of every folder it lies in and every label it bears, sorted."""
        return sorted({place.folder_id for place in self.places}.union(self.label_ids))

    @property
    def participants(self) -> tuple[Address, ...]:
        """Everyone named in From, To, Cc and Bcc, in that order."""
        return self.sender + self.to + self.cc + self.bcc
