"""Accounts whose sync is to be asked for; none stands in it twice, and a failing queue loses none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from infra.watcher.backoff import Backoff

SENDERS = 4

log = logging.getLogger(__name__)


class Outbox:
    """Filled by `put` on the event loop, emptied by `run`."""

    def __init__(self, send: Callable[[str], Awaitable[None]], backoff: Backoff) -> None:
        self._send = send
        self._backoff = backoff
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self.sent = 0

    def put(self, account_id: str) -> None:
        """Ask for a sync, unless it is asked for already and the message has not left."""
        if account_id not in self._waiting:
            self._waiting.add(account_id)
            self._queue.put_nowait(account_id)

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._sender())

    async def _sender(self) -> None:
        failures = 0
        while True:
            account_id = await self._queue.get()
            self._waiting.discard(account_id)  # a change during the sending needs a message of its own
            try:
                await self._send(account_id)
            except Exception as error:  # the edge: whatever ails the queue, it is tried again
                failures += 1
                log.warning("the sync queue takes nothing: %s", error)
                self.put(account_id)
                await asyncio.sleep(self._backoff.wait(failures))
            else:
                self.sent += 1
                failures = 0
