"""Ports to listen on."""

from __future__ import annotations

import contextlib
import random
import socket

HOST = "127.0.0.1"
WAITING_CONNECTIONS = 512
_CHOICE = range(20_000, 32_000)
"""Below what Linux hands out to outgoing connections: none of those takes a port before it is bound."""


def listening(port: int) -> socket.socket:
    """Return a socket that listens on a port of the loopback. Raises OSError if somebody else does."""
    opened = socket.socket()
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((HOST, port))
        opened.listen(WAITING_CONNECTIONS)
    except OSError:
        opened.close()
        raise
    return opened


def any_listening() -> socket.socket:
    """Return a socket that listens on some free port; drawn at random, so that two who ask get two."""
    for port in random.sample(_CHOICE, len(_CHOICE)):
        with contextlib.suppress(OSError):
            return listening(port)
    raise OSError("no port from 20000 to 31999 is free")


def any_free() -> int:
    """Return a TCP port that nobody listens on."""
    with any_listening() as opened:
        return int(opened.getsockname()[1])
