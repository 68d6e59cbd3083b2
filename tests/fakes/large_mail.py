"""Mails of strangers who name more people, files and ancestors than a row has room for."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from chalicelib.domain.remote import Flags, RemoteId, RemoteMessage
from tests.fakes.mail import mail

PICTURED = 'Content-Disposition: attachment; filename="{number}' + "🙂" * 150 + '"'
NAMED = "Content-Type: image/png\r\nContent-ID: <{number}." + "c" * 450 + ">"


def _encoded(text: str) -> str:
    return f"=?utf-8?b?{b64encode(text.encode()).decode()}?="


def _people(count: int, name: str, domain: str = "harbour.example") -> str:
    return ",\r\n ".join(f"{name} <p{number}@{domain}>" for number in range(count))


def _with_heads(**heads: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in heads.items())
    return lines.encode() + b"Message-ID: <large@harbour.example>\r\nSubject: large\r\n\r\nhello\r\n"


def _with_parts(count: int, head: str) -> bytes:
    parts = "".join(f"--b\r\n{head.format(number=number)}\r\n\r\nx\r\n" for number in range(count))
    start = b'Content-Type: multipart/mixed; boundary="b"\r\n'
    return start + _with_heads(From="a@b.example").removesuffix(b"hello\r\n") + f"{parts}--b--\r\n".encode()


def _parts_and_people() -> bytes:
    parts = _with_parts(1_900, NAMED)
    return f"To: {_people(900, _encoded('汉' * 40))}\r\n".encode() + parts


def _ancestors() -> bytes:
    quotes = '"' * 900
    return "".join(f"References: <{number}.{quotes}@harbour.example>\r\n" for number in range(100)).encode()


LONG = _encoded("潮" * 60)
DOMAIN = "h" * 50 + ".example" * 25
LARGE: dict[str, bytes] = {
    "four lists of people": _with_heads(
        From="a@b.example", **dict.fromkeys(("To", "Cc", "Bcc", "Reply_To"), _people(900, LONG))
    ),
    "many authors": _with_heads(
        From=_people(1_000, _encoded("🙂" * 30)), **dict.fromkeys(("To", "Cc", "Bcc"), _people(700, LONG))
    ),
    "long addresses": _with_heads(
        From="a@b.example",
        **dict.fromkeys(("To", "Cc", "Bcc", "Reply_To"), _people(480, "", DOMAIN)),
    ),
    "long Content-IDs": _with_parts(1_900, NAMED),
    "long file names": _with_parts(
        1_200, 'Content-Disposition: attachment; filename="{number}' + "🙂" * 150 + '"'
    ),
    "parts and people": _parts_and_people(),
    "long references": _ancestors()
    + _with_heads(From="a@b.example", **dict.fromkeys(("To", "Cc", "Bcc"), _people(900, LONG))),
}


def arrived(raw: bytes) -> RemoteMessage:
    """Return a mail as a server gives it."""
    return RemoteMessage(id=RemoteId("1.1"), flags=Flags(""), received_at=1_700_000_000, raw=raw)


def small() -> Iterator[bytes]:
    """Yield usual mails."""
    yield mail("one", 1)
    yield mail("two", 2, "<1@harbour.example>")
    yield _with_heads(From="a@b.example", To=_people(500, "Ann"), Cc=_people(3, "Bob"))
    yield _with_parts(200, "Content-Type: image/png\r\nContent-ID: <{number}@harbour.example>")
