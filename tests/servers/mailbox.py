"""What every test server offers, and a user's mailbox on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from infra.demo.dovecot import PASSWORD
from infra.demo.visitor import login

ROLES = ("Sent", "Drafts", "Trash", "Junk")


class Unavailable(Exception):
    """The server is not on this machine; the text says what would bring it."""


class MailServer(Protocol):
    """A mail server: start it, add users, deliver to them, stop it. Raises Unavailable at the start."""

    def start(self) -> Self: ...
    def add_user(self, user: str) -> Mailbox: ...
    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A user's mailbox; the user logs in with PASSWORD. Folders below the inbox begin with `prefix`."""

    user: str
    imap: int
    host: str = "127.0.0.1"
    prefix: str = ""
    separator: str = "/"
    password: str = PASSWORD

    def folder(self, path: str) -> str:
        """Return the server's name of a folder given as Projects/Kestrel."""
        return path if path == "INBOX" else self.prefix + path.replace("/", self.separator)

    def login(self) -> Any:
        """Return an IMAPClient of that user; a context manager."""
        return login(self, self.user)

    def create(self, *paths: str) -> Mailbox:
        """Make folders that are not there yet."""
        with self.login() as client:
            for name in map(self.folder, paths):
                if not client.folder_exists(name):
                    client.create_folder(name)
        return self

    def deliver(self, path: str, raw: bytes, flags: Sequence[bytes] = (), at: int = 1_600_000_000) -> None:
        """Put a message into a folder."""
        with self.login() as client:
            client.append(self.folder(path), raw, flags, datetime.fromtimestamp(at, UTC))
