"""The MIME of a mail to be sent: text and HTML, our own Message-ID, no Bcc header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import formatdate
from html.parser import HTMLParser

from chalicelib.domain.account import Account
from chalicelib.domain.message import Address, Message
from chalicelib.sending.letter import Letter

_ID_HEADERS = ("message-id", "in-reply-to", "references")
_BLOCKS = {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "table", "hr"}
_HIDDEN = {"head", "script", "style", "title", "template"}
_MAX_REFERENCES = 50


class _Policy(EmailPolicy):
    """SMTP's policy, except that message ids are never turned into encoded words."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """Fold long lists of ids between ids only: the library encodes an id beyond 78 characters."""
        if name.lower() in _ID_HEADERS:
            ids = "\r\n ".join(value.split())
            return f"{name}: {ids}\r\n".encode("ascii", "ignore")
        return super().fold_binary(name, value)


_POLICY = _Policy(linesep="\r\n", utf8=False)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What makes a mail unique: its Message-ID (with brackets) and its time."""

    message_id: str
    at: int


def compose(account: Account, letter: Letter, parent: Message | None, stamp: Stamp) -> bytes:
    """Return the mail as it goes over the wire; `parent` is the message replied to."""
    mail = EmailMessage(policy=_POLICY)
    sender = letter.sender or Address(account.name, account.email_address)
    mail["From"] = _addresses([sender])
    for name, people in (("To", letter.to), ("Cc", letter.cc), ("Reply-To", letter.reply_to)):
        if people:
            mail[name] = _addresses(people)
    mail["Subject"] = _subject(letter, parent)
    mail["Date"] = formatdate(stamp.at, usegmt=True)
    mail["Message-ID"] = stamp.message_id
    if parent and parent.message_id:
        mail["In-Reply-To"] = parent.message_id
        mail["References"] = " ".join(_references(parent, parent.message_id))
    for name, value in letter.headers:
        mail[name] = value
    mail.set_content(text_of(letter.body))
    mail.add_alternative(letter.body, subtype="html")
    return mail.as_bytes()


def text_of(html: str) -> str:
    """Return HTML as plain text with a line for each block."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.pieces).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data.replace("\n", " "))


def _subject(letter: Letter, parent: Message | None) -> str:
    if letter.subject is not None:
        return letter.subject
    return " ".join(parent.subject.split()) if parent else ""


def _references(parent: Message, own: str) -> list[str]:
    ids = list(dict.fromkeys([*parent.references, own]))
    # The first and the latest ids are those that thread a mail (RFC 5537 §3.4.4).
    return ids if len(ids) <= _MAX_REFERENCES else [ids[0], *ids[-_MAX_REFERENCES + 1 :]]


def _addresses(people: Iterable[Address]) -> list[HeaderAddress]:
    found = []
    for person in people:
        local, _, domain = person.email.rpartition("@")
        found.append(HeaderAddress(display_name=person.name, username=local, domain=domain))
    return found
