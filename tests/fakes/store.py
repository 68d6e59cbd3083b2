"""The store's ports in memory, with a counter of writes and a way to fail at the nth one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.accounts.trouble import Trouble
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.filing import Filing
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import File, Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.remote import Cursor, Flags, RemoteId
from chalicelib.domain.sync.progress import Tally
from chalicelib.store.values import Lease, LeaseLost, Location, MailChanges, Revised, Stale, loses


class Crash(BaseException):
    """The worker dies here."""


@dataclass
class Fuse:
    """Counts effects; blows before or after one of them: at the point numbered `at` (from 1)."""

    at: int | None = None
    count: int = 0
    points: list[str] = field(default_factory=list)

    @contextmanager
    def around(self, effect: str) -> Iterator[None]:
        """Name an effect."""
        self._pass(f"before {effect}")
        self.count += 1
        yield
        self._pass(f"after {effect}")

    def _pass(self, point: str) -> None:
        self.points.append(point)
        if self.at is not None and len(self.points) >= self.at:
            self.at = None
            raise Crash(point)


@dataclass
class MemoryMail:
    """Mail port on dictionaries; one account per instance is enough for tests."""

    fuse: Fuse = field(default_factory=Fuse)
    all_messages: dict[str, Message] = field(default_factory=dict)
    all_threads: dict[str, Thread] = field(default_factory=dict)
    all_anchors: dict[str, Anchor] = field(default_factory=dict)
    all_locations: dict[tuple[str, RemoteId], Location] = field(default_factory=dict)
    all_bodies: dict[str, str] = field(default_factory=dict)
    all_folders: dict[str, Folder] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    rev: int = 0

    def folders(self, account_id: str) -> list[Folder]:
        return sorted(self.all_folders.values(), key=lambda f: (f.created_at, f.id))

    def save_folders(self, account_id: str, changes: Sequence[Revised[Folder]]) -> None:
        for change in changes:
            one = change.new or change.old
            self._put(one.kind if one else "", self.all_folders, change)

    def messages(self, account_id: str, ids: Iterable[str]) -> dict[str, Message]:
        return {id: self.all_messages[id] for id in ids if id in self.all_messages}

    def threads(self, account_id: str, ids: Iterable[str]) -> dict[str, Thread]:
        return {id: self.all_threads[id] for id in ids if id in self.all_threads}

    def anchors(self, account_id: str, keys: Iterable[str]) -> dict[str, Anchor]:
        return {key: self.all_anchors[key] for key in keys if key in self.all_anchors}

    def locations(
        self, account_id: str, folder_id: str, remote_ids: Iterable[RemoteId]
    ) -> dict[RemoteId, Location]:
        keys = ((folder_id, id) for id in remote_ids)
        return {key[1]: self.all_locations[key] for key in keys if key in self.all_locations}

    def known(self, account_id: str, folder_id: str) -> dict[RemoteId, Flags]:
        return {id: place.flags for (folder, id), place in self.all_locations.items() if folder == folder_id}

    def bodies(self, account_id: str, ids: Iterable[str]) -> dict[str, str]:
        return {id: self.all_bodies[id] for id in ids if id in self.all_bodies}

    def save(self, account_id: str, changes: MailChanges) -> None:
        self.all_bodies.update(changes.bodies)
        for key, found in changes.new_locations.items():
            with self.fuse.around("location create"):
                self.all_locations[key] = found
        for message in (change for change in changes.messages if change.new):
            self._put("message", self.all_messages, message)
        for thread in sorted(changes.threads, key=loses):
            self._put("thread", self.all_threads, thread)
        for message in (change for change in changes.messages if not change.new):
            self._put("message", self.all_messages, message)
        for anchor in changes.anchors:
            with self.fuse.around("anchor put"):
                self.all_anchors[anchor.key] = anchor
        for key, location in changes.locations.items():
            with self.fuse.around("location change" if location else "location delete"):
                if location is None:
                    self.all_locations.pop(key, None)
                else:
                    self.all_locations[key] = location

    def newest_messages(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Message]:
        for message in sorted(self.all_messages.values(), key=lambda m: (m.date, m.id), reverse=True):
            if (before is None or message.date <= before) and (after is None or message.date > after):
                yield message

    def newest_threads(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Thread]:
        for thread in sorted(self.all_threads.values(), key=lambda t: (t.last_at, t.id), reverse=True):
            if (before is None or thread.last_at < before) and (after is None or thread.last_at > after):
                yield thread

    def order(self) -> list[Message]:
        """Return the messages in the order they were first written."""
        born = [c.id for c in self.changes if c.kind == "message" and c.event is Operation.CREATE]
        return [self.all_messages[id] for id in born if id in self.all_messages]

    def file(self, account_id: str, file_id: str) -> tuple[File, str] | None:
        pairs = ((file, message.id) for message in self.all_messages.values() for file in message.files)
        return next((pair for pair in pairs if pair[0].id == file_id), None)

    def _put(self, kind: str, table: dict[str, Any], change: Revised[Any]) -> None:
        if change.old == change.new:
            return
        item: Any = change.new or change.old
        id = item.id
        stored = table.get(id)
        event = Operation.DELETE if change.new is None else Operation.MODIFY if stored else Operation.CREATE
        with self.fuse.around(f"{kind} {event.value}"):
            if (stored.rev if stored else 0) != (change.old.rev if change.old else 0):
                raise Stale
            self.rev += 1
            self.changes.append(Change(account_id="a", kind=kind, id=id, event=event, rev=self.rev))
            if change.new is None:
                del table[id]
            else:
                table[id] = replace(change.new, rev=self.rev)


@dataclass
class MemoryCheckpoints:
    """Checkpoints port; a lease is given to whoever asks last, unless a `rival` has it. A Crash keeps it.

    `before_lease` is called before one is given: what another worker does just then.
    """

    fuse: Fuse = field(default_factory=Fuse)
    saved: dict[str, Cursor] = field(default_factory=dict)
    saved_tallies: dict[str, Tally] = field(default_factory=dict)
    epoch: int = 0
    rival: bool = False
    held: bool = False
    died: int = 0
    before_lease: Callable[[], None] = lambda: None

    def cursors(self, account_id: str) -> dict[str, Cursor]:
        return dict(self.saved)

    def acquire(self, account_id: str, seconds: float) -> Lease | None:
        self.before_lease()
        if self.rival:
            return None
        with self.fuse.around("lease acquire"):
            self.epoch += 1
            self.died += self.held
            self.held = True
        return Lease(account_id, self.epoch, seconds, self.died)

    def tallies(self, account_id: str) -> dict[str, Tally]:
        return dict(self.saved_tallies)

    def save(self, lease: Lease, folder_id: str, cursor: Cursor | None, tally: Tally | None = None) -> None:
        with self.fuse.around("cursor save" if cursor else "cursor forget"):
            if lease.epoch != self.epoch:
                raise LeaseLost
            self.saved_tallies.pop(folder_id, None)
            if tally:
                self.saved_tallies[folder_id] = tally
            if cursor is None:
                self.saved.pop(folder_id, None)
            else:
                self.saved[folder_id] = cursor

    def release(self, lease: Lease) -> None:
        if lease.epoch == self.epoch and not isinstance(sys.exc_info()[1], Crash):
            self.held, self.died = False, 0


@dataclass
class MemoryFilings:
    """The port Filings."""

    fuse: Fuse = field(default_factory=Fuse)
    rows: dict[tuple[str, str], Filing] = field(default_factory=dict)

    def get(self, account_id: str, name: str) -> Filing | None:
        return self.rows.get((account_id, name))

    def put(self, account_id: str, name: str, filing: Filing) -> None:
        with self.fuse.around("filing put"):
            self.rows[account_id, name] = filing


@dataclass
class MemoryBlobs:
    """Blobs port."""

    fuse: Fuse = field(default_factory=Fuse)
    objects: dict[str, bytes] = field(default_factory=dict)

    def put(self, key: str, data: bytes) -> None:
        with self.fuse.around("blob put"):
            self.objects[key] = data

    def get(self, key: str, offset: int, length: int) -> bytes | None:
        return self.objects[key][offset : offset + length] if key in self.objects else None


@dataclass
class MemoryAccounts:
    """The calls of the Accounts port that syncing makes."""

    account: Account
    fuse: Fuse = field(default_factory=Fuse)

    def get(self, account_id: str) -> Account | None:
        return self.account

    def transition(self, account: Account, state: SyncState) -> Account:
        if state is not account.state:
            with self.fuse.around("account transition"):
                self.account = replace(account, state=state)
        return self.account

    def note_trouble(self, account: Account, trouble: Trouble | None) -> Account:
        if trouble != self.account.trouble:
            with self.fuse.around("trouble put"):
                self.account = replace(self.account, trouble=trouble)
        return self.account

    def note_frozen(self, account: Account, frozen: Sequence[FrozenRemoval]) -> Account:
        if tuple(frozen) != self.account.frozen:
            with self.fuse.around("frozen put"):
                self.account = replace(self.account, frozen=tuple(frozen))
        return self.account

    def settings(self, account_id: str) -> MailSettings:
        raise LookupError(account_id)
