"""Ends of connections that no other side can put off: timeouts of sockets are per read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from chalicelib.clock import Deadline


@contextmanager
def cut_off(sock: socket.socket, deadline: Deadline) -> Iterator[None]:
    """End a connection at the deadline, if that comes within the block."""
    timer, twin = _timer(sock, deadline)
    try:
        yield
    finally:
        timer.cancel()
        twin.close()


def end_at(sock: socket.socket, deadline: Deadline) -> None:
    """End a connection at the deadline, whatever is done with it until then."""
    _timer(sock, deadline)


def _timer(sock: socket.socket, deadline: Deadline) -> tuple[threading.Timer, socket.socket]:
    twin = sock.dup()  # TLS takes the socket itself away
    timer = threading.Timer(deadline.left(), _shut, [twin])
    timer.daemon = True
    timer.start()
    return timer, twin


def _shut(twin: socket.socket) -> None:
    with suppress(OSError), twin:
        twin.shutdown(socket.SHUT_RDWR)
