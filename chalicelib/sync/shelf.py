"""Where one account's mail is put, and how it gets in, batch by batch."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import MappingProxyType

from chalicelib.clock import Clock
from chalicelib.domain.account import Account
from chalicelib.domain.change import Flags, RemoteId, RemoteMessage
from chalicelib.domain.folder import Folder, preference
from chalicelib.domain.message import Message, Place, RawRef
from chalicelib.domain.window import PAST, Window, latest
from chalicelib.formats.mime import ParsedMail, parse
from chalicelib.store.ports import Blobs, Mail
from chalicelib.sync.draft import Draft
from chalicelib.sync.reading import message_of

Labels = Mapping[RemoteId, tuple[str, ...]]
"""Ids of collections by message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message on its way in: what the server gave and what it looks like before we know our own.

    `raw` is None while only its beginning is here.
    """

    remote: RemoteMessage
    mail: ParsedMail
    message: Message
    raw: RawRef | None


@dataclass(frozen=True, slots=True)
class Absorbed:
    """The ids of the messages that arrived, and how many copies were not here before."""

    ids: tuple[str, ...]
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where one account's mail is put; `folders` is by collection.

    Mail stays as long as `window` (a fixed one) says, and until `until` (Unix seconds) at least.
    """

    mail: Mail
    blobs: Blobs
    account: Account
    folders: Mapping[str, Folder]
    now: Clock = time.time
    window: Window = field(default_factory=Window)
    until: int = PAST

    def folder(self, collection_id: str) -> Folder:
        """Return the folder of a collection that was listed."""
        return self.folders[collection_id]

    def absorb(
        self,
        folder: Folder,
        arrivals: Sequence[Arrival],
        flags: Mapping[RemoteId, Flags],
        labels: Labels = MappingProxyType({}),
    ) -> Absorbed:
        """Store arrivals and changes of flags and labels. Raises Stale."""
        if not arrivals and not flags:
            return Absorbed((), 0)
        draft = Draft(shelf=self, folder=folder)
        draft.load(arrivals, flags)
        ids = [draft.place(arrival) for arrival in arrivals]
        for remote_id, letters in flags.items():
            draft.reflag(remote_id, letters)
        for remote_id, names in labels.items():
            draft.relabel(remote_id, names)
        draft.thread(ids)
        self.mail.save(self.account.id, draft.changes())
        return Absorbed(tuple(ids), len(draft.new_locations))

    def restate(
        self,
        folder: Folder,
        flags: Mapping[RemoteId, Flags],
        settled: int,
        labels: Labels = MappingProxyType({}),
    ) -> None:
        """Let copies be what the server says they are, except where we wrote after `settled`.

        The server may still be at work on those. Raises Stale.
        """
        draft = Draft(shelf=self, folder=folder)
        draft.load([], flags)
        for remote_id, letters in flags.items():
            if draft.written(remote_id) <= settled:
                draft.restore(remote_id, letters)
                draft.reflag(remote_id, letters)
                if remote_id in labels:
                    draft.relabel(remote_id, labels[remote_id])
        self.mail.save(self.account.id, draft.changes())

    def remove(self, folder: Folder, removed: frozenset[RemoteId]) -> int:
        """Forget places, return how many; a message left without any is deleted. Raises Stale."""
        draft = Draft(shelf=self, folder=folder)
        draft.load([], dict.fromkeys(removed, Flags("")))
        for remote_id in removed:
            draft.displace(remote_id)
        self.mail.save(self.account.id, draft.changes())
        return len(draft.moved_locations)

    def let_go(self, folder: Folder, ids: Iterable[str]) -> None:
        """Forget copies without a name in a folder: they are not there. Raises Stale."""
        draft = Draft(shelf=self, folder=folder)
        draft.stored = self.mail.messages(self.account.id, ids)
        draft.wanted = dict(draft.stored)
        for id in draft.stored:
            draft.let_go(id)
        self.mail.save(self.account.id, draft.changes())

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

    def arrivals(self, arrived: Sequence[RemoteMessage]) -> list[Arrival]:
        """Parse messages and keep their raw bytes."""
        kept, arrivals = self._keep([remote.raw for remote in arrived if remote.whole]), []
        for remote in arrived:
            parsed = parse(remote.raw)
            message = message_of(self.account.id, remote, parsed)
            raw = next(kept) if remote.whole else None
            arrivals.append(Arrival(remote=remote, mail=parsed, message=message, raw=raw))
        return arrivals

    def _keep(self, raws: Sequence[bytes]) -> Iterator[RawRef]:
        """Keep raw mails in one object: a PUT per message would be the dearest part of a sync."""
        data = b"".join(raws)
        key = f"raw/{self.account.id}/{hashlib.sha256(data).hexdigest()}"
        if raws:
            self.blobs.put(key, data)
        offsets = accumulate(map(len, raws), initial=0)
        stored_at = int(self.now())
        return (RawRef(key, offset, len(raw), stored_at) for raw, offset in zip(raws, offsets, strict=False))


def _rank(folder: Folder | None, place: Place) -> tuple[int, str, str]:
    rank, id = preference(folder) if folder else (99, place.folder_id)
    return rank, id, place.remote_id
