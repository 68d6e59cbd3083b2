"""Who a message is: the same mail keeps its id through moves, resets and server migrations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from chalicelib import ids
from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.threader import message_key
from chalicelib.domain.remote import RemoteMessage
from chalicelib.formats.mime.fingerprint import agree, head_of
from chalicelib.formats.mime.mime import ParsedMail

_SHORT = 64_000
"""Mail of no more octets is seen as a whole at first; of longer mail only the head tells who it is."""


def public_id(account_id: str, remote: RemoteMessage, mail: ParsedMail, print_: str) -> str:
    """Return the id of a mail first seen now: its date, then a hash of what it is.

    A mail whose beginning alone is here must have a Message-ID.
    """
    if remote.identity:
        identity = f"provider|{remote.identity}"
    elif mail.message_id:
        short = remote.whole and remote.octets <= _SHORT
        octets = len(remote.raw) if remote.whole else remote.size
        identity = f"{mail.message_id}|{octets}|{print_ if short else head_of(print_)}"
    else:
        identity = hashlib.sha256(remote.raw).hexdigest()
    return ids.dated_id(remote.received_at, account_id, identity)


def namesake_ids(mail: ParsedMail, anchors: Mapping[str, Anchor]) -> tuple[str, ...]:
    """Return the ids of stored messages that bear the mail's Message-ID."""
    anchor = anchors.get(message_key(mail.message_id)) if mail.message_id else None
    return anchor.message_ids if anchor else ()


def is_same(stored: Message, arrived: Message, remote: RemoteMessage) -> bool:
    """Tell whether a namesake is this very mail: as the provider says, else by what it says.

    One that was sent by us and is not yet seen back is taken for it, too: servers may change what they file.
    """
    if stored.identity and remote.identity:
        return stored.identity == remote.identity
    if stored.identity and not remote.id:  # sent by us, and the provider was quicker to show it
        return True
    if stored.id == arrived.id:
        return True
    on_its_way = any(not place.remote_id for place in stored.places)
    if on_its_way and stored.subject == arrived.subject:
        return True
    if stored.fingerprint and arrived.fingerprint:
        told = agree(stored.fingerprint, arrived.fingerprint)
        return stored.size == arrived.size if told is None else told
    return stored.size == arrived.size and _is_alike(stored, arrived, remote)


def _is_alike(stored: Message, arrived: Message, remote: RemoteMessage) -> bool:
    """Tell whether a mail stored before there were fingerprints lies here or reads as this one."""
    here = any(place.remote_id == remote.id for place in stored.places)
    pairs = (stored.subject, arrived.subject), (stored.snippet, arrived.snippet)
    return (
        here or all(one == other for one, other in pairs) or any(one and one == other for one, other in pairs)
    )
