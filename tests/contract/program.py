"""Another mail program at the same mailbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.domain.remote import RemoteId
from chalicelib.providers.imap.fetch.mailbox import remote_id, split_id

_FLAGS = {"a": b"\\Answered", "d": b"\\Draft", "f": b"\\Flagged", "s": b"\\Seen"}


@dataclass
class Program:
    """Another mail program; folders it makes begin with `prefix`."""

    client: Any
    prefix: str = ""

    def deliver(self, folder: str, raw: bytes, flags: str = "", at: int = 1_600_000_000) -> RemoteId:
        answer = self.client.append(folder, raw, [_FLAGS[f] for f in flags], datetime.fromtimestamp(at, UTC))
        _, uidvalidity, uid = answer.partition(b"]")[0].split()
        return remote_id(int(uidvalidity), int(uid))

    def flag(self, folder: str, id: RemoteId, flags: str) -> None:
        self.client.select_folder(folder)
        self.client.set_flags([split_id(id)[1]], [_FLAGS[f] for f in flags], silent=True)

    def expunge(self, folder: str, id: RemoteId) -> None:
        self.client.select_folder(folder)
        self.client.delete_messages([split_id(id)[1]], silent=True)
        self.client.expunge()

    def renumber(self, folder: str) -> None:
        elsewhere = self.prefix + "Elsewhere"
        self.client.create_folder(elsewhere)
        self.client.select_folder(folder)
        self.client.copy("1:*", elsewhere)
        self.client.select_folder(elsewhere)
        self.client.delete_folder(folder)
        self.client.create_folder(folder)
        self.client.copy("1:*", folder)
