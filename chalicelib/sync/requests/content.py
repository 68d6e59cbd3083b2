"""Bodies, files and raw mail: from the store while it keeps them, from the mail server after that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import accumulate

from chalicelib import bounds
from chalicelib.clock import Clock
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import Message, RawRef
from chalicelib.errors import Gone, ProviderError
from chalicelib.formats.mime.fingerprint import fingerprint
from chalicelib.formats.mime.mime import parse, part_content
from chalicelib.providers.base import Provider
from chalicelib.store.ports.mail import Blobs, Mail
from chalicelib.store.transient import is_transient
from chalicelib.store.values import MailChanges, Revised, Stale
from chalicelib.sync.accounts.foreseen import named
from chalicelib.sync.mail.reading import completed

RAW_SECONDS = 7 * 86400
MOST_AT_ONCE = 8_000_000
"""Octets that a list fetches from the mail server before it answers."""

_TOGETHER = 25
"""Bodies read in one step."""

log = logging.getLogger(__name__)


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

    def bodies(
        self, account: Account, messages: Sequence[Message], most: int = bounds.RESPONSE_BYTES
    ) -> Mapping[str, str | None]:
        """Return the bodies at hand, without asking the mail server.

        If all together are longer than `most` characters, the longest are None. No more than that and a few
        are ever held in memory.
        """
        ingest = _Bodies(most)
        for start in range(0, len(messages), _TOGETHER):
            some = messages[start : start + _TOGETHER]
            found = self.mail.bodies(account.id, [message.id for message in some])
            for message in some:
                if message.id in found:
                    ingest.put(message.id, found[message.id])
                elif raw := self._kept(message):
                    ingest.put(message.id, parse(raw).body_html)
        return ingest.by_id

    def file(self, account: Account, message: Message, part: int) -> bytes:
        """Return the decoded bytes of one part. Raises Gone if the mail no longer has it."""
        try:
            return part_content(self.raw(account, message), part)[2]
        except IndexError as error:
            raise Gone("The message on the mail server no longer holds this file.") from error

    def raw(self, account: Account, message: Message) -> bytes:
        """Return the original bytes, fetched again and kept again when our copy has expired."""
        raw = self._kept(message)
        if raw is None:
            with closing(self.provider(account)) as server:
                raw = self._fetched(server, account, message)
            self._keep(message, raw)
        return raw

    def whole(self, account: Account, message: Message) -> Message:
        """Return a message with all it says, fetched now if only its beginning is here. Raises Gone."""
        if message.raw:
            return message
        with closing(self.provider(account)) as server:
            return self._keep(message, self._fetched(server, account, message))

    def wholes(self, account: Account, messages: Sequence[Message]) -> list[Message]:
        """Return many, as far as one connection gives them at once; the others stay as they are.

        So does one that cannot be read or stored. A mail server in trouble is not asked: a list must not
        wait for it.
        """
        missing = [] if account.trouble else _at_once([message for message in messages if not message.raw])
        found: dict[str, Message] = {}
        if missing:
            with suppress(ProviderError), closing(self.provider(account)) as server:
                for kept in self._given(server, account, missing):
                    found[kept.id] = kept
        return [found.get(message.id, message) for message in messages]

    def _given(self, server: Provider, account: Account, messages: Sequence[Message]) -> Iterator[Message]:
        """Yield those that can be read and stored, until the server or the store fails."""
        for message in messages:
            try:
                yield self._keep(message, self._fetched(server, account, message))
            except Gone:
                continue
            except Exception as error:  # a message can make a parser raise anything
                log.warning("message %s is listed as it is: %s", message.id, named(error))
                if is_transient(error):
                    return

    def _kept(self, message: Message) -> bytes | None:
        ref = message.raw
        if ref is None or ref.stored_at + RAW_SECONDS <= self.now():
            return None
        return self.blobs.get(ref.key, ref.offset, ref.length)

    def _keep(self, message: Message, raw: bytes) -> Message:
        """Store what was fetched; return the message as it is now."""
        key = f"raw/{message.account_id}/again/{message.id}"
        self.blobs.put(key, raw)
        ref, changes = RawRef(key, 0, len(raw), int(self.now())), MailChanges()
        if message.raw:
            kept = replace(message, raw=ref)
        else:
            mail = parse(raw)
            kept = completed(message, mail, ref, fingerprint(raw, whole=True))
            changes.bodies[message.id] = mail.body_html
            changes.bodies_expire[message.id] = message.expires_at
        changes.messages.append(Revised(message, kept))
        with suppress(Stale):  # somebody changed the message meanwhile; the copy is then fetched once more
            self.mail.save(message.account_id, changes)
        return kept

    def _fetched(self, server: Provider, account: Account, message: Message) -> bytes:
        collections = {folder.id: folder.collection for folder in self.mail.folders(account.id)}
        places = [p for p in message.places if p.remote_id and p.folder_id in collections]
        for place in places:
            with suppress(Gone):
                return server.fetch(collections[place.folder_id], place.remote_id)
        raise Gone("The message is no longer on the mail server.")


@dataclass(slots=True)
class _Bodies:
    """Bodies of `most` characters at the most; where one too many comes, the longest goes."""

    most: int
    by_id: dict[str, str | None] = field(default_factory=dict)
    _longest: list[tuple[int, str]] = field(default_factory=list)
    _held: int = 0

    def put(self, id: str, body: str) -> None:
        self.by_id[id] = body
        self._held += len(body)
        heappush(self._longest, (-len(body), id))
        while self._held > self.most:
            length, dropped = heappop(self._longest)
            self._held += length
            self.by_id[dropped] = None


def _at_once(messages: Sequence[Message]) -> list[Message]:
    """Return the first of them, so many that a client can wait for them."""
    totals = accumulate(message.size for message in messages)
    return [message for message, total in zip(messages, totals, strict=True) if total <= MOST_AT_ONCE]
