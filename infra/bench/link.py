"""A TCP proxy on the loopback that stands for a network: far away, or broken.

It adds delay only: a wire of any length, as wide as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from infra.bench.mischief import End, Mischief, Plan

_PIECE = 1 << 18
_BUFFER = 8 << 20


@dataclass
class Link:
    """A context manager; clients connect to `port`. `rtt` (seconds) and `plan` may change at any time."""

    upstream: int
    rtt: float = 0.0
    plan: Callable[[], Plan] = Plan
    port: int = 0
    connections: int = 0
    octets: int = 0
    befell: Counter[str] = field(default_factory=Counter)
    """Plans carried out to their end, by kind."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        starting.result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_PIECE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, client_in: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Carry one connection; the streams of Python 3.11 complain of a task that ends as cancelled."""
        with contextlib.suppress(asyncio.CancelledError):
            await self._carry(client_in, client)

    async def _carry(self, client_in: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.connections += 1
        plan = self.plan()
        if plan.refused:
            self.befell["refused"] += 1
            _reset(client)
            return
        await asyncio.sleep(1.5 * self.rtt)  # what a handshake takes before the server greets
        try:
            server_in, server = await asyncio.open_connection("127.0.0.1", self.upstream, limit=_PIECE)
        except OSError:
            _reset(client)
            return
        for writer in (client, server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writer.transport.set_write_buffer_limits(high=_BUFFER)
        there = _Way(self, client_in, server, client, plan)
        back = _Way(self, server_in, client, server, plan)
        try:
            await asyncio.gather(there.run(there.ask), back.run(back.answer))
        finally:
            for writer in (client, server):
                writer.close()


@dataclass
class _Way:
    """One direction of one connection."""

    link: Link
    source: asyncio.StreamReader
    target: asyncio.StreamWriter
    origin: asyncio.StreamWriter
    plan: Plan

    def __post_init__(self) -> None:
        self._mischief = Mischief(self.plan)
        self._trickled = 0
        self._silent = False
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def run(self, carry: Callable[[bytes], Awaitable[bool]]) -> None:
        """Pass on what comes, each piece as late as the way is long."""
        arriving = asyncio.create_task(self._arrive(carry))
        with contextlib.suppress(ConnectionError):
            while data := await self.source.read(_PIECE):
                self._under_way.put_nowait((self._due(), data))
        self._under_way.put_nowait((self._due(), b""))
        await arriving

    async def ask(self, data: bytes) -> bool:
        """Carry a command to the server, or answer a LOGIN ourselves."""
        if self.plan.login and b" LOGIN " in data:
            self.link.befell["login"] += 1
            self.origin.write(data.split()[0] + b" " + self.plan.login + b"\r\n")
            return True
        self.target.write(data)
        return True

    async def answer(self, data: bytes) -> bool:
        """Carry an answer to the client; False if the connection ended with it."""
        if self._silent:
            return True
        kept, end = self._mischief.carry(data)
        self.link.octets += len(kept)
        self.target.write(await self._trickle(kept))
        if end is None:
            return True
        self.link.befell[self.plan.kind] += 1
        await self.target.drain()
        self._silent = end is End.SILENT
        if self._silent:
            return True
        if end is End.RESET:
            await asyncio.sleep(0.001)
            _reset(self.target)
        self.target.close()
        self.origin.close()
        return False

    async def _trickle(self, data: bytes) -> bytes:
        """Write the beginning octet by octet; return the rest."""
        while data and self._trickled < self.plan.trickled:
            self.target.write(data[:1])
            data, self._trickled = data[1:], self._trickled + 1
            await asyncio.sleep(self.plan.pause)
            if self._trickled == self.plan.trickled:
                self.link.befell["slow"] += 1
        return data

    async def _arrive(self, carry: Callable[[bytes], Awaitable[bool]]) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                due, data = await self._under_way.get()
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                if not data:
                    self.target.close()
                    return
                if not await carry(data):
                    return
                await self.target.drain()

    def _due(self) -> float:
        return asyncio.get_running_loop().time() + self.link.rtt / 2


def _reset(writer: asyncio.StreamWriter) -> None:
    """Hang up without a farewell."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
