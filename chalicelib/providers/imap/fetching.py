"""Reading an opened mailbox: its state and its listings."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.change import Flags, RemoteId
from chalicelib.providers.imap.session import Session
from chalicelib.providers.imap.wire import Command, Line, Reply, astring, uid_sets

LARGE = 64_000
"""Octets from which on a message of the history is listed by its beginning before it comes as a whole."""

_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)")
_EXISTS = re.compile(rb"\* (\d+) EXISTS", re.I)
_FETCH = re.compile(rb"\* \d+ FETCH ", re.I)
_VANISHED = re.compile(rb"\* VANISHED \(EARLIER\) ([\d,:]+)", re.I)
_UID = re.compile(rb"\bUID (\d+)", re.I)
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)", re.I)
_MEASURE = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)", re.I)
_DATE = re.compile(rb'INTERNALDATE "([ \d]\d)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"', re.I)
QUOTED_BODY = re.compile(rb'\bBODY\[\](?:<0>)? "((?:[^"\\]|\\.)*)"', re.I)
_NOTHING = Line(b"", [])
_NAMES = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTHS = {name.lower(): n for n, name in enumerate(_NAMES, 1)}
_DAY = 86_400
_LETTERS = {b"\\DRAFT": "d", b"\\SEEN": "s", b"\\FLAGGED": "f", b"\\ANSWERED": "a"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A mailbox as EXAMINE or SELECT described it; `modseq` is 0 if changes are not counted."""

    uidvalidity: int
    uidnext: int
    exists: int
    modseq: int


@dataclass(frozen=True, slots=True)
class Meta:
    """A message without its content; `size` is the server's claim and only a hint."""

    uid: int
    flags: Flags
    received_at: int
    size: int

    @property
    def large(self) -> bool:
        """Whether its beginning is worth a fetch of its own."""
        return self.size > LARGE


def remote_id(uidvalidity: int, uid: int) -> RemoteId:
    """Return the name of a message that no other message of the folder ever bore."""
    return RemoteId(f"{uidvalidity:010d}.{uid:010d}")


def split_id(id: RemoteId) -> tuple[int, int]:
    """Return UIDVALIDITY and UID; the empty name is (0, 0)."""
    uidvalidity, _, uid = id.partition(".")
    return int(uidvalidity or 0), int(uid or 0)


def open_mailbox(session: Session, name: str, *, write: bool = False) -> Opened:
    """Select a mailbox. Raises Gone if there is none."""
    return _open(session, name, (), write=write)[0]


def open_and_measure(session: Session, name: str, first: int, last: int) -> tuple[Opened, dict[int, Meta]]:
    """Select a mailbox and return `metas` of everything from first to last, in one round trip."""
    command = (b"UID FETCH", b"%d:%d" % (first, last), _MEASURE)
    opened, reply = _open(session, name, command)
    found = rows(reply.or_fail().lines)
    return opened, {uid: _meta(uid, line.text) for uid, line in _measured(found, range(first, last + 1))}


def open_and_search(
    session: Session, name: str, first: int, last: int, since: int, before: int
) -> tuple[Opened, list[int]]:
    """Select a mailbox and return `uids_between`, in one round trip."""
    opened, reply = _open(session, name, (b"UID SEARCH", *_between(first, last, since, before)))
    return opened, _numbers(reply.or_fail())


def _open(session: Session, name: str, behind: Command, *, write: bool = False) -> tuple[Opened, Reply]:
    """Select a mailbox and send a command behind; its reply is the selection's own if there is none."""
    counted = session.can("CONDSTORE")
    verb = b"SELECT" if write else b"EXAMINE"
    # The parameter counts for servers that cannot ENABLE: HIGHESTMODSEQ stays away without either.
    extra = [b"(CONDSTORE)"] if counted and not session.can("ENABLE") else []
    session.selected = True
    replies = session.wire.run_all([(verb, astring(name), *extra), *([behind] if behind else [])])
    reply = replies[0].or_fail()
    codes: dict[bytes, int] = {}
    exists = 0
    for line in reply.lines:
        codes |= {key.upper(): int(value) for key, value in _CODE.findall(line.text)}
        if found := _EXISTS.match(line.text):
            exists = int(found.group(1))
    if b"UIDNEXT" not in codes:
        codes[b"UIDNEXT"] = max(rows(session.wire.run(b"UID FETCH * (UID)").lines), default=0) + 1
    modseq = codes.get(b"HIGHESTMODSEQ", 0) if counted else 0
    return Opened(codes.get(b"UIDVALIDITY", 0), codes[b"UIDNEXT"], exists, modseq), replies[-1]


def uids_between(
    session: Session, first: int, last: int, since: int = 0, before: int = 0, *more: bytes
) -> list[int]:
    """Return the UIDs that exist from first to last, ascending; asks nothing of an empty range.

    With `since` and `before` (Unix seconds, 0 for no bound) only those received in between, give or take
    a day: servers compare dates, and those in their own zone (RFC 9051 section 6.4.4). `more` are further
    search keys.
    """
    if first > last:
        return []
    return search_uids(session, *_between(first, last, since, before), *more)


def _between(first: int, last: int, since: int, before: int) -> list[bytes]:
    dates = [b"SINCE", _date(since - _DAY)] if since > _DAY else []
    dates += [b"BEFORE", _date(before + _DAY)] if before else []
    return [b"UID %d:%d" % (first, last), *dates]


