"""The engine between a real mail server, reached by any way, and a store in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.log.delta import Operation
from chalicelib.errors import ProviderError
from chalicelib.providers.imap.adapter import ImapProvider
from chalicelib.providers.imap.fetch.mailbox import remote_id
from chalicelib.providers.imap.protocol.compress import is_far
from chalicelib.providers.imap.protocol.session import Compress, open_session
from chalicelib.providers.network.egress import EgressPolicy
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.engine.run import Outcome, sync_account
from infra.demo.dovecot import PASSWORD, Dovecot, installed
from infra.demo.visitor import login
from tests.worlds.sync import World

HERE = EgressPolicy(local=True)
PLAIN = "ssl = no"
"""For a server whose conversation a proxy must be able to read."""
DEFLATE = "protocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}"

_LETTERS = {b"\\Answered": "a", b"\\Draft": "d", b"\\Flagged": "f", b"\\Seen": "s"}


@contextmanager
def dovecot(extra: str = PLAIN) -> Iterator[Dovecot]:
    """Run a Dovecot, or skip the test where there is none."""
    if not installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    server = Dovecot(extra=extra).start()
    try:
        yield server
    finally:
        server.stop()


def settings_of(server: Dovecot, user: str, port: int = 0) -> MailSettings:
    """Return how to log in, through another port if given."""
    imap = Server(host="127.0.0.1", port=port or server.imap, username=user, password=PASSWORD)
    return MailSettings(imap=imap, smtp=imap, tls_required=False, tls_verified=False)


@dataclass
class Mailbox:
    """What the server says of one user's mail when another program asks."""

    server: Dovecot
    user: str

    def everything(self) -> dict[tuple[str, str], str]:
        """Return the flags of every message by folder and remote id."""
        found: dict[tuple[str, str], str] = {}
        with login(self.server, self.user) as client:
            client.folder_encode = False
            for attributes, _, name in client.list_folders():
                if not {b"\\Noselect", b"\\NonExistent"} & set(attributes):
                    found |= _folder(client, name)
        return found

    def folders(self) -> set[str]:
        """Return the names of the folders that hold messages, as the server writes them."""
        with login(self.server, self.user) as client:
            client.folder_encode = False
            listed = client.list_folders()
        return {name.decode("latin-1") for flags, _, name in listed if b"\\Noselect" not in flags}


def _folder(client: Any, name: bytes) -> dict[tuple[str, str], str]:
    opened = client.select_folder(name, readonly=True)
    rows = client.fetch(client.search(), ["FLAGS"]) if opened[b"EXISTS"] else {}
    return {
        (name.decode("latin-1"), remote_id(opened[b"UIDVALIDITY"], uid)): "".join(
            sorted(_LETTERS[flag] for flag in row[b"FLAGS"] if flag in _LETTERS)
        )
        for uid, row in rows.items()
    }


@dataclass
class Mailroom:
    """One account: `port` leads to its server; a server `without` some capabilities may be played."""

    server: Dovecot
    user: str
    port: int = 0
    without: frozenset[str] = frozenset()
    compress: Compress = is_far
    errors: list[ProviderError] = field(default_factory=list)
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.mailbox = Mailbox(self.server, self.user)
        self.world = World(server=self.mailbox)  # type: ignore[arg-type]  # `everything` is all it needs

    def connect(self) -> ImapProvider:
        """Log in as a sync does."""
        settings = settings_of(self.server, self.user, self.port)
        session = open_session(settings, reach=HERE, compress=self.compress)
        session.capabilities -= self.without
        return ImapProvider(session)

    def sync(self) -> Outcome:
        """Sync once, on as many connections as it takes. Raises ProviderError."""
        return sync_account(self.workspace(), self.world.accounts.account, Deadline.after(60))

    def workspace(self) -> SyncStores:
        """Return what the engine works with; each provider is a connection of its own."""
        return replace(self.world.workspace(), provider=lambda account: self.connect(), sleep=self.sleep)

    def try_to_sync(self) -> Outcome | None:
        """Sync once; None, and one more of `errors`, if the mail server failed."""
        try:
            return self.sync()
        except ProviderError as error:
            self.errors.append(error)
            return None

    def settle(self) -> None:
        """Sync until there is nothing to do."""
        for _ in range(10):
            if self.sync() is Outcome.QUIET:
                return
        raise AssertionError("the account does not come to rest")

    def check(self) -> None:
        """Store and server are equal, and the changes told add up to what is stored."""
        world = self.world
        assert {folder.collection for folder in world.mail.all_folders.values()} == self.mailbox.folders()
        world.check()
        for kind, stored in (("message", world.mail.all_messages), ("thread", world.mail.all_threads)):
            assert self.replayed(kind) == set(stored)

    def replayed(self, kind: str) -> set[str]:
        """Return what a reader of the changes holds; none may be created twice or change unborn."""
        alive: set[str] = set()
        for change in self.world.mail.changes:
            if change.kind == kind:
                assert (change.id in alive) == (change.event is not Operation.CREATE), (
                    f"{kind} doubled or lost"
                )
                (alive.discard if change.event is Operation.DELETE else alive.add)(change.id)
        return alive
