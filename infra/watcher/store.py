"""What the watcher asks of the rest of the system. Everything here blocks, so it runs in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from chalicelib.domain.jobs import SyncAccount
from chalicelib.providers.imap.protocol.session import Session, open_session
from chalicelib.services import services

T = TypeVar("T")

STORE_THREADS = 4
LOGIN_THREADS = 256  # far more than log in at once: a server that drips keeps its thread


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where an account's mail is: host:port, and a mark that changes with anything one logs in with."""

    host: str
    mark: int


class Login:
    """A login under way in a thread; it cannot be stopped, only abandoned."""

    def __init__(self, future: Future[Session]) -> None:
        self._future = future
        self.ended = asyncio.wrap_future(future)

    def abandon(self) -> asyncio.Future[Session]:
        """Hang up as soon as the login has ended; return what tells when."""
        self._future.add_done_callback(_hang_up)
        self.ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return self.ended


class Store:
    """Accounts, the queue `sync`, and logins; nothing here keeps the event loop waiting."""

    def __init__(self) -> None:
        self._aws = ThreadPoolExecutor(STORE_THREADS, "watcher-store")
        # Its own pool: a mail server that hangs must not keep a change from the queue.
        self._logins = ThreadPoolExecutor(LOGIN_THREADS, "watcher-login")
        self._tenants: dict[str, str] = {}

    async def listed(self) -> dict[str, int]:
        """Return the accounts to be watched and when each was active last."""
        polls = await self._run(lambda: list(services().polls.all()))
        self._tenants = {poll.account_id: poll.application_id or poll.account_id for poll in polls}
        return {poll.account_id: poll.active_at for poll in polls}

    async def mailbox(self, account_id: str) -> Mailbox:
        """Return where an account's mail is. Raises NotFound."""
        return await self._run(lambda: _mailbox(account_id))

    async def enqueue(self, account_id: str) -> None:
        """Ask for a sync of an account."""
        job, tenant = SyncAccount(account_id=account_id), self._tenants.get(account_id, account_id)
        await self._run(lambda: services().queues.send([job], tenant))

    def log_in(self, account_id: str) -> Login:
        """Read the credentials and log in. Ends with NotFound or as `open_session`."""
        return Login(self._logins.submit(_log_in, account_id))

    def close(self) -> None:
        """Begin nothing new; wait for nobody."""
        for pool in (self._aws, self._logins):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._aws, call)


def _mailbox(account_id: str) -> Mailbox:
    settings = services().accounts.settings(account_id)
    server = settings.imap
    return Mailbox(
        f"{server.host.lower()}:{server.port}", hash((server, settings.tls_required, settings.tls_verified))
    )


def _log_in(account_id: str) -> Session:
    every = services()
    return open_session(every.accounts.settings(account_id), reach=every.reach)


def _hang_up(login: Future[Session]) -> None:
    if not login.cancelled() and not login.exception():
        login.result().close()
