"""A connection passes from the one who logged in to the event loop without losing a byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace

import pytest

from chalicelib.errors import ProviderError
from chalicelib.providers.imap.protocol.lines import Wire as LoginWire
from chalicelib.providers.imap.protocol.session import Session
from infra.watcher.wire import Wire

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Ours and the server's end of a connection."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story(), 20)

    asyncio.run(bounded())


@pytest.mark.parametrize("ahead", [b"", b"* OK half of a line"])
def test_what_was_read_ahead_is_handed_over(ends: Ends, ahead: bytes) -> None:
    ours, theirs = ends
    file = ours.makefile("rb")
    theirs.sendall(b"P1 OK done\r\n" + ahead)
    imap = SimpleNamespace(sock=ours, file=file, send=ours.sendall)
    session = Session(imap, LoginWire(imap), frozenset())
    assert session.wire.run(b"NOOP").ok
    connection, rest = session.hand_over()
    assert rest == ahead and connection.gettimeout() == 0


def test_a_line_may_begin_before_the_handover(ends: Ends) -> None:
    ours, theirs = ends
    ours.setblocking(False)

    async def story() -> None:
        wire = Wire(ours, b"* 1 FETCH (X {7}\r\n* BY")
        theirs.sendall(b"E\r\n)\r\n* 3 EXI")
        assert await wire.line() == b"* 1 FETCH (X )"
        theirs.sendall(b"STS\r\n")
        assert await wire.line() == b"* 3 EXISTS"
        wire.close()

    play(story)


def test_lines_that_came_before_the_end_are_read_before_it_is_told(ends: Ends) -> None:
    ours, theirs = ends
    ours.setblocking(False)

    async def story() -> None:
        wire = Wire(ours, b"")
        theirs.sendall(b"* 3 EXISTS\r\n* BYE\r\n")
        theirs.shutdown(socket.SHUT_WR)
        assert [await wire.line(), await wire.line()] == [b"* 3 EXISTS", b"* BYE"]
        for _ in range(2):
            with pytest.raises(ProviderError):
                await wire.line()
        wire.close()

    play(story)


def test_a_server_that_reads_nothing_is_given_up(ends: Ends) -> None:
    ours, _ = ends
    ours.setblocking(False)

    async def story() -> None:
        wire = Wire(ours, b"")
        with pytest.raises(ProviderError):
            for _ in range(100_000):
                wire.send(b"W1 NOOP\r\n" * 1_000)
        wire.close()

    play(story)
