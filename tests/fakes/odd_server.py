"""One mailbox over IMAP whose numbers may be anything: what it tells is set apart from what it holds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.providers.imap.adapter import ImapProvider
from chalicelib.providers.imap.protocol.session import open_session
from chalicelib.providers.network.egress import EgressPolicy
from tests.fakes.scripted_server import Say, scripted

_CLOCK = "%d-%b-%Y %H:%M:%S +0000"


@dataclass(frozen=True)
class Kept:
    """A message as the server holds it."""

    raw: bytes
    flags: bytes = b""
    at: int = 1_600_000_000


@dataclass
class OddMailbox:
    """The inbox. None for `uidnext` or `modseq` is never to tell, for `exists` to tell the truth.

    `renumbers` gives it a new UIDVALIDITY each time it is opened.
    """

    messages: dict[int, Kept] = field(default_factory=dict)
    uidvalidity: int = 7
    uidnext: int | None = 1
    modseq: int | None = None
    exists: int | None = None
    renumbers: bool = False
    separator: bytes = b'"/"'
    opened: int = 0
    commands: list[bytes] = field(default_factory=list)

    def put(self, uid: int, raw: bytes, flags: bytes = b"", at: int = 1_600_000_000) -> None:
        """Hold a message under a UID, and count as a sound server does."""
        self.messages[uid] = Kept(raw, flags, at)
        self.messages = dict(sorted(self.messages.items()))
        if self.uidnext is not None:
            self.uidnext = max(self.uidnext, uid + 1)
        if self.modseq is not None:
            self.modseq += 1

    def answer(self, line: bytes, say: Say) -> None:
        """Say what belongs to a command."""
        self.commands.append(line)
        verb, _, rest = line.partition(b" ")
        if verb == b"UID":
            verb, _, rest = rest.partition(b" ")
        handle = getattr(self, f"_{verb.decode().lower()}", None)
        for told in handle(rest) if handle else ():
            say(b"* " + told + b"\r\n")
        say(b"TAG OK done\r\n")

    @contextmanager
    def serve(self, *capabilities: str) -> Iterator[ImapProvider]:
        """Yield a provider connected to this mailbox that believes in some capabilities."""
        with scripted(self.answer) as port:
            server = Server(host="127.0.0.1", port=port, username="u", password="p")
            settings = MailSettings(imap=server, smtp=server, tls_required=False)
            session = open_session(settings, reach=EgressPolicy(local=True))
            session.capabilities |= set(capabilities)
            provider = ImapProvider(session)
            try:
                yield provider
            finally:
                provider.close()

    def _list(self, rest: bytes) -> Iterator[bytes]:
        yield b"LIST () " + self.separator + b" INBOX"

    def _status(self, rest: bytes) -> Iterator[bytes]:
        facts = [b"MESSAGES %d UIDVALIDITY %d" % (self._count(), self.uidvalidity)]
        if self.uidnext is not None:
            facts.append(b"UIDNEXT %d" % self.uidnext)
        if self.modseq is not None:
            facts.append(b"HIGHESTMODSEQ %d" % self.modseq)
        yield b"STATUS INBOX (" + b" ".join(facts) + b")"

    def _examine(self, rest: bytes) -> Iterator[bytes]:
        self.opened += 1
        self.uidvalidity += self.renumbers
        yield b"%d EXISTS" % self._count()
        yield b"OK [UIDVALIDITY %d] numbered" % self.uidvalidity
        if self.uidnext is not None:
            yield b"OK [UIDNEXT %d] next" % self.uidnext
        if self.modseq is not None:
            yield b"OK [HIGHESTMODSEQ %d] counted" % self.modseq

    _select = _examine

    def _search(self, rest: bytes) -> Iterator[bytes]:
        named = re.search(rb"UID ([\d:,*]+)", rest)
        uids = self._named(named.group(1)) if named else list(self.messages)
        if b"LARGER" in rest:
            uids = [uid for uid in uids if len(self.messages[uid].raw) > 64_000]
        yield b"SEARCH " + b" ".join(b"%d" % uid for uid in uids)

    def _fetch(self, rest: bytes) -> Iterator[bytes]:
        named, _, items = rest.partition(b" ")
        for uid in self._named(named):
            kept, number = self.messages[uid], list(self.messages).index(uid) + 1
            facts = b"%d FETCH (UID %d FLAGS (%s)" % (number, uid, kept.flags)
            if b"SIZE" in items:
                date = time.strftime(_CLOCK, time.gmtime(kept.at)).encode()
                facts += b' INTERNALDATE "%s" RFC822.SIZE %d' % (date, len(kept.raw))
            if b"BODY" in items:
                part = b"<0>" if b"<0." in items else b""
                facts += b" BODY[]%s {%d}\r\n%s" % (part, len(kept.raw), kept.raw)
            yield facts + b")"

    def _count(self) -> int:
        return len(self.messages) if self.exists is None else self.exists

    def _named(self, text: bytes) -> list[int]:
        top, found = max(self.messages, default=0), set()
        for part in text.split(b","):
            ends = [top if end == b"*" else int(end) for end in part.split(b":")]
            found |= {uid for uid in self.messages if min(ends) <= uid <= max(ends)}
        return sorted(found)
