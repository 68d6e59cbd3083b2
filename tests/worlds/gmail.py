"""The engine on a Gmail of our own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.traits import GMAIL
from chalicelib.domain.jobs import ApplyEdits
from chalicelib.domain.mail.labelling import LabelChange
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.providers.imap.gmail.gmail import GmailProvider, connect
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.engine.run import Outcome, sync_account
from chalicelib.sync.requests import edits
from tests.fakes.gmail_account import HERE, settings_of
from tests.fakes.gmail_server import GmailServer
from tests.fakes.gmail_store import GmailStore
from tests.fakes.services import MemoryQueues
from tests.fakes.store import Fuse, MemoryAccounts, MemoryBlobs, MemoryCheckpoints, MemoryMail
from tests.worlds.sync import ACCOUNT as FOLDER_ACCOUNT

ACCOUNT = replace(FOLDER_ACCOUNT, provider=GMAIL)


@dataclass
class World:
    """A Gmail account and what we hold of it."""

    server: GmailServer
    fuse: Fuse = field(default_factory=Fuse)
    now: float = 1_700_000_000.0
    mail: MemoryMail = field(init=False)
    queues: MemoryQueues = field(default_factory=MemoryQueues)

    def __post_init__(self) -> None:
        self.mail = MemoryMail(fuse=self.fuse)
        self.blobs = MemoryBlobs(fuse=self.fuse)
        self.accounts = MemoryAccounts(ACCOUNT, fuse=self.fuse)
        self.checkpoints = MemoryCheckpoints(fuse=self.fuse)

    @property
    def store(self) -> GmailStore:
        return self.server.store("mira")

    def provider(self) -> GmailProvider:
        return connect(settings_of(self.server), HERE)

    def work(self, provider: Any = None) -> SyncStores:
        return SyncStores(
            mail=self.mail,
            checkpoints=self.checkpoints,
            blobs=self.blobs,
            accounts=self.accounts,  # type: ignore[arg-type]  # the two calls the engine makes
            provider=lambda account: provider or self.provider(),
            now=lambda: self.now,
        )

    def sync(self, provider: Any = None) -> Outcome:
        return sync_account(self.work(provider), self.accounts.account, Deadline.after(60))

    def carry_out(self) -> None:
        """Do on the server what the API has queued."""
        provider = self.provider()
        while self.queues.sent:
            edits.apply(provider, self.queues.take(ApplyEdits).edits)
        provider.close()

    def labels(self, message: Message | Thread) -> set[str]:
        """Return the display names of labels."""
        return {self.mail.all_folders[id].display_name for id in message.folder_ids}

    def only(self) -> Message:
        [message] = self.mail.all_messages.values()
        return message

    def ids(self, *names: str) -> frozenset[str]:
        return frozenset(f.id for f in self.mail.all_folders.values() if f.display_name in names)

    def relabel(self, add: frozenset[str] = frozenset(), remove: frozenset[str] = frozenset()) -> Message:
        """Change the labels of the only message as the API does."""
        by_role = {f.role: f.id for f in self.mail.all_folders.values() if f.role}
        wanted = edits.Wanted(labels=LabelChange(add=add, remove=remove, by_role=by_role))
        [message] = edits.update(self.mail, self.queues, "a", [self.only()], wanted)
        return message

    def check(self) -> None:
        """The store says what the server says, and its parts agree with each other."""
        names = {"\\Inbox": "Inbox", "\\Sent": "Sent Mail", "\\Draft": "Drafts", "\\Important": "Important"}
        places = {"all": "All Mail", "spam": "Spam", "trash": "Trash"}
        here = {m.identity: self.labels(m) for m in self.mail.all_messages.values()}
        there = {
            str(one.msgid): {names.get(label, label) for label in one.labels} | {places[one.place]}
            for one in self.store.mails
        }
        assert here == there
        in_threads = {id: t.id for t in self.mail.all_threads.values() for id in t.entries}
        assert in_threads == {m.id: m.thread_id for m in self.mail.all_messages.values()}
        entries = {id: e.folder_ids for t in self.mail.all_threads.values() for id, e in t.entries.items()}
        assert entries == {m.id: tuple(m.folder_ids) for m in self.mail.all_messages.values()}
        at = {(p.folder_id, p.remote_id): m.id for m in self.mail.all_messages.values() for p in m.places}
        assert at == {key: place.message_id for key, place in self.mail.all_locations.items()}
