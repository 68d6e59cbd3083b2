"""Raw messages of an opened mailbox, whole or their beginnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from chalicelib.errors import ProviderError
from chalicelib.providers.imap.fetch.mailbox import rows, search_uids
from chalicelib.providers.imap.fetch.partial import BEGINNING, FIRST, body, raise_if_throttled, tells
from chalicelib.providers.imap.protocol.lines import Line, Reply
from chalicelib.providers.imap.protocol.metadata import Meta
from chalicelib.providers.imap.protocol.numbers import uid_sets
from chalicelib.providers.imap.protocol.session import Session

COMMAND_BYTES = 4_000_000
COMMAND_MESSAGES = 100
_HOPELESS = 10  # so many messages refused, and none given: the server is ill, not the messages

_ALL = b"(UID BODY.PEEK[])"
_FIRST = b"(UID " + FIRST + b")"


@dataclass(frozen=True, slots=True)
class _Portion:
    """Messages asked for in one command, and what of them."""

    uids: list[int]
    item: bytes


@dataclass(slots=True)
class Bodies:
    """What came of asking for raw messages: a UID in neither map is gone."""

    raw: dict[int, bytes] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)


def bodies(session: Session, wanted: Sequence[Meta], beginnings: Sequence[Meta] = ()) -> Bodies:
    """Fetch raw messages, in few commands; what a whole command was refused is asked one by one.

    Of `beginnings` only BEGINNING octets come, except where these do not tell who the message is.
    """
    portions = [*_portions(wanted, _ALL), *_portions(beginnings, _FIRST)]
    result = _fetched(session, portions)
    mute = [meta for meta in beginnings if meta.uid in result.raw and not tells(result.raw[meta.uid])]
    if mute:
        rest = _fetched(session, _portions(mute, _ALL))
        result.raw |= rest.raw
        result.unreadable |= rest.unreadable
    return result


def _fetched(session: Session, portions: Sequence[_Portion]) -> Bodies:
    result = Bodies()
    again: list[_Portion] = []
    for portion, reply in _asked(session, portions):
        _collect(result, reply.lines)
        missing = [uid for uid in portion.uids if uid not in result.raw and uid not in result.unreadable]
        if missing and not reply.ok:
            raise_if_throttled(reply)
            again.extend(_Portion([uid], portion.item) for uid in missing)
    for portion, reply in _asked(session, again):
        _collect(result, reply.lines)
        if not reply.ok and portion.uids[0] not in result.raw:
            raise_if_throttled(reply)
            result.unreadable[portion.uids[0]] = f"The mail server answered: {reply.text}"
    _note_withheld(session, result, [uid for portion in portions for uid in portion.uids])
    if len(result.unreadable) >= _HOPELESS and not result.raw:
        raise ProviderError("The mail server gives out no messages.", step="mailbox")
    return result


def _note_withheld(session: Session, result: Bodies, wanted: Iterable[int]) -> None:
    """Enter as unreadable what the server passed over in silence although it is still there."""
    silent = [uid for uid in wanted if uid not in result.raw and uid not in result.unreadable]
    for part in uid_sets(silent):
        for uid in search_uids(session, b"UID " + part):
            if uid in silent:
                result.unreadable[uid] = "The mail server does not give this message out."


def _asked(session: Session, portions: Sequence[_Portion]) -> Iterator[tuple[_Portion, Reply]]:
    commands = [(b"UID FETCH", b",".join(uid_sets(portion.uids)), portion.item) for portion in portions]
    return zip(portions, session.wire.run_all(commands), strict=True)


def _portions(wanted: Sequence[Meta], item: bytes) -> list[_Portion]:
    portions: list[_Portion] = []
    size = 0
    for meta in wanted:
        octets = meta.size if item is _ALL else min(meta.size, BEGINNING)
        size += octets
        if not portions or size > COMMAND_BYTES or len(portions[-1].uids) >= COMMAND_MESSAGES:
            portions.append(_Portion([], item))
            size = octets
        portions[-1].uids.append(meta.uid)
    return portions


def _collect(result: Bodies, lines: Iterable[Line]) -> None:
    for uid, line in rows(lines).items():
        content = body(line)
        if content is not None:
            result.raw[uid] = content
        elif b"BODY[]" in line.text.upper():
            result.unreadable[uid] = "The mail server gave an empty message."
