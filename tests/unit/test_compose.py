from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import pytest

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import Address, Message
from chalicelib.errors import InvalidRequest, TooLarge
from chalicelib.formats.mime.mime import parse
from chalicelib.sending.compose import Composed, compose
from chalicelib.sending.letter import load
from tests.fakes.mail_readers import python_text
from tests.worlds.sending import ACCOUNT, STAMP

PARENT = Message(
    id="m", account_id="acc", thread_id="t", subject="Harbour", sender=(), to=(), cc=(), bcc=(), reply_to=(),
    date=0, size=0, snippet="", files=(), message_id="<2@h.example>", in_reply_to=None,
    references=("<1@h.example>",), folder_id=None, unread=False, starred=False,
)  # fmt: skip


ALWAYS = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]
PEOPLE = [{"email": "tide@harbour.example", "name": "Tide, Inc."}]
INJECTION = "=?utf-8?q?Hi=0d=0aReply-To:_evil=40attacker.example=0d=0aX-Injected:_1?="


def composed(parent: Message | None = None, account: Account = ACCOUNT, **fields: Any) -> Composed:
    """Compose what is asked for; `sender` stands for the field `from`."""
    asked = {"from" if key == "sender" else key: value for key, value in fields.items()}
    return compose(account, load({"to": PEOPLE, **asked}), parent, STAMP)


def mail_of(parent: Message | None = None, account: Account = ACCOUNT, **fields: Any) -> Any:
    return message_from_bytes(composed(parent, account, **fields).wire, policy=policy.default)


def plainly_read(raw: bytes) -> Any:
    """Read a mail without any interpretation of its headers."""
    return message_from_bytes(raw)


def header_lines(raw: bytes) -> list[bytes]:
    return raw.partition(b"\r\n\r\n")[0].split(b"\r\n")


def names_of(raw: bytes) -> list[str]:
    return [line.split(b":")[0].decode() for line in header_lines(raw) if line[:1] != b" "]


def test_a_mail_has_text_and_html() -> None:
    mail = mail_of(subject="Grüße", body="<p>Hallo <b>Wörld</b></p><p>Ende</p>")
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative", "text/plain", "text/html"
    ]  # fmt: skip
    assert mail["Subject"] == "Grüße"
    assert mail["From"].addresses[0].display_name == "Mira Ökafor"
    assert mail["To"].addresses[0].display_name == "Tide, Inc."
    assert mail.get_body(("plain",)).get_content().split() == ["Hallo", "Wörld", "Ende"]
    assert "Wörld" in mail.get_body(("html",)).get_content()


def test_only_the_senders_copy_names_the_blind_recipients() -> None:
    mail = composed(bcc=[{"email": "b@x.example", "name": "Größe, B."}], body="<p>x</p>")
    assert b"b@x.example" not in mail.wire and b"Bcc" not in mail.wire
    [bcc] = parse(mail.copy).bcc
    assert bcc == Address("Größe, B.", "b@x.example")
    assert [line for line in mail.copy.split(b"\r\n") if b"Bcc" not in line] == mail.wire.split(b"\r\n")


def test_a_reply_carries_the_ids_unbroken() -> None:
    long = f"<{'x' * 200}@h.example>"
    mail = mail_of(parent=replace(PARENT, message_id=long))
    assert mail["In-Reply-To"] == long
    assert mail["References"].split() == ["<1@h.example>", long]
    assert mail["Message-ID"] == STAMP.message_id and mail["Subject"] == "Harbour"


def test_a_reply_in_a_long_conversation_names_its_first_and_latest_ids() -> None:
    ids = tuple(f"<{number}-{'x' * 300}@h.example>" for number in range(100))
    references = mail_of(parent=replace(PARENT, references=ids))["References"].split()
    assert references[0] == ids[0] and references[-1] == PARENT.message_id
    assert references[1:-1] == list(ids[-len(references) + 2 :])
    assert len(" ".join(references[1:])) <= bounds.SENT_REFERENCES_BYTES


@pytest.mark.parametrize(
    "id",
    [
        "<ü@h.example>",
        f"<{'x' * 996}>",
        "<=?utf-8?q?a=0d=0aX:_1?=@h.example>",
        "<a\x01@h.example>",
        "<a b@h>",
    ],
)
def test_an_id_that_no_header_can_hold_is_left_out(id: str) -> None:
    mail = mail_of(parent=replace(PARENT, references=(id, "<1@h.example>")))
    assert mail["References"].split() == ["<1@h.example>", "<2@h.example>"]
    lonely = mail_of(parent=replace(PARENT, message_id=id))
    assert lonely["In-Reply-To"] is None and lonely["References"] is None


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"subject": INJECTION}, ""),
        ({"subject": INJECTION.replace("Hi=0d=0a", "=0d=0a=0d=0a")}, ""),
        ({"subject": "=?utf-8?b?YQ0KWC1JbmplY3RlZDogMQ==?= and more"}, ""),
        ({"subject": "=?iso-8859-1*en?q?a=0aX-Injected:_1?=" + " x" * 60}, ""),
        ({"to": [{"email": "a@b.example", "name": INJECTION}]}, ""),
        ({"cc": [{"email": "a@b.example", "name": f"Ann {INJECTION}"}]}, "Cc"),
        ({"sender": [{"email": "a@b.example", "name": INJECTION}]}, "Sender"),
        ({"reply_to": [{"email": "a@b.example", "name": f'"{INJECTION}"'}]}, "Reply-To"),
        ({"bcc": [{"email": "a@b.example", "name": INJECTION}]}, "Bcc"),
        ({"custom_headers": {"X-A": INJECTION}}, "X-A"),
        ({"custom_headers": {"List-Id": f"{INJECTION} <l.example>"}}, "List-Id"),
        ({"custom_headers": {"X-A": "=?utf-8?q?=0d?= =?utf-8?q?=0aX-Injected:?="}}, "X-A"),
    ],
)
def test_encoded_words_in_what_is_asked_for_are_text(fields: dict[str, Any], asked: str) -> None:
    mail = composed(body="x", **fields)
    assert sorted(names_of(mail.copy)) == sorted([*ALWAYS, *asked.split()])
    if "subject" in fields:
        assert python_text(plainly_read(mail.wire)["Subject"]) == fields["subject"]


