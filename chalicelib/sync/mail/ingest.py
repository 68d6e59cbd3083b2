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
from chalicelib.store.ports.mail import Blobs
from chalicelib.sync.mail.context import Arrival, MailContext
from chalicelib.sync.mail.reading import message_of
from chalicelib.sync.mail.threads import changes, thread_messages
from chalicelib.sync.mail.unit_of_work import UnitOfWork

Labels = Mapping[RemoteId, tuple[str, ...]]
"""Ids of collections by message."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The ids of the messages that arrived, and how many copies were not here before."""

    ids: tuple[str, ...]
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest(MailContext):
    """Where one account's mail is put; `blobs` keeps the raw mails."""

    blobs: Blobs

    def absorb(
        self,
        folder: Folder,
        arrivals: Sequence[Arrival],
        flags: Mapping[RemoteId, Flags],
        labels: Labels = MappingProxyType({}),
    ) -> Stored:
        """Store arrivals and changes of flags and labels. Raises Stale."""
        if not arrivals and not flags:
            return Stored((), 0)
        unit = UnitOfWork(context=self, folder=folder)
        unit.load(arrivals, flags)
        ids = [unit.place(arrival) for arrival in arrivals]
        for remote_id, letters in flags.items():
            unit.reflag(remote_id, letters)
        for remote_id, names in labels.items():
            unit.relabel(remote_id, names)
        thread_messages(unit, ids)
        self.mail.save(self.account.id, changes(unit))
        return Stored(tuple(ids), len(unit.new_locations))

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
        unit = UnitOfWork(context=self, folder=folder)
        unit.load([], flags)
        for remote_id, letters in flags.items():
            if unit.written(remote_id) <= settled:
                unit.restore(remote_id, letters)
                unit.reflag(remote_id, letters)
                if remote_id in labels:
                    unit.relabel(remote_id, labels[remote_id])
        self.mail.save(self.account.id, changes(unit))

    def remove(self, folder: Folder, removed: frozenset[RemoteId]) -> int:
        """Forget places, return how many; a message left without any is deleted. Raises Stale."""
        unit = UnitOfWork(context=self, folder=folder)
        unit.load([], dict.fromkeys(removed, Flags("")))
        for remote_id in removed:
            unit.displace(remote_id)
        self.mail.save(self.account.id, changes(unit))
        return len(unit.moved_locations)

    def let_go(self, folder: Folder, ids: Iterable[str]) -> None:
        """Forget copies without a name in a folder: they are not there. Raises Stale."""
        unit = UnitOfWork(context=self, folder=folder)
        unit.stored = self.mail.messages(self.account.id, ids)
        unit.wanted = dict(unit.stored)
        for id in unit.stored:
            unit.let_go(id)
        self.mail.save(self.account.id, changes(unit))

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
