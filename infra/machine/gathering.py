"""HTTP answers that leave in one piece: half the system calls, and whoever asked wakes once."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class GatheringProtocol(HttpToolsProtocol):  # type: ignore[misc]  # mypy does not follow uvicorn
    """uvicorn's protocol, which writes the headers of an answer before its body."""

    def connection_made(self, transport: Any) -> None:
        """Take a new connection."""
        super().connection_made(Gathering(transport, self.loop))


class Gathering:
    """A transport that keeps what is written for what is written next, if that comes at once."""

    def __init__(self, transport: Any, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data with what was kept, or keep it until the next round of the loop."""
        if self._kept:
            data, self._kept = self._kept + data, b""
            self._transport.write(data)
        else:
            self._kept = data
            self._loop.call_soon(self._flush)

    def send(self, data: bytes) -> None:
        """Send a whole answer at once, behind what was kept."""
        data, self._kept = self._kept + data, b""
        self._transport.write(data)

    def close(self) -> None:
        """Send what was kept and close the connection."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._kept:
            data, self._kept = self._kept, b""
            self._transport.write(data)
