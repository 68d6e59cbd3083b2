"""Lines of an IMAP server out of bytes as they come; literals are counted and thrown away."""

from __future__ import annotations

import re

from chalicelib.errors import ProviderError

LONGEST_LINE = 65_536
MOST_BYTES = 4_000_000

_STATUS = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)\b", re.I)
_LITERAL = re.compile(rb"~?\{(\d{1,20})\+?\}$")
_LONGEST_MARK = 24  # looking no further keeps a line of many literals cheap
_CHANGE = re.compile(rb"\* (?:\d+ (?:EXISTS|EXPUNGE|FETCH)|VANISHED)\b", re.I)
_BYE = re.compile(rb"\* BYE\b", re.I)


class Lines:
    """Takes bytes in any portions. A line is at most 64 KiB, and only so many bytes come per turn."""

    __slots__ = ("_left", "_skip", "_text")

    def __init__(self) -> None:
        self._text = b""  # of a line whose end has not come
        self._skip = 0  # bytes of a literal that have not come
        self.begin_turn()

    def begin_turn(self) -> None:
        """Allow MOST_BYTES anew."""
        self._left = MOST_BYTES

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their ends and literals. Raises ProviderError."""
        self._left -= len(data)
        if self._left < 0:
            raise _hostile("sends without end")
        lines: list[bytes] = []
        at = 0
        while at < len(data):
            if self._skip:
                at += self._literal(len(data) - at)
            else:
                at = self._line(data, at, lines)
        return lines

    def _literal(self, there: int) -> int:
        taken = min(self._skip, there)
        self._skip -= taken
        return taken

    def _line(self, data: bytes, at: int, lines: list[bytes]) -> int:
        """Take what belongs to the line under way; return where the next one begins."""
        newline = data.find(b"\n", at)
        end = len(data) if newline < 0 else newline
        if len(self._text) + end - at > LONGEST_LINE:
            raise _hostile("sends a line without end")
        self._text += data[at:end]
        if newline < 0:
            return end
        self._text = self._text.removesuffix(b"\r")
        if not self._opens_literal():
            lines.append(self._text)
            self._text = b""
        return newline + 1

    def _opens_literal(self) -> bool:
        # Free text may end like one; only data answers carry literals (RFC 3501 §7).
        if not self._text.startswith(b"* ") or _STATUS.match(self._text):
            return False
        found = _LITERAL.search(self._text, max(0, len(self._text) - _LONGEST_MARK))
        if found is None:
            return False
        self._skip = int(found.group(1))
        if self._skip > MOST_BYTES:
            raise _hostile("announces too much")
        self._text = self._text[: found.start()]
        return True


def is_change(line: bytes) -> bool:
    """Tell whether an untagged answer says that the mailbox changed: mail, flags or an expunge."""
    return _CHANGE.match(line) is not None


def is_goodbye(line: bytes) -> bool:
    """Tell whether the server is about to hang up."""
    return _BYE.match(line) is not None


def _hostile(what: str) -> ProviderError:
    return ProviderError(f"The mail server {what}.", step="mailbox")
