"""What the watcher asks of the rest of the system. Everything here blocks, so it runs in threads."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from chalicelib.providers.imap.session import Session, open_session, tls_context
from chalicelib.services import services
from infra.watcher.limits import Limits

T = TypeVar("T")

_STORE_THREADS = 4


class Store:
    """Accounts, the queue `sync`, and logins; each method is a coroutine."""

    def __init__(self, limits: Limits) -> None:
        self._aws = ThreadPoolExecutor(_STORE_THREADS, "watcher-store")
        # Of its own size and its own: a mail server that hangs must not keep a change from the queue.
        self._logins = ThreadPoolExecutor(limits.logins_at_once, "watcher-login")

    async def listed(self) -> list[str]:
        """Return the accounts to be watched, in a stable order."""
        return await self._run(lambda: sorted(poll.account_id for poll in services().polls.all()))

    async def host(self, account_id: str) -> str:
        """Return the mail server of an account as host:port. Raises NotFound."""
        return await self._run(lambda: _host(account_id))

    async def rev(self, account_id: str) -> int | None:
        """Return the revision of an account, None if it is gone."""
        return await self._run(lambda: _rev(account_id))

    async def enqueue(self, account_id: str) -> None:
        """Ask for a sync of an account."""
        message = {"account_id": account_id}
        await self._run(lambda: services().queues.send("sync", [message], account_id))

    async def log_in(self, account_id: str) -> Session:
        """Read the credentials and log in. Raises NotFound, AuthRejected, Throttled, ProviderError."""
        future = self._logins.submit(_log_in, account_id)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(_hang_up)  # a login under way cannot be stopped
            raise

    def close(self) -> None:
        """Begin nothing new; wait for nobody."""
        for pool in (self._aws, self._logins):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._aws, call)


def _host(account_id: str) -> str:
    server = services().accounts.settings(account_id).imap
    return f"{server.host.lower()}:{server.port}"


def _rev(account_id: str) -> int | None:
    account = services().accounts.get(account_id)
    return account.rev if account else None


def _log_in(account_id: str) -> Session:
    return open_session(services().accounts.settings(account_id), _shared_context)


@lru_cache(maxsize=2)
def _shared_context(required: bool) -> ssl.SSLContext:
    """Return one context for all: each holds the certificates of every authority, half a megabyte."""
    return tls_context(required)


def _hang_up(login: Future[Session]) -> None:
    if not login.cancelled() and not login.exception():
        login.result().close()
