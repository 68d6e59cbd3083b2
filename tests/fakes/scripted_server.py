"""A mail server that says what it is told to, over a real socket, and never more."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Say = Callable[[bytes], None]
Script = Callable[[bytes, Say], None]
"""Called with each line of the client (without its tag) and with what sends; TAG stands for the tag."""

_LITERAL = re.compile(rb"\{(\d+)\}$")
OFFER = b"IMAP4rev1"
GREETING = b"* OK [CAPABILITY " + OFFER + b"] ready\r\n"


@contextmanager
def scripted(script: Script, greeting: bytes = GREETING) -> Iterator[int]:
    """Serve on the loopback; yields the port. LOGIN succeeds by itself, and what is appended is read."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, script, greeting), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _accept(listener: socket.socket, script: Script, greeting: bytes) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_converse, args=(connection, script, greeting), daemon=True).start()


def _converse(connection: socket.socket, script: Script, greeting: bytes) -> None:
    with suppress(OSError), connection, connection.makefile("rb") as lines:
        connection.sendall(greeting)
        for line in lines:
            tag, _, command = line.rstrip().partition(b" ")

            def say(text: bytes, tag: bytes = tag) -> None:
                connection.sendall(text.replace(b"TAG", tag))

            if command.startswith(b"APPEND") and (literal := _LITERAL.search(command)):
                say(b"+ go on\r\n")
                lines.read(int(literal.group(1)) + 2)
            if command.startswith(b"LOGIN"):
                say(b"TAG OK [CAPABILITY " + OFFER + b"] in\r\n")
            else:
                script(command, say)
