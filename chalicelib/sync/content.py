"""Bodies and raw mail: from the store while it keeps them, from the mail server after that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace

from chalicelib.clock import Clock
from chalicelib.domain.account import Account
from chalicelib.domain.message import Message, RawRef
from chalicelib.errors import Gone
from chalicelib.formats.mime import parse
from chalicelib.providers.base import Provider
from chalicelib.store.ports import Blobs, Mail, MailChanges, Revised, Stale

RAW_SECONDS = 7 * 86400


def body_of(
    mail: Mail, blobs: Blobs, provider: Callable[[], Provider], account: Account, message: Message
) -> str:
    """Return the HTML body of one message. Raises Gone if nobody has it any more."""
    kept = mail.bodies(account.id, [message.id]).get(message.id)
    return kept if kept is not None else parse(raw_of(mail, blobs, provider, account.id, message)).body_html


def bodies_of(mail: Mail, blobs: Blobs, account: Account, messages: Sequence[Message]) -> dict[str, str]:
    """Return the bodies at hand, without asking the mail server."""
    found = mail.bodies(account.id, [message.id for message in messages])
    for message in messages:
        if message.id not in found and (raw := _kept_raw(blobs, message, time.time)):
            found[message.id] = parse(raw).body_html
    return found


def raw_of(
    mail: Mail, blobs: Blobs, provider: Callable[[], Provider], account_id: str, message: Message
) -> bytes:
    """Return the original bytes, fetched again and kept again when our copy has expired."""
    raw = _kept_raw(blobs, message, time.time)
    if raw is not None:
        return raw
    raw = _fetched(mail, provider, account_id, message)
    key = f"raw/{account_id}/again/{message.id}"
    blobs.put(key, raw)
    kept = replace(message, raw=RawRef(key, 0, len(raw), int(time.time())))
    with suppress(Stale):  # somebody changed the message meanwhile; the copy is then fetched once more
        mail.save(account_id, MailChanges(messages=[Revised(message, kept)]))
    return raw


def _kept_raw(blobs: Blobs, message: Message, now: Clock) -> bytes | None:
    ref = message.raw
    if ref is None or ref.stored_at + RAW_SECONDS <= now():
        return None
    return blobs.get(ref.key, ref.offset, ref.length)


def _fetched(mail: Mail, provider: Callable[[], Provider], account_id: str, message: Message) -> bytes:
    collections = {folder.id: folder.collection for folder in mail.folders(account_id)}
    places = [p for p in message.places if p.remote_id and p.folder_id in collections]
    with closing(provider()) as server:
        for place in places:
            with suppress(Gone):
                return server.fetch(collections[place.folder_id], place.remote_id)
    raise Gone("The message is no longer on the mail server.")
