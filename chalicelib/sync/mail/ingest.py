"""Where one account's mail is put, and how it gets in, batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType

from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import RawRef
from chalicelib.domain.remote import Flags, RemoteId, RemoteMessage
from chalicelib.formats.mime.mime import parse
from chalicelib.store.ports import Blobs
from chalicelib.sync.mail.context import Arrival, MailContext
from chalicelib.sync.mail.reading import message_of
from chalicelib.sync.mail.threads import changes, thread_messages
from chalicelib.sync.mail.unit_of_work import Draft

Labels = Mapping[RemoteId, tuple[str, ...]]
"""Ids of collections by message."""


@dataclass(frozen=True, slots=True)
class Absorbed:
    """The ids of the messages that arrived, and how many copies were not here before."""

    ids: tuple[str, ...]
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(MailContext):
    """Where one account's mail is put; `blobs` keeps the raw mails."""

    blobs: Blobs

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
        thread_messages(draft, ids)
        self.mail.save(self.account.id, changes(draft))
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
        self.mail.save(self.account.id, changes(draft))

    def remove(self, folder: Folder, removed: frozenset[RemoteId]) -> int:
        """Forget places, return how many; a message left without any is deleted. Raises Stale."""
        draft = Draft(shelf=self, folder=folder)
        draft.load([], dict.fromkeys(removed, Flags("")))
        for remote_id in removed:
            draft.displace(remote_id)
        self.mail.save(self.account.id, changes(draft))
        return len(draft.moved_locations)

    def let_go(self, folder: Folder, ids: Iterable[str]) -> None:
        """Forget copies without a name in a folder: they are not there. Raises Stale."""
        draft = Draft(shelf=self, folder=folder)
        draft.stored = self.mail.messages(self.account.id, ids)
        draft.wanted = dict(draft.stored)
        for id in draft.stored:
            draft.let_go(id)
        self.mail.save(self.account.id, changes(draft))

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
