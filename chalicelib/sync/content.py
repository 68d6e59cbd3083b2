"""Bodies, files and raw mail: from the store while it keeps them, from the mail server after that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from chalicelib.clock import Clock
from chalicelib.domain.account import Account
from chalicelib.domain.message import Message, RawRef
from chalicelib.errors import Gone
from chalicelib.formats.mime import parse, part_content
from chalicelib.providers.base import Provider
from chalicelib.store.ports import Blobs, Mail, MailChanges, Revised, Stale

RAW_SECONDS = 7 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What messages say, wherever it lies."""

    mail: Mail
    blobs: Blobs
    provider: Callable[[Account], Provider]
    now: Clock = time.time

    def body(self, account: Account, message: Message) -> str:
        """Return the HTML body of one message. Raises Gone if nobody has it any more."""
        kept = self.mail.bodies(account.id, [message.id]).get(message.id)
        return kept if kept is not None else parse(self.raw(account, message)).body_html

    def bodies(self, account: Account, messages: Sequence[Message]) -> dict[str, str]:
        """Return the bodies at hand, without asking the mail server."""
        found = self.mail.bodies(account.id, [message.id for message in messages])
        for message in messages:
            if message.id not in found and (raw := self._kept(message)):
                found[message.id] = parse(raw).body_html
        return found

    def file(self, account: Account, message: Message, part: int) -> bytes:
        """Return the decoded bytes of one part. Raises Gone if the mail no longer has it."""
        try:
            return part_content(self.raw(account, message), part)[2]
        except IndexError as error:
            raise Gone("The message on the mail server no longer holds this file.") from error

    def raw(self, account: Account, message: Message) -> bytes:
        """Return the original bytes, fetched again and kept again when our copy has expired."""
        raw = self._kept(message)
        if raw is not None:
            return raw
        raw = self._fetched(account, message)
        key = f"raw/{account.id}/again/{message.id}"
        self.blobs.put(key, raw)
        kept = replace(message, raw=RawRef(key, 0, len(raw), int(self.now())))
        with suppress(Stale):  # somebody changed the message meanwhile; the copy is then fetched once more
            self.mail.save(account.id, MailChanges(messages=[Revised(message, kept)]))
        return raw

    def _kept(self, message: Message) -> bytes | None:
        ref = message.raw
        if ref is None or ref.stored_at + RAW_SECONDS <= self.now():
            return None
        return self.blobs.get(ref.key, ref.offset, ref.length)

    def _fetched(self, account: Account, message: Message) -> bytes:
        collections = {folder.id: folder.collection for folder in self.mail.folders(account.id)}
        places = [p for p in message.places if p.remote_id and p.folder_id in collections]
        with closing(self.provider(account)) as server:
            for place in places:
                with suppress(Gone):
                    return server.fetch(collections[place.folder_id], place.remote_id)
        raise Gone("The message is no longer on the mail server.")
