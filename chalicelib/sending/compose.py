"""The MIME of a mail to be sent: text and HTML in 7-bit lines, which every server takes."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from email.utils import formatdate
from itertools import accumulate

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import Message
from chalicelib.formats.text.plain import text_of
from chalicelib.sending import header
from chalicelib.sending.letter import Letter, own

_SEVEN_BIT = re.compile(r"(?:[\t -~]{0,998}\n)*+")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What makes a mail unique: its Message-ID (with brackets) and its time."""

    message_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Composed:
    """A mail in its two forms: what goes over the wire, and the sender's own copy, which alone names Bcc."""

    wire: bytes
    copy: bytes


def compose(account: Account, letter: Letter, parent: Message | None, stamp: Stamp) -> Composed:
    """Return the mail; `parent` is the message replied to. Raises InvalidRequest or TooLarge."""
    people, rest = _people(account, letter), _rest(letter, parent, stamp)
    boundary = f"=_{stamp.message_id.strip('<>').partition('@')[0]}"
    body = _alternatives(letter.body.replace("\0", ""), boundary)
    rest += [
        header.verbatim("MIME-Version", "1.0"),
        header.verbatim("Content-Type", f'multipart/alternative; boundary="{boundary}"'),
    ]
    blind = [header.mailboxes("Bcc", letter.bcc)] if letter.bcc else []
    wire, copy = header.block([*people, *rest]), header.block([*people, *blind, *rest])
    return Composed(wire + body, copy + body)


def _people(account: Account, letter: Letter) -> list[header.Header]:
    """Return who writes to whom; who sends for another address says so (RFC 5322 §3.6.2)."""
    mine = own(account)
    sender = letter.sender or mine
    is_mine = sender.email.lower() == mine.email.lower()
    lists = (
        ("From", (sender,)),
        ("Sender", () if is_mine else (mine,)),
        ("To", letter.to),
        ("Cc", letter.cc),
        ("Reply-To", letter.reply_to),
    )
    return [header.mailboxes(name, people) for name, people in lists if people]


def _rest(letter: Letter, parent: Message | None, stamp: Stamp) -> list[header.Header]:
    found = [
        header.text("Subject", _subject(letter, parent)),
        header.verbatim("Date", formatdate(stamp.at, usegmt=True)),
        header.ids("Message-ID", [stamp.message_id]),
    ]
    if parent and parent.message_id and header.is_id(parent.message_id):
        found.append(header.ids("In-Reply-To", [parent.message_id]))
        found.append(header.ids("References", _references(parent, parent.message_id)))
    return found + [header.verbatim(name, value) for name, value in letter.headers]


def _subject(letter: Letter, parent: Message | None) -> str:
    if letter.subject is not None:
        return letter.subject
    return " ".join(parent.subject.split()) if parent else ""


def _references(parent: Message, own_id: str) -> list[str]:
    """Return the first and the latest ids, which are those that thread a mail (RFC 5537 §3.4.4)."""
    first, *others = (id for id in dict.fromkeys([*parent.references, own_id]) if header.is_id(id))
    lengths = accumulate(len(id) + 1 for id in reversed(others))
    fitting = sum(1 for length in lengths if length <= bounds.SENT_REFERENCES_BYTES)
    return [first, *others[len(others) - fitting :]]


def _alternatives(html: str, boundary: str) -> bytes:
    parts = [_part("plain", text_of(html)), _part("html", html)]
    return b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts) + (
        f"--{boundary}--\r\n".encode()
    )


def _part(subtype: str, text: str) -> bytes:
    """Return a text part, encoded unless its lines are plain and not too long."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text if text.endswith("\n") else f"{text}\n"
    if _SEVEN_BIT.fullmatch(text):
        encoding, data = "7bit", text.encode()
    else:
        encoding, data = _encoded(text.encode())
    head = f'Content-Type: text/{subtype}; charset="utf-8"\nContent-Transfer-Encoding: {encoding}\n\n'
    return (head.encode() + data).replace(b"\n", b"\r\n")


def _encoded(data: bytes) -> tuple[str, bytes]:
    """Return the shorter encoding: quoted-printable triples what base64 lengthens by a third."""
    foreign = len(data) - len(data.translate(None, bytes(range(128, 256))))
    if foreign * 6 > len(data):
        return "base64", base64.encodebytes(data)
    return "quoted-printable", binascii.b2a_qp(data)
