"""What a person's own mail program does to a mailbox of the test server."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Protocol

from imapclient import IMAPClient

from infra.demo.dovecot import PASSWORD
from infra.demo.mailbox import make_mailbox


class Listening(Protocol):
    """A test server; `imap` is its port."""

    @property
    def imap(self) -> int: ...


def login(server: Listening, user: str) -> IMAPClient:
    """Return a connection of that user; a context manager."""
    client = IMAPClient("127.0.0.1", port=server.imap, ssl=False, timeout=30)
    client._imap.debug = 0  # each literal would be formatted for a log nobody reads
    client._imap.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a literal waits 40 ms else
    client.login(user, PASSWORD)
    return client


def fill(server: Listening, user: str, count: int, seed: int = 7) -> None:
    """Put a made-up mailbox of that many messages into a user's folders."""
    with login(server, user) as client:
        for folder in ("Projects/Kestrel",):
            if not client.folder_exists(folder):
                client.create_folder(folder)
        for message in make_mailbox(count, seed):
            at = datetime.fromtimestamp(message.at, UTC)
            client.append(message.folder, message.raw, message.flags, at)
