"""Copies without a name: sent or moved by us, or displaced, and not yet seen on the server.

Sync gives such a copy its name when it finds it. One that is not there any more is told of by nobody, so the
messages that have any are listed under LOOSE, written with the message and removed with the last such copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chalicelib.domain.mail.message import Message
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.store.values import Location, Revised

LOOSE = "loose"
"""The folder id under which they are listed; no folder bears it."""

_Rows = dict[tuple[str, RemoteId], Location]
_Gone = dict[tuple[str, RemoteId], Location | None]


def is_loose(message: Message | None) -> bool:
    """Tell whether a copy of a message lies in a folder without a name."""
    return message is not None and any(p.folder_id and not p.remote_id for p in message.places)


def listed(changes: Iterable[Revised[Message]]) -> tuple[_Rows, _Gone]:
    """Return what has to be entered before messages change, and what goes after."""
    entered: _Rows = {}
    gone: _Gone = {}
    for change in changes:
        before, after = is_loose(change.old), is_loose(change.new)
        if change.new and after and not before:
            entered[_key(change.new.id)] = Location(change.new.id, Flags(""), change.new.expires_at)
        elif change.old and before and not after:
            gone[_key(change.old.id)] = None
    return entered, gone


def of(known: Mapping[RemoteId, Flags]) -> list[str]:
    """Return the ids of messages from what is known of LOOSE."""
    return sorted(map(str, known))


def struck(ids: Iterable[str]) -> _Gone:
    """Return what takes messages off the list."""
    return dict.fromkeys(map(_key, ids))


def _key(id: str) -> tuple[str, RemoteId]:
    return LOOSE, RemoteId(id)
