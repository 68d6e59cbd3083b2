"""What is known of an account while its mail is taken in: its folders, and how long mail stays."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from chalicelib.clock import Clock
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder, preference
from chalicelib.domain.mail.message import Message, Place, RawRef
from chalicelib.domain.mail.retention import PAST, Retention, latest
from chalicelib.domain.remote import RemoteMessage
from chalicelib.formats.mime.mime import ParsedMail
from chalicelib.store.ports.mail import Mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message on its way in: what the server gave and what it looks like before we know our own.

    `raw` is None while only its beginning is here.
    """

    remote: RemoteMessage
    mail: ParsedMail
    message: Message
    raw: RawRef | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailContext:
    """One account's mail and where it lies; `folders` is by collection.

    Mail stays as long as `window` (a fixed one) says, and until `until` (Unix seconds) at least.
    """

    mail: Mail
    account: Account
    folders: Mapping[str, Folder]
    now: Clock = time.time
    window: Retention = field(default_factory=Retention)
    until: int = PAST

    def folder(self, collection_id: str) -> Folder:
        """Return the folder of a collection that was listed."""
        return self.folders[collection_id]

    def label_ids(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the ids of labels by their collections; those that are not shown to us are left out."""
        return tuple(sorted({self.folders[name].id for name in names if name in self.folders}))

    def role(self, name: str) -> Folder | None:
        """Return the folder of a role."""
        return next((folder for folder in self.folders.values() if folder.role == name), None)

    def viewed(self, message: Message) -> Message:
        """Show folder and flags of the copy in the preferred folder."""
        by_id = {folder.id: folder for folder in self.folders.values()}
        places = [place for place in message.places if place.folder_id in by_id] or list(message.places)
        shown = min(places, key=lambda p: _rank(by_id.get(p.folder_id), p))
        return replace(
            message,
            folder_id=shown.folder_id,
            unread="s" not in shown.flags,
            starred="f" in shown.flags,
        )

    def expiry(self, message: Message) -> int:
        """Return when a message leaves by itself, as it lies now."""
        return latest(
            self.window.expiry(message.date, [place.folder_id for place in message.places]), self.until
        )

    def anchors_expire(self) -> int:
        """Return the life's end of anchors written now: no earlier than that of messages that bear them."""
        return latest(self.window.longest(self.now()), self.until)


def _rank(folder: Folder | None, place: Place) -> tuple[int, str, str]:
    rank, id = preference(folder) if folder else (99, place.folder_id)
    return rank, id, place.remote_id
