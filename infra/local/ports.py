"""Ports to listen on."""

from __future__ import annotations

import random
import socket

_CHOICE = range(20_000, 32_000)
"""Below what Linux hands out to outgoing connections: none of those takes a port before it is bound."""


def bindable(port: int) -> bool:
    """Tell whether a TCP port of the loopback can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def any_free() -> int:
    """Return a TCP port that nobody listens on; drawn at random, so that two who ask get two."""
    return next(port for port in random.sample(_CHOICE, len(_CHOICE)) if bindable(port))
