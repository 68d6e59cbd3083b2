"""Who may log in now: so many per second, overall and per mail server, and none into a dead one.

A server that fails (no address, no connection, no TLS) rests for a while that doubles each time; then
one account tries, and only when it comes through do the others follow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from chalicelib.errors import ProviderError
from infra.watcher.backoff import Backoff
from infra.watcher.limits import Limits

SERVER_STEPS = frozenset({"dns", "tcp", "tls"})

T = TypeVar("T")


@dataclass(slots=True)
class Pace:
    """A rate kept by spacing: `seconds` between two, nothing saved up."""

    seconds: float
    next: float = float("-inf")

    def step(self, now: float) -> None:
        """Count one."""
        self.next = now + self.seconds


@dataclass(slots=True)
class Host(Generic[T]):
    """One mail server: who waits for it, how many are at it, and how it has been."""

    pace: Pace
    waiting: deque[T] = field(default_factory=deque)
    inside: int = 0
    failures: int = 0
    rests_until: float = float("-inf")


class Queue(Generic[T]):
    """The decisions of the gate, without a clock of their own. Hosts take turns."""

    def __init__(self, limits: Limits, backoff: Backoff) -> None:
        self._limits = limits
        self._backoff = backoff
        self._pace = Pace(1 / limits.logins_per_second)
        self._hosts: dict[str, Host[T]] = {}
        self._inside = 0

    def ask(self, host: str, ticket: T) -> None:
        """Enter the queue of a server."""
        if host not in self._hosts:
            self._hosts[host] = Host(Pace(1 / self._limits.logins_per_second_and_host))
        self._hosts[host].waiting.append(ticket)

    def withdraw(self, host: str, ticket: T) -> None:
        """Leave the queue again; fine if not in it."""
        if host in self._hosts and ticket in self._hosts[host].waiting:
            self._hosts[host].waiting.remove(ticket)

    def admit(self, now: float) -> tuple[str, T] | None:
        """Return the host and the ticket of the next that may go now, None if nobody may."""
        if now < self._pace.next or self._inside >= self._limits.logins_at_once:
            return None
        for name, host in self._hosts.items():
            if host.waiting and self._open(host, now):
                self._hosts[name] = self._hosts.pop(name)  # to the end: the others come first next time
                self._pace.step(now)
                host.pace.step(now)
                host.inside += 1
                self._inside += 1
                return name, host.waiting.popleft()
        return None

    def done(self, name: str, now: float, *, failed: bool, stays: bool = False) -> None:
        """Note that one attempt is over and whether it was the server's own failure.

        One that stays keeps its place at its server until `left`, but nobody else's.
        """
        host = self._hosts[name]
        self._inside -= 1
        if not stays:
            host.inside -= 1
        if not failed:
            host.failures = 0
        elif now >= host.rests_until:  # those who were under way together count once
            host.failures += 1
            host.rests_until = now + self._backoff.wait(host.failures)

    def left(self, name: str) -> None:
        """Give back the place of one that stayed."""
        self._hosts[name].inside -= 1

    def waiting(self) -> int:
        """Return how many wait."""
        return sum(len(host.waiting) for host in self._hosts.values())

    def _open(self, host: Host[T], now: float) -> bool:
        most = 1 if host.failures else self._limits.logins_at_once_and_host
        return now >= host.pace.next and now >= host.rests_until and host.inside < most


@dataclass(slots=True)
class Visit:
    """An admission; `stays` is work at the server that goes on when the visit is over."""

    stays: asyncio.Future[Any] | None = None


class Gate:
    """The queue on an event loop."""

    LOOK_SECONDS = 0.02

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        backoff = Backoff(limits.shortest_wait, limits.longest_host_wait)
        self._queue: Queue[asyncio.Future[None]] = Queue(limits, backoff)
        self._now = now
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Let waiting accounts in, one after the other, for ever."""
        while True:
            await self._asked.wait()
            while admitted := self._queue.admit(self._now()):
                host, ticket = admitted
                if ticket.cancelled():  # its account went away a moment ago
                    self._queue.done(host, self._now(), failed=False)
                else:
                    ticket.set_result(None)
            if self._queue.waiting():
                await asyncio.sleep(self.LOOK_SECONDS)
            else:
                self._asked.clear()

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[Visit]:
        """Wait for admission to a mail server; what happens inside decides how the server is seen."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.ask(host, ticket)
        self._asked.set()
        visit, failed = Visit(), False
        try:
            await ticket
            yield visit
        except ProviderError as error:
            failed = error.details.get("step") in SERVER_STEPS
            raise
        finally:
            if ticket.done() and not ticket.cancelled():
                self._leave(host, visit, failed=failed)
            else:
                self._queue.withdraw(host, ticket)

    def _leave(self, host: str, visit: Visit, *, failed: bool) -> None:
        self._queue.done(host, self._now(), failed=failed, stays=visit.stays is not None)
        if visit.stays:
            visit.stays.add_done_callback(lambda _: self._queue.left(host))
