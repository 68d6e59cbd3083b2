"""Reading an opened mailbox: its state and its listings."""

from __future__ import annotations

import re
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.providers.imap.protocol.lines import Command, Line, Reply, astring
from chalicelib.providers.imap.protocol.metadata import FLAGS, LARGE, Meta, letters, meta_of, without_content
from chalicelib.providers.imap.protocol.numbers import UINT32, number, state_numbers, uid_sets
from chalicelib.providers.imap.protocol.session import Opened, Session

LARGER = b"LARGER %d" % LARGE
"""The search key of large messages."""

_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)", re.I)
_STATUS_UIDNEXT = re.compile(rb"\b(UIDNEXT) (\d+)", re.I)
_EXISTS = re.compile(rb"\* (\d{1,10}) EXISTS\b", re.I)
_MOVED = re.compile(rb"\* (\d+ (EXISTS|EXPUNGE)|VANISHED)\b", re.I)
_FETCH = re.compile(rb"\* \d+ FETCH ", re.I)
_VANISHED = re.compile(rb"\* VANISHED \(EARLIER\) ([\d,:]+)", re.I)
_UID = re.compile(rb"\bUID (\d{1,10})\b", re.I)
MEASURE = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"
_MEASURED = re.compile(rb"\b(RFC822\.SIZE|INTERNALDATE|BODY\[)", re.I)
_NAMES = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DAY = 86_400

_NO_DATE = b"2-Jan-1971"  # what was received before has no date that could be believed


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
    session.selected, session.writable, session.standing = True, write, None
    first, *replies = session.wire.run_all([(verb, astring(name), *extra), *behind])
    codes: dict[bytes, int] = {}
    exists = 0
    for line in first.or_fail().lines:
        codes |= state_numbers(_CODE.findall(line.text))
        if found := _EXISTS.match(line.text):
            exists = int(found.group(1))
    uidnext, told = codes.get(b"UIDNEXT") or _asked_uidnext(session, name), True
    if not uidnext:  # no more than a lower bound: the newest may have gone again
        uidnext, told = max(rows(session.wire.run(b"UID FETCH * (UID)").lines), default=0) + 1, False
    modseq = codes.get(b"HIGHESTMODSEQ", 0) if counted else 0
    opened = Opened(codes.get(b"UIDVALIDITY", 0), uidnext, exists, modseq, told=told)
    session.standing = name, opened
    return opened, replies


def _asked_uidnext(session: Session, name: str) -> int:
    """Return UIDNEXT as STATUS tells it where opening did not (Courier), 0 if it does not either."""
    reply = session.wire.run(b"STATUS", astring(name), b"(UIDNEXT)")
    told = (state_numbers(_STATUS_UIDNEXT.findall(line.text)) for line in reply.of(b"STATUS"))
    return max((numbers[b"UIDNEXT"] for numbers in told if numbers), default=0)


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
    a day, and those that the server has no sensible date of: servers compare dates, and those in their own
    zone (RFC 9051 section 6.4.4). `more` are further search keys.
    """
    if first > last:
        return []
    found = search_uids(session, *keys_between(first, last, since, before), *more)
    return [uid for uid in found if first <= uid <= last]


def keys_between(first: int, last: int, since: int = 0, before: int = 0) -> list[bytes]:
    """Return the search keys of `uids_between`; what has no date to be believed counts as late enough."""
    dates = [b"OR SINCE", _date(since - _DAY), b"NOT SINCE", _NO_DATE] if since > _DAY else []
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
    if not _resyncs(session):
        return b"UID FETCH", b"%d:%d" % (first, last), b"(UID FLAGS) (CHANGEDSINCE %d)" % since
    # To the last UID there can be: Cyrus up to 3.8 tells nothing of those above the newest that is left.
    return b"UID FETCH", b"%d:%d" % (first, UINT32), b"(UID FLAGS) (CHANGEDSINCE %d VANISHED)" % since


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
        ends = [end for text in (low, high or low) if (end := number(text)) is not None]
        if len(ends) < 2:
            continue
        begin, end = max(first, min(ends)), min(last, max(ends))
        if begin <= end:
            yield range(begin, end + 1)


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
    """Yield those of the answers that tell of a message asked for, not of its flags alone."""
    return ((uid, line) for uid, line in found.items() if uid in asked and _MEASURED.search(line.text))


def search_uids(session: Session, *criteria: bytes) -> list[int]:
    """Return the UIDs that match search keys, ascending."""
    return numbers(session.wire.run(b"UID SEARCH", *criteria).or_fail().lines)


def numbers(lines: Iterable[Line]) -> list[int]:
    """Read the answer to SEARCH, ascending."""
    found = (line.text for line in lines if line.text[:9].upper() == b"* SEARCH ")
    return sorted({uid for text in found for word in text.split()[2:] if (uid := number(word))})


def rows(lines: Iterable[Line]) -> dict[int, Line]:
    """Return what is said of each message, the latest first: flags may be told once more unasked."""
    found: dict[int, list[Line]] = {}
    for line in lines:
        said = _UID.search(without_content(line.text)) if _FETCH.match(line.text) else None
        if said and (uid := number(said.group(1))):
            found.setdefault(uid, []).append(line)
    return {uid: _latest_first(said) for uid, said in found.items()}


def _latest_first(said: list[Line]) -> Line:
    if len(said) == 1:
        return said[0]
    text = b"".join(line.text for line in reversed(said))
    return Line(text, [literal for line in reversed(said) for literal in line.literals])


def _flag_rows(lines: Iterable[Line]) -> Iterator[tuple[int, Flags]]:
    for uid, line in rows(lines).items():
        if found := FLAGS.search(line.text):
            yield uid, letters(found.group(1))


def _date(at: int) -> bytes:
    """Return an IMAP date, such as 1-Feb-2026."""
    day = time.gmtime(at)
    return b"%d-%s-%d" % (day.tm_mday, _NAMES[day.tm_mon - 1], day.tm_year)
