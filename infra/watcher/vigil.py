"""Waiting on one inbox: EXAMINE, then IDLE turn after turn (RFC 2177), or NOOP where there is no IDLE."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NoReturn

from chalicelib.errors import ProviderError
from chalicelib.providers.imap.protocol.failures import failure
from infra.watcher.limits import Limits
from infra.watcher.lines import is_change, is_goodbye
from infra.watcher.wire import Wire


class Vigil:
    """One connection's conversation; `changed` is called for whatever happens in the inbox."""

    __slots__ = ("_changed", "_limits", "_open", "_pause", "_tag", "_wire")

    def __init__(self, wire: Wire, changed: Callable[[], None], limits: Limits) -> None:
        self._wire = wire
        self._changed = changed
        self._limits = limits
        self._tag = 0
        self._open = False
        self._pause = limits.shortest_poll_seconds

    async def keep(self, *, idles: bool) -> NoReturn:
        """Watch until the connection ends. Raises ProviderError; never returns."""
        await self._run(b"EXAMINE INBOX")
        self._open = True
        self._changed()  # what came while nobody watched
        while True:
            self._wire.begin_turn()
            await (self._idle() if idles else self._poll())

    async def _idle(self) -> None:
        """Wait some minutes for the server to speak, then see whether it is still there."""
        tag = self._send(b"IDLE")
        async with asyncio.timeout(self._limits.answer_seconds):
            await self._until_continued(tag)
        try:
            part = random.uniform(0.8, 1)  # noqa: S311 - not everybody at once; no secret
            async with asyncio.timeout(self._limits.turn_seconds * part):
                await self._until_tagged(tag)
        except TimeoutError:
            self._wire.send(b"DONE\r\n")
            async with asyncio.timeout(self._limits.answer_seconds):
                await self._until_tagged(tag)
        else:
            raise ProviderError("The mail server ended IDLE.", step="mailbox")
        await self._run(b"NOOP")  # some servers say nothing in IDLE

    async def _poll(self) -> None:
        """Ask now and then, more often after a change."""
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 1.5, self._limits.longest_poll_seconds)
        await self._run(b"NOOP")

    async def _run(self, command: bytes) -> None:
        tag = self._send(command)
        async with asyncio.timeout(self._limits.answer_seconds):
            await self._until_tagged(tag)

    def _send(self, command: bytes) -> bytes:
        self._tag += 1
        tag = b"W%d " % self._tag
        self._wire.send(tag + command + b"\r\n")
        return tag

    async def _until_tagged(self, tag: bytes) -> None:
        while True:
            line = await self._hear()
            if line.startswith(tag):
                _must_be_ok(line)
                return

    async def _until_continued(self, tag: bytes) -> None:
        while True:
            line = await self._hear()
            if line.startswith(b"+"):
                return
            if line.startswith(tag):
                raise failure(_text(line))

    async def _hear(self) -> bytes:
        line = await self._wire.line()
        if is_goodbye(line):
            raise failure(_text(line))
        if self._open and is_change(line):
            self._pause = self._limits.shortest_poll_seconds
            self._changed()
        return line


def _must_be_ok(line: bytes) -> None:
    if line.split(b" ", 2)[1].upper() != b"OK":
        raise failure(_text(line))


def _text(line: bytes) -> str:
    """Return the words after the tag, in a length fit for a log."""
    return line.partition(b" ")[2][:500].decode("utf-8", "replace")
