"""What a server says of a message beside its content. Whatever it says, nothing here raises."""

from __future__ import annotations

import calendar
import logging
import re
from dataclasses import dataclass
from datetime import datetime

from chalicelib import bounds
from chalicelib.domain.remote import Flags
from chalicelib.providers.imap.protocol.lines import Line

LARGE = 64_000
"""Octets from which on a message of the history is listed by its beginning before it comes as a whole."""

FIRST_MAIL = 31_536_000
"""Mail is younger than this second, the end of 1970: what bears an older date has none."""

QUOTED_BODY = re.compile(rb'\bBODY\[\](?:<0>)? "((?:[^"\\]|\\.)*)"', re.I)
FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)", re.I)
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b", re.I)
_DATE = re.compile(
    rb'INTERNALDATE "\s*(\d{1,2})-(\w{3})-(\d{4}) (\d{1,2}):(\d\d):(\d\d)(?: ([+-])(\d\d)(\d\d))?"', re.I
)
_NAMES = b"jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTHS = {name: n for n, name in enumerate(_NAMES, 1)}
_LETTERS = {b"\\DRAFT": "d", b"\\SEEN": "s", b"\\FLAGGED": "f", b"\\ANSWERED": "a"}
_FARTHEST_ZONE = 14 * 60  # minutes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Meta:
    """A message without its content; `size` is the server's claim and only a hint.

    `received_at` is in Unix seconds, None if the server says nothing that can be believed.
    """

    uid: int
    flags: Flags
    received_at: int | None
    size: int

    @property
    def large(self) -> bool:
        """Whether its beginning is worth a fetch of its own."""
        return self.size > LARGE


def meta_of(uid: int, line: Line) -> Meta:
    """Read what an answer says of a message; what makes no sense counts as not said."""
    try:
        text = without_content(line.text)  # what a mail says is not what its server says
        return Meta(uid, _flags(text), _received_at(text), _octets(text))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # One message's metadata must never be the end of a batch, whatever was overlooked above.
        log.warning("what the mail server says of message %d makes no sense: %s", uid, type(error).__name__)
        return Meta(uid, Flags(""), None, 0)


def without_content(text: bytes) -> bytes:
    """Return what a server tells of a message, without a content in quotes."""
    return QUOTED_BODY.sub(b"", text) if b'] "' in text or b'> "' in text else text


def letters(raw: bytes) -> Flags:
    """Return a list of flags as letters; those that mean nothing here are left out."""
    words = raw.upper().split()
    return Flags("".join(sorted({_LETTERS[word] for word in words if word in _LETTERS})))


def _flags(text: bytes) -> Flags:
    found = FLAGS.search(text)
    return letters(found.group(1)) if found else Flags("")


def _octets(text: bytes) -> int:
    found = _SIZE.search(text)
    size = int(found.group(1)) if found else 0
    return size if size <= bounds.LITERAL_BYTES else 0


def _received_at(text: bytes) -> int | None:
    found = _DATE.search(text)
    if found is None or found.group(2).lower() not in _MONTHS:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    zone = int(zone_hours or 0) * 60 + int(zone_minutes or 0)
    if zone > _FARTHEST_ZONE:
        return None
    try:
        at = datetime(  # noqa: DTZ001  # the zone is taken off below
            int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), min(int(second), 59)
        )
    except ValueError:
        return None
    seconds = calendar.timegm(at.timetuple()) - (-zone if sign == b"-" else zone) * 60
    return seconds if seconds >= FIRST_MAIL else None
