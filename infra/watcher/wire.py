"""A connection that has logged in, on the event loop.

asyncio's own TLS keeps buffers of a quarter megabyte per connection; here OpenSSL reads the socket
itself and keeps nothing while it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque

from chalicelib.errors import ProviderError
from infra.watcher.lines import Lines

_RECORD = 16_384  # the longest TLS record: reading this much leaves nothing in OpenSSL's buffer
_NOTHING_YET = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """Read by one task, written to in small commands. Every failure is a ProviderError."""

    __slots__ = ("_error", "_lines", "_loop", "_ready", "_socket", "_waiter")

    def __init__(self, connection: socket.socket, ahead: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = connection
        self._lines = Lines()
        self._ready: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: ProviderError | None = None
        _keep_alive(connection)
        self._loop.add_reader(connection, self._readable)
        self._take(ahead)
        self._readable()  # OpenSSL may hold what the loop cannot see

    def begin_turn(self) -> None:
        """Allow the server the bytes of another turn."""
        self._lines.begin_turn()

    async def line(self) -> bytes:
        """Return the next line. Raises ProviderError once the connection is dead or the server hostile."""
        while not self._ready:
            if self._error:
                raise self._error
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._ready.popleft()

    def send(self, data: bytes) -> None:
        """Send a command. Raises ProviderError, also when the server no longer reads."""
        try:
            sent = self._socket.send(data)
        except OSError as error:
            raise _lost(error) from error
        if sent != len(data):
            raise _lost("it reads nothing")

    def close(self) -> None:
        """Say goodbye without waiting for an answer, and hang up."""
        self._loop.remove_reader(self._socket)
        with contextlib.suppress(OSError, ValueError):
            self._socket.send(b"DONE\r\nW0 LOGOUT\r\n")
        self._socket.close()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECORD)
        except _NOTHING_YET:
            return
        except OSError as error:
            self._end(_lost(error))
            return
        if data:
            self._take(data)
        else:
            self._end(_lost("it was closed"))

    def _take(self, data: bytes) -> None:
        try:
            self._ready.extend(self._lines.feed(data))
        except ProviderError as error:
            self._end(error)
        self._wake()

    def _end(self, error: ProviderError) -> None:
        self._error = error
        self._loop.remove_reader(self._socket)  # a closed connection is readable for ever
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


def _keep_alive(connection: socket.socket) -> None:
    """Let the kernel find dead peers; a wire that is no TCP socket does without."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _lost(reason: object) -> ProviderError:
    return ProviderError(f"The connection to the mail server is lost: {reason}", step="mailbox")
