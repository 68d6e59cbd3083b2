"""Commands and answers on an open IMAP connection, pipelined.

imapclient opens the connection; from there on this module speaks, because imapclient 4.1 cannot
fetch ranges and imaplib keeps only one command in flight.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chalicelib.errors import ProviderError
from chalicelib.providers.imap.failures import failure

IN_FLIGHT = 4
_LONGEST_LINE = 64_000_000
_SET_OCTETS = 900
_LITERAL = re.compile(rb"\{(\d+)\}$")
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|\{(\d+)\}|([()])|([^\s()"]+)')
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
    """An authenticated or greeting connection; every I/O error becomes ProviderError."""

    def __init__(self, imap: Any) -> None:
        self._file = imap.file
        self._send_bytes = imap.send
        self._count = 0
        self.received = 0

    def run(self, *items: bytes) -> Reply:
        """Send one command and wait for its answer."""
        return self.run_all([items])[0]

    def run_all(self, commands: Iterable[Command]) -> list[Reply]:
        """Send commands, a few in flight at a time; return their replies in order.

        Untagged answers go to the command that was oldest when they came.
        """
        replies: list[Reply] = []
        waiting: deque[bytes] = deque()
        for command in commands:
            alone = any(isinstance(item, Literal) for item in command)
            while len(waiting) >= IN_FLIGHT or (alone and waiting):
                replies.append(self._await(waiting.popleft()))
            waiting.append(self._send(command))
        replies.extend(self._await(tag) for tag in waiting)
        return replies

    def answer(self, command: bytes, response: bytes) -> Reply:
        """Send a command, and a response to the challenge that follows it."""
        self._count += 1
        tag = b"P%d" % self._count
        self._write(tag + b" " + command + b"\r\n")
        self._await_continuation(tag)
        self._write(response + b"\r\n")
        return self._await(tag)

    def _send(self, command: Command) -> bytes:
        """Send one command; one with literals must be alone, for it waits for the server's consent."""
        self._count += 1
        tag = b"P%d" % self._count
        buffer = tag
        for item in command:
            if isinstance(item, Literal):
                self._write(buffer + b" {%d}\r\n" % len(item))
                self._await_continuation(tag)
                buffer = bytes(item)
            else:
                buffer += b" " + item
        self._write(buffer + b"\r\n")
        return tag

    def _await_continuation(self, tag: bytes) -> None:
        while True:
            text = self._read_line().text
            if text.startswith(b"+"):
                return
            if text.startswith(tag + b" "):
                raise failure(_decode(text.partition(b" ")[2]))

    def _await(self, tag: bytes) -> Reply:
        lines: list[Line] = []
        while True:
            line = self._read_line()
            if line.text.startswith(tag + b" "):
                _, status, text = (line.text + b" ").split(b" ", 2)
                return Reply(_decode(status).upper(), _decode(text).strip(), lines)
            if line.text[:6].upper() == b"* BYE ":
                raise failure(_decode(line.text[6:]))
            lines.append(line)

    def _read_line(self) -> Line:
        parts: list[bytes] = []
        literals: list[bytes] = []
        try:
            while True:
                line: bytes = self._file.readline(_LONGEST_LINE)
                self.received += len(line)
                if not line.endswith(b"\n"):
                    raise ProviderError("The mail server closed the connection.", step="mailbox")
                line = line.rstrip(b"\r\n")
                parts.append(line)
                size = _LITERAL.search(line)
                if size is None:
                    return Line(b"".join(parts), literals)
                literals.append(self._read(int(size.group(1))))
        except OSError as error:
            raise ProviderError(
                f"The connection to the mail server failed: {error}", step="mailbox"
            ) from error

    def _read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self.received += len(data)
        if len(data) != size:
            raise ProviderError("The mail server closed the connection.", step="mailbox")
        return data

    def _write(self, data: bytes) -> None:
        try:
            self._send_bytes(data)
        except OSError as error:
            raise ProviderError(
                f"The connection to the mail server failed: {error}", step="mailbox"
            ) from error


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


def uid_sets(uids: Sequence[int]) -> Iterator[bytes]:
    """Yield UIDs as ranges in sets short enough for every server."""
    current = b""
    for part in _ranges(sorted(uids)):
        if current and len(current) + len(part) >= _SET_OCTETS:
            yield current
            current = b""
        current += b"," + part if current else part
    if current:
        yield current


def _ranges(uids: Sequence[int]) -> Iterator[bytes]:
    runs: list[list[int]] = []
    for uid in uids:
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return (b"%d" % first if first == last else b"%d:%d" % (first, last) for first, last in runs)


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
