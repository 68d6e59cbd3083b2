"""Commands and answers on an IMAP connection, pipelined.

Our own, because imapclient 4.1 cannot fetch ranges and imaplib keeps only one command in flight.
"""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chalicelib import bounds
from chalicelib.errors import ProviderError
from chalicelib.providers.imap.protocol.compress import COMMAND, Deflater
from chalicelib.providers.imap.protocol.failures import failure
from chalicelib.providers.imap.protocol.limited_stream import Inflow
from chalicelib.providers.imap.protocol.numbers import number

IN_FLIGHT = 8
_LITERAL = re.compile(rb"\{(\d+)\}$")
_TAGGED = re.compile(rb"(P\d+) (\S+) ?(.*)", re.S)
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|\{(\d+)\}|([()])|([^\s()"]+)')
_QUOTABLE = re.compile(rb"[\x20-\x7e]*")


class Literal(bytes):
    """An argument that travels as an IMAP literal."""


Command = tuple[bytes, ...]


class Line(NamedTuple):
    """One untagged answer; each {n} in `text` stands for the next of `literals`."""

    text: bytes
    literals: list[bytes]


@dataclass(slots=True)
class Reply:
    """A tagged answer and the untagged ones read before it."""

    status: str
    text: str
    lines: list[Line] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the server did it."""
        return self.status == "OK"

    def of(self, kind: bytes) -> Iterator[Line]:
        """Yield the untagged answers of one kind, such as b"LIST"."""
        prefix = b"* " + kind + b" "
        return (line for line in self.lines if line.text[: len(prefix)].upper() == prefix)

    def or_fail(self) -> Reply:
        """Return this reply; raises ProviderError unless the server did it."""
        if not self.ok:
            raise failure(self.text)
        return self


class Wire:
    """A connection from its greeting on; every I/O error becomes ProviderError.

    Until the server is trusted all that it says has `most` octets; 0 is no bound but that of each answer.
    """

    def __init__(self, connection: Any, most: int = 0) -> None:
        self._inflow = Inflow(connection.file, most=most)
        self._file = io.BufferedReader(self._inflow)
        self._send_bytes = connection.send
        self._count = 0
        self._unanswered: set[bytes] = set()
        self._answered: dict[bytes, Reply] = {}
        self._before: list[Command] = []
        self._compress_soon = False
        self.compressed = False
        self.received = 0

    def greeting(self) -> Line:
        """Wait for what the server says first. Raises ProviderError, Throttled if it says goodbye."""
        lines: list[Line] = []
        self._take(self._read_line(), lines)
        return lines[0]

    def trust(self) -> None:
        """Let the server say as much as it likes from now on, within what an answer may have."""
        self._inflow.trust()

    def run(self, *items: bytes) -> Reply:
        """Send one command and wait for its answer."""
        return self.run_all([items])[0]

    def run_all(self, commands: Iterable[Command], in_flight: int = IN_FLIGHT) -> list[Reply]:
        """Send commands, a few in flight at a time; return their replies in order.

        Untagged answers go to the command that was oldest when they came, and to one that was finished
        before it. More may be in flight where
        all of them together are short: a server that cannot send does not read either.
        """
        before, self._before = self._before, []
        after: list[Command] = [(COMMAND,)] if self._compress_soon else []
        self._compress_soon = False
        replies = self._pipelined([*before, *commands, *after], in_flight + len(before) + len(after))
        if after and replies.pop().ok:
            self._compress()
        return replies[len(before) :]

    def put_before(self, command: Command) -> None:
        """Send a command together with the next ones, on the same round trip; nobody reads its answer."""
        self._before.append(command)

    def compress_soon(self) -> None:
        """Ask for compression together with the next commands, as the last of them."""
        self._compress_soon = True

    def answer(self, command: bytes, response: bytes) -> Reply:
        """Send a command, and a response to the challenge that follows it."""
        tag = self._tag()
        self._write(tag + b" " + command + b"\r\n")
        if self._goes_on(tag):
            self._write(response + b"\r\n")
        return self._await(tag)

    def leave(self, command: bytes) -> None:
        """Send a last command and wait for nothing."""
        self._send((command,))

    def _pipelined(self, commands: Sequence[Command], in_flight: int) -> list[Reply]:
        replies: list[Reply] = []
        waiting: deque[bytes] = deque()
        for command in commands:
            alone = any(isinstance(item, Literal) for item in command)
            while len(waiting) >= in_flight or (alone and waiting):
                replies.append(self._await(waiting.popleft()))
            waiting.append(self._send(command))
        replies.extend(self._await(tag) for tag in waiting)
        return replies

    def _compress(self) -> None:
        self.compressed = True
        self._inflow.inflate(self._read_ahead())
        self._send_bytes = Deflater(self._send_bytes).send

    def _read_ahead(self) -> bytes:
        """Take what was received together with the last line, and only that."""
        with self._inflow.held():
            return self._file.read(len(self._file.peek()))

    def ahead(self) -> bytes:
        """Return what has been received and not read. Raises SSLWantReadError if TLS has nothing."""
        return self._file.peek()

    def _send(self, command: Command) -> bytes:
        """Send one command; one with literals must be alone, for it waits for the server's consent."""
        tag = self._tag()
        buffer = tag
        for item in command:
            if isinstance(item, Literal):
                self._write(buffer + b" {%d}\r\n" % len(item))
                if not self._goes_on(tag):
                    return tag
                buffer = bytes(item)
            else:
                buffer += b" " + item
        self._write(buffer + b"\r\n")
        return tag

    def _tag(self) -> bytes:
        self._count += 1
        tag = b"P%d" % self._count
        self._unanswered.add(tag)
        return tag

    def _goes_on(self, tag: bytes) -> bool:
        """Wait for the server's consent to more of a command; False if it has answered instead."""
        self._inflow.expect_answer()
        lines: list[Line] = []
        while tag not in self._answered:
            line = self._read_line()
            if line.text.startswith(b"+"):
                return True
            self._take(line, lines)
        return False

    def _await(self, tag: bytes) -> Reply:
        self._inflow.expect_answer()
        lines: list[Line] = []
        while tag not in self._answered:
            self._take(self._read_line(), lines)
        return self._answered.pop(tag)

    def _take(self, line: Line, lines: list[Line]) -> None:
        """Note an untagged answer, or what a tagged one says of the untagged before it. Raises on BYE."""
        if (found := _TAGGED.match(line.text)) and found.group(1) in self._unanswered:
            # Servers may finish a later command first (RFC 3501 section 5.5).
            self._unanswered.discard(found.group(1))
            self._answered[found.group(1)] = _reply(found, lines)
        elif line.text[:6].upper() == b"* BYE ":
            raise failure(_decode(line.text[6:]), words="The mail server hung up")
        else:
            lines.append(line)

    def _read_line(self) -> Line:
        parts: list[bytes] = []
        literals: list[bytes] = []
        try:
            while True:
                line = self._file.readline(bounds.LINE_BYTES)
                self.received += len(line)
                if not line.endswith(b"\n"):
                    raise _endless(line) if len(line) == bounds.LINE_BYTES else _closed()
                line = line.rstrip(b"\r\n")
                parts.append(line)
                size = _LITERAL.search(line)
                if size is None:
                    return Line(b"".join(parts), literals)
                literals.append(self._read(size.group(1)))
        except OSError as error:
            raise ProviderError(
                f"The connection to the mail server failed: {error}", step="mailbox"
            ) from error

    def _read(self, digits: bytes) -> bytes:
        """Read a literal of the announced size, of which nothing is reserved in advance if it is absurd."""
        if number(digits, min(bounds.LITERAL_BYTES, self._inflow.left)) is None:
            raise ProviderError(
                f"The mail server announced {digits[:20].decode()} octets in one piece.", step="mailbox"
            )
        data = self._file.read(int(digits))
        self.received += len(data)
        if len(data) != int(digits):
            raise _closed()
        return data

    def _write(self, data: bytes) -> None:
        try:
            self._send_bytes(data)
        except OSError as error:
            raise ProviderError(
                f"The connection to the mail server failed: {error}", step="mailbox"
            ) from error


def _reply(found: re.Match[bytes], lines: Iterable[Line]) -> Reply:
    status, text = found.group(2, 3)
    return Reply(_decode(status).upper(), _decode(text).strip(), list(lines))


def _closed() -> ProviderError:
    return ProviderError("The mail server closed the connection.", step="mailbox")


def _endless(line: bytes) -> ProviderError:
    return ProviderError(f"The mail server sent a line of over {len(line)} octets.", step="mailbox")


def astring(value: str | bytes) -> bytes:
    """Return a quoted argument, or a literal where quotes cannot carry it."""
    raw = value.encode("latin-1") if isinstance(value, str) else value
    if _QUOTABLE.fullmatch(raw):
        return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return Literal(raw)


def tokens(line: Line) -> list[Any]:
    """Return the words of an answer as bytes, with parenthesised lists as nested lists.

    A quoted or literal word keeps its bytes; NIL stays b"NIL".
    """
    literals = iter(line.literals)
    stack: list[list[Any]] = [[]]
    for quoted, size, bracket, atom in _TOKEN.findall(line.text):
        if bracket == b"(":
            stack.append([])
        elif bracket == b")" and len(stack) > 1:
            done = stack.pop()
            stack[-1].append(done)
        elif not bracket:
            stack[-1].append(next(literals, b"") if size else atom or re.sub(rb"\\(.)", rb"\1", quoted))
    return stack[0]


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