def test_an_outsider_writes_no_header_of_a_reply() -> None:
    mail = composed(replace(PARENT, subject=INJECTION, message_id=f"<{INJECTION}@h.example>"))
    assert sorted(names_of(mail.wire)) == sorted(ALWAYS)
    assert python_text(plainly_read(mail.wire)["Subject"]) == INJECTION


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (INJECTION, INJECTION),
        ("Mira\r\nBcc: x@y.example", "Mira Bcc: x@y.example"),
        ("Mi\0ra\x7f \x85\u2028Ö", "Mi ra Ö"),
        ("x" * 5000, "x" * bounds.SENT_NAME_BYTES),
        ("名" * 5000, "名" * (bounds.SENT_NAME_BYTES // 3)),
    ],
)
def test_whatever_an_account_is_called_its_mail_has_one_author(name: str, shown: str) -> None:
    raw = composed(account=replace(ACCOUNT, name=name)).wire
    assert parse(raw).sender == (Address(shown[:255], ACCOUNT.email_address),)
    assert names_of(raw)[:2] == ["From", "To"]


@pytest.mark.parametrize("email", ["mira@\rkestrel.example", "mira", "x\0@y.example", "a@=?utf-8?q?x?="])
def test_an_account_whose_address_is_none_cannot_send(email: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid address of the account"):
        composed(account=replace(ACCOUNT, email_address=email))


def test_who_writes_for_another_address_is_named_as_the_sender() -> None:
    other = mail_of(sender=[{"email": "sales@kestrel.example", "name": "Sales"}])
    assert (other["From"], other["Sender"]) == (
        "Sales <sales@kestrel.example>", "Mira Ökafor <mira@kestrel.example>"
    )  # fmt: skip
    assert mail_of(sender=[{"email": "Mira@Kestrel.example"}])["Sender"] is None


def test_a_custom_header_stays_as_it_is_on_one_line() -> None:
    link = f"<https://x.example/u?{'token' * 30}=?x=?y>, <mailto:u@x.example?subject=unsubscribe>"
    lines = header_lines(composed(custom_headers={"List-Unsubscribe": link, "X-Json": '{"a":  [1]}'}).wire)
    assert b"List-Unsubscribe: " + link.encode() in lines and b'X-Json: {"a":  [1]}' in lines


def test_a_custom_header_beyond_any_line_ends_between_words() -> None:
    value = " ".join(f"<https://x.example/{number}/{'u' * 90}>," for number in range(20))
    raw = composed(custom_headers={"X-Links": value}).wire
    assert max(map(len, header_lines(raw))) <= 998
    assert plainly_read(raw)["X-Links"].replace("\r\n", "") == value


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("<p>plain</p>", "7bit"),
        ("<p>Grüße an alle, die dies lesen</p>", "quoted-printable"),
        ("<p>Привет, мир</p>", "base64"),
        ("x" * 999, "quoted-printable"),
        ("a\x01b\x7f", "quoted-printable"),
        ("a\rb\r\nc\n", "7bit"),
        ("\ufeffa\u2028b\x85c" * 20, "base64"),
        (".\r\n..\r\nFrom x\r\n=\r\n=20 \r\nü \t\r\n", "quoted-printable"),
        ("", "7bit"),
    ],
)
def test_a_body_goes_out_in_seven_bits_and_is_read_as_it_was(body: str, encoding: str) -> None:
    raw = composed(body=body).wire
    html = plainly_read(raw).get_payload()[1]
    assert html["Content-Transfer-Encoding"] == encoding
    read = html.get_payload(decode=True).decode().replace("\r\n", "\n")
    assert read.rstrip("\n") == body.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"")


def test_no_mail_holds_a_nul() -> None:
    mail = composed(body="a\0b", bcc=[{"email": "b@x.example"}])
    assert b"\0" not in mail.copy and b"=00" not in mail.copy and b"ab" in mail.wire


@pytest.mark.parametrize("piece", ["ü", "名", "é,", "üa bcdefghijklmnopqrstuvw ", "=?", "x"])
def test_whatever_is_as_long_as_it_may_be_is_read_back(piece: str) -> None:
    def most(size: int) -> str:
        return (piece * size).encode()[:size].decode("utf-8", "ignore")

    crowd = [{"email": f"person.{n}@verwaltung.example.org", "name": most(90)} for n in range(200)]
    value = most(bounds.SENT_HEADER_VALUE_BYTES - 10)
    longest = " ".join(value[at : at + 800] for at in range(0, len(value), 800))
    raw = composed(to=crowd, subject=most(1000), custom_headers={"X-A": longest}).wire
    assert [person.email for person in parse(raw).to] == [person["email"] for person in crowd]


def test_a_header_of_many_long_names_is_too_large() -> None:
    crowd = [{"email": f"a{number}@x.example", "name": "ü" * 500} for number in range(400)]
    with pytest.raises(TooLarge, match="header has"):
        composed(bcc=crowd)
