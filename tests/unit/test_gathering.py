"""Answers of the local servers leave in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from infra.machine.gathering import Gathering


class Transport:
    """Notes what is done to it."""

    limit = 7

    def __init__(self) -> None:
        self.done: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append(b"closed")


def after(what: Callable[[Gathering], None]) -> list[bytes]:
    """Return what a transport has seen in the round of the loop after something was done."""
    transport = Transport()

    async def scene() -> None:
        what(Gathering(transport, asyncio.get_running_loop()))
        await asyncio.sleep(0)

    asyncio.run(scene())
    return transport.done


def write(gathering: Gathering, *pieces: bytes) -> None:
    for piece in pieces:
        gathering.write(piece)


def test_headers_leave_with_the_body() -> None:
    assert after(lambda it: write(it, b"head", b"body")) == [b"headbody"]
    assert after(lambda it: write(it, b"head", b"one", b"two", b"three")) == [b"headone", b"twothree"]


def test_what_nothing_follows_leaves_alone() -> None:
    assert after(lambda it: write(it, b"head")) == [b"head"]
    assert after(lambda it: write(it, b"head", b"one", b"two")) == [b"headone", b"two"]


def test_what_is_kept_leaves_before_the_end() -> None:
    def ended(it: Gathering) -> None:
        it.write(b"head")
        it.close()

    assert after(ended) == [b"head", b"closed"]


def test_all_else_is_the_transports_own() -> None:
    loop = asyncio.new_event_loop()
    assert Gathering(Transport(), loop).limit == 7
    loop.close()
