"""What may befall an IMAP connection on its way, decided by the number of octets alone."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import Enum

_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class End(Enum):
    """How a connection ends before its time."""

    CLOSED = "closed"
    RESET = "reset"
    SILENT = "silent"
    """It stays open and nothing comes any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The fate of one connection. Octets are counted as the server sends them; the default is peace.

    `cut_after` ends it there, `in_literal` in the middle of the next literal instead, `bye_after` with a
    BYE at the next end of an answer; after `silent_after` nothing comes any more. `login` is answered to
    LOGIN (after the tag) in place of the server. The first `trickled` pieces hold one octet each, and
    `pause` seconds lie between them.
    """

    refused: bool = False
    login: bytes = b""
    cut_after: int | None = None
    in_literal: bool = False
    reset: bool = False
    bye_after: int | None = None
    silent_after: int | None = None
    trickled: int = 0
    pause: float = 0.001

    @property
    def kind(self) -> str:
        """One word for what is planned."""
        kinds = {
            "refused": self.refused,
            "login": bool(self.login),
            "literal": self.in_literal,
            "cut": self.cut_after is not None,
            "bye": self.bye_after is not None,
            "silence": self.silent_after is not None,
            "slow": self.trickled > 0,
        }
        return next((kind for kind, planned in kinds.items() if planned), "peace")


KINDS = ("refused", "login", "unavailable", "literal", "cut", "bye", "silence", "slow")


def plan_of(kind: str, dice: random.Random) -> Plan:
    """Return a plan of a kind, its numbers thrown."""
    octets = int(10 ** dice.uniform(0, 6))  # as likely in the greeting as in the bodies
    reset = dice.random() < 0.5
    return {
        "refused": Plan(refused=True),
        "login": Plan(login=b"NO [AUTHENTICATIONFAILED] Authentication failed."),
        "unavailable": Plan(login=b"NO [UNAVAILABLE] The directory is down."),
        "literal": Plan(cut_after=octets, in_literal=True, reset=reset),
        "cut": Plan(cut_after=octets, reset=reset),
        "bye": Plan(bye_after=octets),
        "silence": Plan(silent_after=octets),
        "slow": Plan(trickled=octets % 300),
    }[kind]


@dataclass(slots=True)
class Mischief:
    """Carries a plan out on what the server sends."""

    plan: Plan
    passed: int = 0
    _line: bytes = b""
    _literal: int = 0

    def carry(self, data: bytes) -> tuple[bytes, End | None]:
        """Return what the client gets of these octets, and how the connection ends after them."""
        plan = self.plan
        most = plan.cut_after if plan.silent_after is None else plan.silent_after
        if most is not None and not plan.in_literal:
            kept = data[: max(0, most - self.passed)]
            self.passed += len(kept)
            return kept, self._end() if self.passed >= most else None
        if plan.in_literal or plan.bye_after is not None:
            return self._walk(data)
        self.passed += len(data)
        return data, None

    def _walk(self, data: bytes) -> tuple[bytes, End | None]:
        """Pass on line by line and literal by literal, until the place has come."""
        rest, carried = data, b""
        while rest:
            piece, rest, boundary = self._piece(rest)
            carried += piece
            self.passed += len(piece)
            if self.plan.in_literal and self._literal > 1 and self.passed >= (self.plan.cut_after or 0):
                return carried + rest[: self._literal // 2], self._end()
            if boundary and self.plan.bye_after is not None and self.passed >= self.plan.bye_after:
                return carried + b"* BYE Server shutting down.\r\n", End.CLOSED
        return carried, None

    def _piece(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Cut off the next line or literal, as far as it is here; tell whether an answer ends with it."""
        if self._literal:
            size = min(self._literal, len(data))
            self._literal -= size
            return data[:size], data[size:], False
        size = data.find(b"\n") + 1 or len(data)
        self._line += data[:size]
        boundary = self._line.endswith(b"\n")
        if boundary:
            found = _LITERAL.search(self._line)
            self._literal, self._line = int(found.group(1)) if found else 0, b""
        return data[:size], data[size:], boundary and not self._literal

    def _end(self) -> End:
        if self.plan.silent_after is not None:
            return End.SILENT
        return End.RESET if self.plan.reset else End.CLOSED
