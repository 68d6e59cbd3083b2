"""A watcher over a poll list in memory, and a way to see it work."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.jobs import SyncAccount
from chalicelib.errors import NotFound
from chalicelib.services import use
from chalicelib.store.values import Poll
from infra.watcher.limits import Limits
from infra.watcher.service import Watcher
from tests.fakes.services import MemoryAccounts, MemoryServices

HASTY = Limits(
    list_seconds=0.02,
    turn_seconds=60,
    answer_seconds=10,
    shortest_poll_seconds=0.02,
    longest_poll_seconds=0.05,
    quiet_seconds=0.05,
    logins_per_second=2_000,
    logins_per_second_and_host=2_000,
    shortest_wait=0.02,
    longest_wait=0.1,
    longest_host_wait=0.1,
)


@dataclass
class Mailboxes(MemoryAccounts):
    """Accounts whose user name is their id; `servers` says where each one's mail is."""

    servers: dict[str, Server] = field(default_factory=dict)
    tls_required: bool = False

    def settings(self, account_id: str) -> MailSettings:
        if account_id not in self.servers:
            raise NotFound(f"No account {account_id}.")
        server = self.servers[account_id]
        return MailSettings(
            imap=server, smtp=server, tls_required=self.tls_required, tls_verified=self.tls_required
        )


class Scene(MemoryServices):
    """What the watcher sees of the system."""

    def __init__(self) -> None:
        self.mailboxes = Mailboxes()
        super().__init__(accounts=self.mailboxes)

    def connect(self, id: str, port: int, host: str = "127.0.0.1", password: str = "secret") -> None:
        """Connect an account, or renew its password."""
        self.mailboxes.servers[id] = Server(host=host, port=port, username=id, password=password)
        seen = self.polls.rows[id].active_at if id in self.polls.rows else 0
        self.polls.put(Poll(account_id=id, active_at=seen + 1))

    def asked(self) -> Counter[str]:
        """Count the syncs asked for by account."""
        return Counter(job.account_id for job in self.queues.of(SyncAccount))


@asynccontextmanager
async def watching(
    scene: Scene, limits: Limits = HASTY, capacity: int | None = None
) -> AsyncIterator[Watcher]:
    """Run a watcher for a while."""
    with use(scene):  # type: ignore[arg-type]
        watcher = Watcher(limits, capacity)
        task = asyncio.create_task(watcher.run())
        try:
            yield watcher
        finally:
            assert not task.done(), task
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def eventually(probe: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a probe is true."""
    end = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)
