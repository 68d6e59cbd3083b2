"""The engine on a server and a store in memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.mail.message import Message
from chalicelib.sync.core.stores import Safety, SyncStores
from chalicelib.sync.engine.run import Outcome, sync_account
from chalicelib.sync.mail.loose import LOOSE, is_loose
from chalicelib.sync.safety.comparison import RETRY_SECONDS, repair
from tests.fakes.provider import MemoryProvider
from tests.fakes.quarantine import MemoryQuarantine
from tests.fakes.store import (
    Crash,
    Fuse,
    MemoryAccounts,
    MemoryBlobs,
    MemoryCheckpoints,
    MemoryFilings,
    MemoryMail,
)

ACCOUNT = Account(
    id="a",
    application_id="app",
    email_address="mira@kestrel.example",
    name="Mira",
    provider="imap",
    state=SyncState.INITIALIZING,
    linked_at=0,
    scopes="email",
)


@dataclass
class World:
    """A server, a store and what connects them."""

    server: MemoryProvider = field(default_factory=MemoryProvider)
    fuse: Fuse = field(default_factory=Fuse)
    history_days: int = 0
    now: float = 1_700_000_000.0
    safety: Safety | None = None
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mail = MemoryMail(fuse=self.fuse)
        self.blobs = MemoryBlobs(fuse=self.fuse)
        self.accounts = MemoryAccounts(ACCOUNT, fuse=self.fuse)
        self.checkpoints = MemoryCheckpoints(fuse=self.fuse)
        self.quarantine = MemoryQuarantine(fuse=self.fuse)
        self.filings = MemoryFilings(fuse=self.fuse)

    def sync(self, provider: Any = None, deadline: Deadline | None = None) -> Outcome:
        return sync_account(self.workspace(provider), self.accounts.account, deadline or Deadline.after(60))

    def sync_with_a_crash(self, at: int, provider: Any = None) -> None:
        """Sync until the worker dies at the so-manyth point from here, or to the end if there are fewer."""
        self.fuse.at = len(self.fuse.points) + at
        with contextlib.suppress(Crash):
            self.sync(provider)
        self.fuse.at = None

    def let_in_what_was_set_aside(self) -> None:
        """Try again, a day later, what workers have died of."""
        if self.quarantine.entries(ACCOUNT.id):
            self.now += RETRY_SECONDS + 1
            repair(self.workspace(), self.accounts.account, Deadline.after(60))
            assert self.quarantine.entries(ACCOUNT.id) == []

    def workspace(self, provider: Any = None) -> SyncStores:
        return SyncStores(
            mail=self.mail,
            checkpoints=self.checkpoints,
            blobs=self.blobs,
            accounts=self.accounts,  # type: ignore[arg-type]  # the two calls the engine makes
            provider=lambda account: provider or self.server,
            history_days=self.history_days,
            now=lambda: self.now,
            sleep=self.pauses.append,
            quarantine=self.quarantine,
            filings=self.filings,
            safety=self.safety,
        )

    def _tells_all(self, message: Message) -> bool:
        body = self.mail.all_bodies.get(message.id)
        return body is not None and bool(message.snippet) == bool(body)

    def flags_by_place(self) -> dict[tuple[str, str], str]:
        """What the store says of every place, by collection and remote id."""
        names = {folder.id: folder.collection for folder in self.mail.all_folders.values()}
        return {
            (names[f], id): place.flags for (f, id), place in self.mail.all_locations.items() if f != LOOSE
        }

    def check(self) -> None:
        """The store says what the server says, and its parts agree with each other."""
        assert self.flags_by_place() == self.server.everything()
        in_threads = {id: t.id for t in self.mail.all_threads.values() for id in t.entries}
        assert in_threads == {m.id: m.thread_id for m in self.mail.all_messages.values()}
        at = [(p, m.id) for m in self.mail.all_messages.values() for p in m.places]
        places = {(p.folder_id, p.remote_id): id for p, id in at if p.remote_id}
        located = {key: place.message_id for key, place in self.mail.all_locations.items()}
        assert places == {key: id for key, id in located.items() if key[0] != LOOSE}
        loose = {m.id for m in self.mail.all_messages.values() if is_loose(m)}
        assert loose <= {id for folder_id, id in located if folder_id == LOOSE}, "nobody would miss it"
        whole = {m.id for m in self.mail.all_messages.values() if m.raw and self._tells_all(m)}
        assert whole == set(self.mail.all_messages), "only a beginning is here"


def account(id: str, host: str = "mail.example", application: str = "app") -> Account:
    return replace(ACCOUNT, id=id, application_id=application, host=host)
