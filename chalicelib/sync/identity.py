"""Who a message is: the same mail keeps its id through moves, resets and server migrations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from chalicelib import ids
from chalicelib.domain.anchor import Anchor
from chalicelib.domain.change import RemoteMessage
from chalicelib.domain.message import Message
from chalicelib.domain.threader import message_key
from chalicelib.formats.mime import ParsedMail


def public_id(account_id: str, remote: RemoteMessage, mail: ParsedMail) -> str:
    """Return the id of a mail first seen now: its date, then a hash of what it is.

    A mail whose beginning alone is here must have a Message-ID.
    """
    if remote.identity:
        identity = f"provider|{remote.identity}"
    elif mail.message_id:
        identity = f"{mail.message_id}|{len(remote.raw) if remote.whole else remote.size}"
    else:
        identity = hashlib.sha256(remote.raw).hexdigest()
    return ids.dated_id(remote.received_at, account_id, identity)


def namesake_ids(mail: ParsedMail, anchors: Mapping[str, Anchor]) -> tuple[str, ...]:
    """Return the ids of stored messages that bear the mail's Message-ID."""
    anchor = anchors.get(message_key(mail.message_id)) if mail.message_id else None
    return anchor.message_ids if anchor else ()


def is_same(stored: Message, arrived: Message, remote: RemoteMessage) -> bool:
    """Tell whether a namesake is this very mail: as the provider says, else by its size.

    One that was sent by us and is not yet seen back is taken for it, too: servers may change what they file.
    """
    if stored.identity and remote.identity:
        return stored.identity == remote.identity
    if stored.identity and not remote.id:  # sent by us, and the provider was quicker to show it
        return True
    if stored.id == arrived.id or stored.size == arrived.size:
        return True
    return any(not place.remote_id for place in stored.places)
