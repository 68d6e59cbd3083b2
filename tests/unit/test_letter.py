"""What may be asked of /send, and what is refused before anything is built."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import bounds
from chalicelib.errors import ApiError
from chalicelib.sending.letter import Letter, load

TIDE = {"email": "tide@harbour.example"}


def letter(**fields: Any) -> Letter:
    return load({"to": [TIDE], **fields})


def refusal(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        letter(**fields)
    assert len(caught.value.message) < 1000
    return caught.value


def header(name: str, value: str = "x") -> dict[str, Any]:
    return {"custom_headers": [{"name": name, "value": value}]}


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"to": []}, 400, "No recipients"),
        ({"to": [{"email": "nobody"}]}, 400, "Invalid recipient"),
        ({"to": [{"email": "a@b.example\r\nBcc: x@y.example"}]}, 400, "Invalid recipient"),
        ({"to": [{"email": "jörg@b.example"}]}, 402, "non-ASCII"),
        ({"subject": "a\r\nBcc: x@y.example"}, 400, "single line"),
        (header("Bcc", "x@y.example"), 400, "may not set"),
        (header("X-A", "b\nBcc: c"), 400, "single line"),
        ({"from": [{"email": "a@b.example"}, {"email": "c@d.example"}]}, 400, "one participant"),
        ({"tracking": {"opens": True}}, 501, "Tracking"),
        ({"file_ids": ["x"]}, 400, "attachments"),
        (header("X-A", " \t "), 400, "no value"),
        ({"custom_headers": {"Orig-Date": "a", "orig-date": "b"}}, 400, "more than once"),
        ({"custom_headers": {"List-Id": "a", "LIST-ID": "b"}}, 400, "more than once"),
    ],
)
def test_what_cannot_be_sent_is_refused(fields: dict[str, Any], status: int, said: str) -> None:
    error = refusal(**fields)
    assert error.status == status and said in error.message


@pytest.mark.parametrize(
    "char", ["\0", "\x01", "\v", "\f", "\x1c", "\x1e", "\x7f", "\x80", "\x85", "\u2028", "\u2029"]
)
def test_what_some_program_takes_for_a_line_end_or_a_control_is_refused(char: str) -> None:
    text = f"a{char}X: b"
    fields: list[dict[str, Any]] = [{"subject": text}, header("X-A", text)]
    fields += [{key: [{**TIDE, "name": text}]} for key in ("to", "cc", "bcc", "from", "reply_to")]
    for asked in fields:
        error = refusal(**asked)
        assert error.status == 400 and "single line" in error.message


@pytest.mark.parametrize(
    "email",
    [
        "a@=?utf-8?q?=0d=0aX:_1?=.org", "=?utf-8?q?=0d=0aX:_1?=@x.example", "x\0@y.example",
        "x\x7f@y.example",
        "a@b\x85.example", "a@b\u2028c.example", "a@b,c.example", "a b@c.example", "a@b@c.example",
        "a@b..example",
        "<a@b.example>", "a@-b.example", f"{'l' * 65}@x.example", f"a@{'d' * 64}.example",
        f"a@{'d.' * 130}example",
        "a@ " + "é" * 300 + ".example", "é" * 100_000 + "@x.example", "@x.example", "a@", "a@\ud800.example",
    ],
)  # fmt: skip
def test_an_address_that_could_say_more_than_an_address_is_refused(email: str) -> None:
    for key in ("to", "cc", "bcc", "from", "reply_to"):
        assert refusal(**{key: [{"email": email}]}).status in (400, 402)


@pytest.mark.parametrize(
    ("email", "sent"),
    [
        ("o'brien+tag=x@sub.x.example", "o'brien+tag=x@sub.x.example"),
        ("a@例え.example", "a@xn--r8jz45g.example"),
        ("a@Bücher。example", "a@xn--bcher-kva.example"),
        ("a@faß.example", "a@xn--fa-hia.example"),
        ("a@STRAẞE.example", "a@xn--strae-oqa.example"),
        (f"{'l' * 64}@{'d' * 63}.example", f"{'l' * 64}@{'d' * 63}.example"),
        ("root@localhost", "root@localhost"),
        (".dots..of.carriers.@docomo.example", ".dots..of.carriers.@docomo.example"),
    ],
)
def test_an_ordinary_address_is_taken(email: str, sent: str) -> None:
    assert letter(to=[{"email": email}]).to[0].email == sent


@pytest.mark.parametrize(
    "name",
    (
        "From To Cc Bcc Subject Date Message-ID In-Reply-To References Reply-To Sender MIME-Version "
        "Content-Type Content-Transfer-Encoding Received Return-Path DKIM-Signature DomainKey-Signature "
        "Authentication-Results ARC-Seal ARC-Message-Signature ARC-Authentication-Results Delivered-To "
        "X-Original-To Apparently-To Errors-To "
        "Envelope-To Received-SPF Resent-From Resent-Bcc X-Google-DKIM-Signature X-Gm-Message-State "
        "X-Spam-Status X-Spam X-Original-Authentication-Results X-MS-Exchange-Organization-SCL "
        "Original-Recipient Status X-Status "
        "X-Mozilla-Status X-UID X-IMAPbase X-Envelope-From Downgraded-From Authentication-Results-Original"
    ).split(),
)
def test_a_header_that_servers_or_mailboxes_write_cannot_be_set(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert refusal(**header(spelled)).message.startswith("custom_headers may not set")


@pytest.mark.parametrize(
    "name", ["", "X A", "X:", "X\r\n", "X\0", "Größe", "=?utf-8?q?X?=", "-X", "X" * 77, "(X)"]
)
def test_a_name_that_is_none_is_no_header(name: str) -> None:
    assert refusal(**header(name)).status == 400


@pytest.mark.parametrize(
    "name",
    "List-Unsubscribe List-Unsubscribe-Post List-Id Precedence Auto-Submitted X-Mailer X-Priority "
    "Organization Disposition-Notification-To Feedback-ID Thread-Topic Keywords BIMI-Selector".split(),
)
def test_a_header_that_authors_write_can_be_set(name: str) -> None:
    assert letter(**header(name)).headers == ((name, "x"),)


def test_own_headers_may_come_several_times() -> None:
    several = [{"name": "X-Tag", "value": "a"}, {"name": "X-Tag", "value": "b"}]
    assert letter(custom_headers=several).headers == (("X-Tag", "a"), ("X-Tag", "b"))


CROWD = [{"email": f"a{number}@x.example"} for number in range(bounds.SENT_RECIPIENTS)]


@pytest.mark.parametrize(
    ("most", "beyond", "status"),
    [
        ({"subject": "s" * 1000}, {"subject": "s" * 1001}, 400),
        ({"subject": "s"}, {"subject": "short words " * 90_000}, 400),
        ({"subject": "é" * 500}, {"subject": "é" * 501}, 400),
        ({"cc": [{**TIDE, "name": "n" * 1000}]}, {"cc": [{**TIDE, "name": "名" * 40_000}]}, 400),
        ({"from": [{**TIDE, "name": "n" * 999}]}, {"from": [{**TIDE, "name": "n" * 1001}]}, 400),
        ({"to": CROWD}, {"to": [*CROWD, TIDE]}, 400),
        ({"to": CROWD[:200], "bcc": CROWD[200:]}, {"cc": CROWD[:300], "bcc": CROWD[:200]}, 400),
        ({"reply_to": [TIDE]}, {"reply_to": CROWD * 20}, 400),
        (
            {"custom_headers": {f"X-{n}": "x" for n in range(50)}},
            {"custom_headers": {f"X-{n}": "x" for n in range(51)}},
            400,
        ),
        (header("X-A", "v " * 2499 + "v"), header("X-A", "v " * 2501), 400),
        (header("X-A", "v" * 900), header("X-A", "v" * 901), 400),
        ({"body": "b" * bounds.SENT_BODY_BYTES}, {"body": "é" * (bounds.SENT_BODY_BYTES // 2 + 1)}, 413),
    ],
)  # fmt: skip
def test_each_length_has_an_end(most: dict[str, Any], beyond: dict[str, Any], status: int) -> None:
    letter(**most)
    assert refusal(**beyond).status == status


def test_blanks_around_a_text_do_not_count() -> None:
    asked = letter(subject=" a\tb ", to=[{**TIDE, "name": "  Tide "}], **header("X-A", " v "))
    assert (asked.subject, asked.to[0].name, asked.headers) == ("a b", "Tide", (("X-A", "v"),))
