"""Mail as the use cases keep it: its rows, the raw bytes, copies on their way into Sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.filing import Filing
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import File, Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.store.values import (
    Location,
    MailChanges,
    Revised,
)


class Mail(Protocol):
    """Messages, threads, folders and the look-ups between them (tables `mail` and `body`)."""

    def folders(self, account_id: str) -> list[Folder]:
        """Return every folder, oldest first."""

    def save_folders(self, account_id: str, changes: Sequence[Revised[Folder]]) -> None:
        """Write folders; raises Stale."""

    def messages(self, account_id: str, ids: Iterable[str]) -> dict[str, Message]:
        """Return those that exist, strongly consistent."""

    def threads(self, account_id: str, ids: Iterable[str]) -> dict[str, Thread]:
        """Return those that exist, strongly consistent."""

    def anchors(self, account_id: str, keys: Iterable[str]) -> dict[str, Anchor]:
        """Return those that exist, strongly consistent."""

    def locations(
        self, account_id: str, folder_id: str, remote_ids: Iterable[RemoteId]
    ) -> dict[RemoteId, Location]:
        """Return those that exist, strongly consistent."""

    def known(self, account_id: str, folder_id: str) -> dict[RemoteId, Flags]:
        """Return every place of a folder with its flags, strongly consistent."""

    def bodies(self, account_id: str, ids: Iterable[str]) -> dict[str, str]:
        """Return the HTML bodies that are kept here; a body too large for a row is absent."""

    def save(self, account_id: str, changes: MailChanges) -> None:
        """Write a batch so that a crash anywhere can be repaired by repeating it.

        Order: new locations, messages with their files and bodies, threads (those that lose messages
        last), deletions of messages, anchors, changed locations. A changed object is written only if its
        stored `rev` is still that of `old` (else Stale is raised); its new rev is max(old + 1, now in
        milliseconds).
        """

    def newest_messages(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Message]:
        """Yield messages newest first with after < date <= before, reading pages as needed."""

    def newest_threads(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Thread]:
        """Yield threads by last message, newest first, with after < last_at < before."""

    def file(self, account_id: str, file_id: str) -> tuple[File, str] | None:
        """Return a file and the id of its message."""


class Filings(Protocol):
    """Copies of sent mail on their way into Sent, by `filing_key` (table `mail`)."""

    def get(self, account_id: str, name: str) -> Filing | None:
        """Return how far a copy has come, strongly consistent; None if nothing was sent under this name."""

    def put(self, account_id: str, name: str, filing: Filing) -> None:
        """Note how far a copy has come."""


class Blobs(Protocol):
    """Objects in S3."""

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""

    def get(self, key: str, offset: int, length: int) -> bytes | None:
        """Return bytes offset to offset+length, None if the object is gone."""
