"""A made-up mailbox: the same messages for the same arguments, varied as real ones are.

Conversations linked by References, newsletters in HTML, attachments, several languages and charsets,
read and unread, starred, in several folders.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr

from infra.demo import words

OWNER = ("Mira Okafor", "mira@kestrel.example")
_PEOPLE = [
    ("Tide Office", "tide@harbour.example"),
    ("Jonas Weiß", "jonas@werft.example"),
    ("Zoë Lindqvist", "zoe@lind.example"),
    ("Παύλος Ηλιάδης", "pavlos@nisi.example"),
    ("佐藤 健", "sato@minato.example"),
    ("Ana-María Ríos", "ana@puerto.example"),
    ("", "noreply@shop.example"),
    ("Harbour News", "news@lists.example"),
]
_CHARSETS = ["us-ascii"] * 5 + ["utf-8"] * 5 + ["iso-8859-1", "koi8-r", "iso-2022-jp"]
_ATTACHMENTS = [
    ("soundings.csv", "text", "csv"),
    ("chart.pdf", "application", "pdf"),
    ("Prüfbericht.docx", "application", "octet-stream"),
    ("quay.png", "image", "png"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeMessage:
    """One message: where it lies, its IMAP flags, its INTERNALDATE in Unix seconds, its bytes."""

    folder: str
    flags: tuple[str, ...]
    at: int
    raw: bytes


@dataclass(slots=True)
class _Conversation:
    subject: str
    person: tuple[str, str]
    ids: list[str]


def make_mailbox(count: int, seed: int = 7, until: int = 1_735_000_000) -> Iterator[MadeMessage]:
    """Yield `count` messages, oldest first, the last at `until` (Unix seconds)."""
    dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
    open_ones: list[_Conversation] = []
    at = until - count * 1800
    for number in range(count):
        at += dice.randint(600, 3000)
        yield _message(dice, number, min(at, until), _conversation(dice, open_ones, number))


def _conversation(dice: random.Random, open_ones: list[_Conversation], number: int) -> _Conversation:
    if open_ones and dice.random() < 0.55:
        return dice.choice(open_ones[-12:])
    conversation = _Conversation(words.subject(dice, number), dice.choice(_PEOPLE), [])
    open_ones.append(conversation)
    return conversation


def _message(dice: random.Random, number: int, at: int, talk: _Conversation) -> MadeMessage:
    is_ours = bool(talk.ids) and dice.random() < 0.35
    sender, recipient = (OWNER, talk.person) if is_ours else (talk.person, OWNER)
    mail = EmailMessage()
    mail["From"], mail["To"] = formataddr(sender), formataddr(recipient)
    mail["Subject"] = f"Re: {talk.subject}" if talk.ids else talk.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(at - 5, UTC))
    mail["Message-ID"] = f"<{number}.{at}@{sender[1].split('@')[1]}>"
    if talk.ids:
        mail["In-Reply-To"], mail["References"] = talk.ids[-1], " ".join(talk.ids[-10:])
    talk.ids.append(mail["Message-ID"])
    _fill(dice, mail)
    for depth, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_{number}_{depth}")  # the library's own choice is random
    return MadeMessage(folder=_folder(dice, is_ours), flags=_flags(dice, is_ours), at=at, raw=mail.as_bytes())


def _fill(dice: random.Random, mail: EmailMessage) -> None:
    charset = dice.choice(_CHARSETS)
    size = min(int(dice.lognormvariate(5, 1)), 4000)
    text = words.letter(dice, charset, size)
    mail.set_content(text, charset=charset, cte="base64" if charset == "utf-8" else None)
    if dice.random() < 0.7:
        mail.add_alternative(words.page(text), subtype="html", charset="utf-8", cte="quoted-printable")
    if dice.random() < 0.15:
        name, main, sub = dice.choice(_ATTACHMENTS)
        mail.add_attachment(
            dice.randbytes(dice.randint(500, 60_000)), maintype=main, subtype=sub, filename=name
        )


def _folder(dice: random.Random, is_ours: bool) -> str:
    if is_ours:
        return "Sent"
    return dice.choices(["INBOX", "Archive", "Projects/Kestrel", "Trash"], [70, 20, 7, 3])[0]


def _flags(dice: random.Random, is_ours: bool) -> tuple[str, ...]:
    flags = [r"\Seen"] if is_ours or dice.random() < 0.7 else []
    return (*flags, r"\Flagged") if dice.random() < 0.05 else tuple(flags)