def large_uids_between(session: Session, first: int, last: int, since: int = 0, before: int = 0) -> list[int]:
    """Return the UIDs of large messages from first to last; since and before as in `uids_between`."""
    return uids_between(session, first, last, since, before, b"LARGER %d" % LARGE)


def uids_with_message_id(session: Session, message_id: str) -> list[int]:
    """Return the UIDs of messages with this Message-ID, ascending."""
    return search_uids(session, b"HEADER Message-ID", astring(message_id.encode()))


def flags_between(session: Session, first: int, last: int) -> dict[int, Flags]:
    """Return the flags of the messages from first to last."""
    return _changes(session, first, last, b"")[0]


def changes_between(
    session: Session, first: int, last: int, since: int
) -> tuple[dict[int, Flags], list[range] | None]:
    """Return the flags changed since a modseq, and the UIDs gone since: None if the server does not say.

    CHANGEDSINCE is of CONDSTORE, VANISHED of QRESYNC (RFC 7162 sections 3.1.4.1 and 3.2.6). UIDs may be
    named as gone that we never held.
    """
    resync = session.can("ENABLE") and session.can("QRESYNC")
    flags, lines = _changes(
        session, first, last, b" (CHANGEDSINCE %d%s)" % (since, b" VANISHED" if resync else b"")
    )
    if not resync:
        return flags, None
    gone = (found for line in lines if (found := _VANISHED.match(line.text)))
    return flags, [part for found in gone for part in _ranges(found.group(1), first, last)]


def _changes(
    session: Session, first: int, last: int, modifier: bytes
) -> tuple[dict[int, Flags], Sequence[Line]]:
    if first > last:
        return {}, []
    reply = session.wire.run(b"UID FETCH %d:%d (UID FLAGS)" % (first, last) + modifier).or_fail()
    return {uid: flags for uid, flags in _flag_rows(reply.lines) if first <= uid <= last}, reply.lines


def _ranges(uid_set: bytes, first: int, last: int) -> Iterator[range]:
    """Yield what lies between first and last of a set such as 4,7:9."""
    for part in uid_set.split(b","):
        low, _, high = part.partition(b":")
        if low.isdigit() and (high or low).isdigit():
            ends = sorted((int(low), int(high or low)))
            if ends[0] <= last and ends[1] >= first:
                yield range(max(first, ends[0]), min(last, ends[1]) + 1)


def metas(session: Session, uids: Sequence[int]) -> dict[int, Meta]:
    """Return flags, date and size of those that exist."""
    found: dict[int, Meta] = {}
    asked = set(uids)
    commands = [(b"UID FETCH", part, _MEASURE) for part in uid_sets(uids)]
    for reply in session.wire.run_all(commands):
        for uid, line in _measured(rows(reply.or_fail().lines), asked):
            found[uid] = _meta(uid, line.text)
    return found


def _measured(found: Mapping[int, Line], asked: Container[int]) -> Iterator[tuple[int, Line]]:
    return ((uid, line) for uid, line in found.items() if uid in asked and _SIZE.search(line.text))


def search_uids(session: Session, *criteria: bytes) -> list[int]:
    """Return the UIDs that match search keys, ascending."""
    return _numbers(session.wire.run(b"UID SEARCH", *criteria).or_fail())


def _numbers(reply: Reply) -> list[int]:
    return sorted(
        {int(uid) for line in reply.of(b"SEARCH") for uid in line.text.split()[2:] if uid.isdigit()}
    )


def rows(lines: Iterable[Line]) -> dict[int, Line]:
    """Return what is said of each message, the latest first: flags may be told once more unasked."""
    found: dict[int, Line] = {}
    for line in lines:
        if _FETCH.match(line.text) and (uid := _UID.search(QUOTED_BODY.sub(b"", line.text))):
            earlier = found.get(int(uid.group(1)), _NOTHING)
            found[int(uid.group(1))] = Line(line.text + earlier.text, line.literals + earlier.literals)
    return found


def _flag_rows(lines: Iterable[Line]) -> Iterator[tuple[int, Flags]]:
    for uid, line in rows(lines).items():
        if found := _FLAGS.search(line.text):
            yield uid, _letters(found.group(1))


def _date(at: int) -> bytes:
    """Return an IMAP date, such as 1-Feb-2026."""
    day = time.gmtime(at)
    return b"%d-%s-%d" % (day.tm_mday, _NAMES[day.tm_mon - 1], day.tm_year)


def _letters(raw: bytes) -> Flags:
    words = raw.upper().split()
    return Flags("".join(sorted(_LETTERS[word] for word in words if word in _LETTERS)))


def _meta(uid: int, text: bytes) -> Meta:
    flags = _FLAGS.search(text)
    size = _SIZE.search(text)
    return Meta(
        uid=uid,
        flags=_letters(flags.group(1)) if flags else Flags(""),
        received_at=_seconds(text),
        size=int(size.group(1)) if size else 0,
    )


def _seconds(text: bytes) -> int:
    found = _DATE.search(text)
    if found is None or found.group(2).lower() not in _MONTHS:
        return 0
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    at = (int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), int(second))
    zone = (int(zone_hours) * 60 + int(zone_minutes)) * 60
    return calendar.timegm(at) - (zone if sign == b"+" else -zone)
