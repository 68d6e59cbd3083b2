from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import pytest

from chalicelib.domain.account import Account, SyncState
from chalicelib.domain.message import Message
from chalicelib.errors import ApiError
from chalicelib.sending.compose import Stamp, compose, text_of
from chalicelib.sending.letter import load

ACCOUNT = Account(
    id="acc", application_id="app", email_address="mira@kestrel.example", name="Mira Ökafor", provider="imap",
    state=SyncState.RUNNING, linked_at=0, scopes="email", history_days=30,
)  # fmt: skip
PARENT = Message(
    id="m", account_id="acc", thread_id="t", subject="Harbour", sender=(), to=(), cc=(), bcc=(), reply_to=(),
    date=0, size=0, snippet="", files=(), message_id="<2@h.example>", in_reply_to=None,
    references=("<1@h.example>",), folder_id=None, unread=False, starred=False,
)  # fmt: skip
STAMP = Stamp("<own@kestrel.example>", 1671186614)


def mail_of(parent: Message | None = None, **fields: Any) -> Any:
    letter = load({"to": [{"email": "tide@harbour.example", "name": "Tide, Inc."}], **fields})
    return message_from_bytes(compose(ACCOUNT, letter, parent, STAMP), policy=policy.default)


def test_a_mail_has_text_and_html_and_no_bcc() -> None:
    mail = mail_of(
        subject="Grüße", body="<p>Hallo <b>Wörld</b></p><p>Ende</p>", bcc=[{"email": "b@x.example"}]
    )
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative", "text/plain", "text/html"
    ]  # fmt: skip
    assert mail["Subject"] == "Grüße" and mail["Bcc"] is None
    assert mail["From"].addresses[0].display_name == "Mira Ökafor"
    assert mail["To"].addresses[0].display_name == "Tide, Inc."
    assert mail.get_body(("plain",)).get_content().split() == ["Hallo", "Wörld", "Ende"]
    assert "Wörld" in mail.get_body(("html",)).get_content()


def test_a_reply_carries_the_ids_unbroken() -> None:
    long = f"<{'x' * 200}@h.example>"
    mail = mail_of(parent=replace(PARENT, message_id=long))
    assert mail["In-Reply-To"] == long
    assert mail["References"].split() == ["<1@h.example>", long]
    assert mail["Message-ID"] == STAMP.message_id and mail["Subject"] == "Harbour"


def test_custom_headers_go_out() -> None:
    headers = [{"name": "List-Unsubscribe", "value": "<https://x.example/u>"}]
    assert mail_of(custom_headers=headers)["List-Unsubscribe"] == "<https://x.example/u>"


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"to": []}, 400, "No recipients"),
        ({"to": [{"email": "nobody"}]}, 400, "Invalid recipient"),
        ({"to": [{"email": "a@b.example\r\nBcc: x@y.example"}]}, 400, "Invalid recipient"),
        ({"to": [{"email": "jörg@b.example"}]}, 402, "non-ASCII"),
        ({"subject": "a\r\nBcc: x@y.example"}, 400, "single line"),
        ({"custom_headers": [{"name": "Bcc", "value": "x@y.example"}]}, 400, "may not set"),
        ({"custom_headers": [{"name": "X-A", "value": "b\nBcc: c"}]}, 400, "single line"),
        ({"from": [{"email": "a@b.example"}, {"email": "c@d.example"}]}, 400, "one participant"),
        ({"tracking": {"opens": True}}, 501, "Tracking"),
        ({"file_ids": ["x"]}, 400, "attachments"),
    ],
)
def test_what_cannot_be_sent_is_refused(fields: dict[str, Any], status: int, said: str) -> None:
    with pytest.raises(ApiError, match=said) as caught:
        load({"to": [{"email": "tide@harbour.example"}], **fields})
    assert caught.value.status == status


def test_text_leaves_out_what_is_hidden() -> None:
    assert text_of("<head><title>x</title></head><style>p{}</style>a<br>b &amp; c") == "a\nb & c\n"
