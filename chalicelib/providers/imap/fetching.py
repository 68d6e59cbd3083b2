"""Reading an opened mailbox: its state and its listings."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.change import Flags, RemoteId
from chalicelib.providers.imap.session import Opened, Session
from chalicelib.providers.imap.wire import Command, Line, Reply, astring, uid_sets

LARGE = 64_000
"""Octets from which on a message of the history is listed by its beginning before it comes as a whole."""

LARGER = b"LARGER %d" % LARGE
"""The search key of large messages."""

_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)")
_EXISTS = re.compile(rb"\* (\d+) EXISTS", re.I)
_MOVED = re.compile(rb"\* (\d+ (EXISTS|EXPUNGE)|VANISHED)\b", re.I)
_FETCH = re.compile(rb"\* \d+ FETCH ", re.I)
_VANISHED = re.compile(rb"\* VANISHED \(EARLIER\) ([\d,:]+)", re.I)
_UID = re.compile(rb"\bUID (\d+)", re.I)
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)", re.I)
MEASURE = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)", re.I)
_DATE = re.compile(rb'INTERNALDATE "([ \d]\d)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"', re.I)
QUOTED_BODY = re.compile(rb'\bBODY\[\](?:<0>)? "((?:[^"\\]|\\.)*)"', re.I)
_NOTHING = Line(b"", [])
_NAMES = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTHS = {name.lower(): n for n, name in enumerate(_NAMES, 1)}
_DAY = 86_400
_LETTERS = {b"\\DRAFT": "d", b"\\SEEN": "s", b"\\FLAGGED": "f", b"\\ANSWERED": "a"}


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
    return open_with(session, name, (), write=write)[0]


def open_with(
    session: Session, name: str, behind: Sequence[Command], *, write: bool = False
) -> tuple[Opened, list[Reply]]:
    """Select a mailbox and send commands behind, all in one round trip; return their replies.

    Raises Gone if there is no such mailbox.
    """
    counted = session.can("CONDSTORE")
    verb = b"SELECT" if write else b"EXAMINE"
    # The parameter counts for servers that cannot ENABLE: HIGHESTMODSEQ stays away without either.
    extra = [b"(CONDSTORE)"] if counted and not session.can("ENABLE") else []
    session.selected, session.standing = True, None
    first, *replies = session.wire.run_all([(verb, astring(name), *extra), *behind])
    codes: dict[bytes, int] = {}
    exists = 0
    for line in first.or_fail().lines:
        codes |= {key.upper(): int(value) for key, value in _CODE.findall(line.text)}
        if found := _EXISTS.match(line.text):
            exists = int(found.group(1))
    if b"UIDNEXT" not in codes:
        codes[b"UIDNEXT"] = max(rows(session.wire.run(b"UID FETCH * (UID)").lines), default=0) + 1
    modseq = codes.get(b"HIGHESTMODSEQ", 0) if counted else 0
    opened = Opened(codes.get(b"UIDVALIDITY", 0), codes[b"UIDNEXT"], exists, modseq)
    session.standing = name, opened
    return opened, replies


def stay_with(session: Session, commands: Sequence[Command]) -> list[Reply]:
    """Send commands to the mailbox that is open, all in one round trip; return the replies.

    The server is asked as well whether the mailbox has moved, and may answer that with the others. If it has,
    how is for the next opening to say: it is not `standing` any more.
    """
    replies = session.wire.run_all([(b"NOOP",), *commands])
    if any(_MOVED.match(line.text) for reply in replies for line in reply.lines):
        session.standing = None
    return replies


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
    return search_uids(session, *keys_between(first, last, since, before), *more)


def keys_between(first: int, last: int, since: int = 0, before: int = 0) -> list[bytes]:
    """Return the search keys of `uids_between`."""
    dates = [b"SINCE", _date(since - _DAY)] if since > _DAY else []
    dates += [b"BEFORE", _date(before + _DAY)] if before else []
    return [b"UID %d:%d" % (first, last), *dates]


def large_uids_between(session: Session, first: int, last: int, since: int = 0, before: int = 0) -> list[int]:
    """Return the UIDs of large messages from first to last; since and before as in `uids_between`."""
    return uids_between(session, first, last, since, before, LARGER)


def uids_with_message_id(session: Session, message_id: str) -> list[int]:
    """Return the UIDs of messages with this Message-ID, ascending."""
    return search_uids(session, b"HEADER Message-ID", astring(message_id.encode()))


def flags_between(session: Session, first: int, last: int) -> dict[int, Flags]:
    """Return the flags of the messages from first to last."""
    if first > last:
        return {}
    reply = session.wire.run(b"UID FETCH", b"%d:%d" % (first, last), b"(UID FLAGS)").or_fail()
    return {uid: flags for uid, flags in _flag_rows(reply.lines) if first <= uid <= last}


def changes_between(
    session: Session, first: int, last: int, since: int
) -> tuple[dict[int, Flags], list[range] | None]:
    """Return the flags changed since a modseq, and the UIDs gone since: None if the server does not say.

    CHANGEDSINCE is of CONDSTORE, VANISHED of QRESYNC (RFC 7162 sections 3.1.4.1 and 3.2.6). UIDs may be
    named as gone that we never held.
    """
    lines: Sequence[Line] = ()
    if first <= last:
        lines = session.wire.run(*changes_question(session, first, last, since)).or_fail().lines
    return read_changes(session, lines, first, last)


def changes_question(session: Session, first: int, last: int, since: int) -> Command:
    """Return the command of `changes_between`."""
    vanished = b" VANISHED" if _resyncs(session) else b""
    return b"UID FETCH", b"%d:%d" % (first, last), b"(UID FLAGS) (CHANGEDSINCE %d%s)" % (since, vanished)


def read_changes(
    session: Session, lines: Iterable[Line], first: int, last: int
) -> tuple[dict[int, Flags], list[range] | None]:
    """Return `changes_between` from answers among which there may be others."""
    lines = list(lines)
    flags = {uid: flags for uid, flags in _flag_rows(lines) if first <= uid <= last}
    if not _resyncs(session):
        return flags, None
    gone = (found for line in lines if (found := _VANISHED.match(line.text)))
    return flags, [part for found in gone for part in _ranges(found.group(1), first, last)]


def _resyncs(session: Session) -> bool:
    return session.can("ENABLE") and session.can("QRESYNC")


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
    commands = [(b"UID FETCH", part, MEASURE) for part in uid_sets(uids)]
    for reply in session.wire.run_all(commands):
        for uid, line in measured(rows(reply.or_fail().lines), asked):
            found[uid] = meta_of(uid, line)
    return found


def measured(found: Mapping[int, Line], asked: Container[int]) -> Iterator[tuple[int, Line]]:
    """Yield those of the answers that tell the size of a message asked for."""
    return ((uid, line) for uid, line in found.items() if uid in asked and _SIZE.search(line.text))


def search_uids(session: Session, *criteria: bytes) -> list[int]:
    """Return the UIDs that match search keys, ascending."""
    return numbers(session.wire.run(b"UID SEARCH", *criteria).or_fail().lines)


def numbers(lines: Iterable[Line]) -> list[int]:
    """Read the answer to SEARCH, ascending."""
    found = (line.text for line in lines if line.text[:9].upper() == b"* SEARCH ")
    return sorted({int(uid) for text in found for uid in text.split()[2:] if uid.isdigit()})


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


def meta_of(uid: int, line: Line) -> Meta:
    """Read what an answer says of a message."""
    text = line.text
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
