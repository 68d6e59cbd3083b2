"""A mail as a client asked for it, checked before anything is built or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import Address
from chalicelib.errors import InvalidRequest, SendFailed, TooLarge
from chalicelib.sending import names
from chalicelib.wire import body as read
from chalicelib.wire.mail.participant import load_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be sent; `subject` None means that of the message replied to."""

    subject: str | None
    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    body: str
    headers: tuple[tuple[str, str], ...]
    reply_to_message_id: str | None
    thread_id: str | None

    @property
    def recipients(self) -> list[str]:
        """Every address once, in order."""
        people = (*self.to, *self.cc, *self.bcc)
        return list({person.email.lower(): person.email for person in people}.values())


def load(body: Mapping[str, Any]) -> Letter:
    """Read and check the body of POST /send. Raises InvalidRequest or SendFailed."""
    _refuse_unsupported(body)
    sender, reply_to = _at_most_one(body, "from"), _at_most_one(body, "reply_to")
    subject = read.text(body, "subject")
    letter = Letter(
        subject=None if subject is None else _line(subject, "subject", bounds.SENT_SUBJECT_BYTES),
        sender=sender[0] if sender else None,
        to=_people(body, "to"),
        cc=_people(body, "cc"),
        bcc=_people(body, "bcc"),
        reply_to=reply_to,
        body=_content(body),
        headers=_headers(body.get("custom_headers")),
        reply_to_message_id=read.text(body, "reply_to_message_id") or None,
        thread_id=read.text(body, "thread_id") or None,
    )
    _refuse_crowd(letter)
    return letter


def own(account: Account) -> Address:
    """Return the account as an author, its name fit for a header. Raises InvalidRequest or SendFailed."""
    name = names.one_line(account.name, bounds.SENT_NAME_BYTES)
    return Address(name, names.deliverable(account.email_address, "address of the account"))


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    if body.get("draft_id"):
        raise InvalidRequest("Sending of drafts is not supported: send the fields themselves")
    if body.get("file_ids"):
        raise InvalidRequest("Sending of attachments is not supported")
    tracking = body.get("tracking")
    if tracking and not isinstance(tracking, dict):
        raise InvalidRequest("tracking must be an object")
    if tracking and any(tracking.get(key) for key in ("links", "opens", "thread_replies")):
        raise SendFailed(501, "Tracking is not supported. Nothing was sent.")


def _refuse_crowd(letter: Letter) -> None:
    if not letter.recipients:
        raise InvalidRequest("No recipients specified")
    if len(letter.to) + len(letter.cc) + len(letter.bcc) > bounds.SENT_RECIPIENTS:
        raise InvalidRequest(f"A mail may have at most {bounds.SENT_RECIPIENTS} recipients")


def _content(body: Mapping[str, Any]) -> str:
    content = read.text(body, "body") or ""
    if len(content) > bounds.SENT_BODY_BYTES or len(content.encode()) > bounds.SENT_BODY_BYTES:
        raise TooLarge(f"body may have at most {bounds.SENT_BODY_BYTES} bytes. Nothing was sent.")
    return content


def _at_most_one(body: Mapping[str, Any], key: str) -> tuple[Address, ...]:
    people = _people(body, key)
    if len(people) > 1:
        raise InvalidRequest(f"{key} may hold one participant only")
    return people


def _people(body: Mapping[str, Any], key: str) -> tuple[Address, ...]:
    found = load_all(body, key)
    if len(found) > bounds.SENT_RECIPIENTS:
        raise InvalidRequest(f"{key} may hold at most {bounds.SENT_RECIPIENTS} participants")
    return tuple(_person(person, key) for person in found)


def _person(person: Address, key: str) -> Address:
    name = person.name.encode("utf-8", "replace").decode()
    name = _line(name, f"The name of a participant of {key}", bounds.SENT_NAME_BYTES)
    return Address(name, names.deliverable(person.email, "recipient address"))


def _headers(value: Any) -> tuple[tuple[str, str], ...]:
    """Read `[{"name", "value"}]` or an object of names and values."""
    if value is None:
        return ()
    if isinstance(value, dict):
        value = [{"name": name, "value": text} for name, text in value.items()]
    if not isinstance(value, list):
        raise InvalidRequest("custom_headers must be an array of objects with name and value")
    if len(value) > bounds.SENT_CUSTOM_HEADERS:
        raise InvalidRequest(f"A mail may have at most {bounds.SENT_CUSTOM_HEADERS} custom_headers")
    headers = tuple(_header(item) for item in value)
    once = [name.lower() for name, _ in headers if not names.may_repeat(name)]
    if len(once) > len(set(once)):
        raise InvalidRequest("custom_headers may name only X-…, Comments and Keywords more than once")
    return headers


def _header(item: Any) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise InvalidRequest("custom_headers must hold objects with name and value")
    name, value = read.required(item, "name"), read.required(item, "value")
    if not names.is_header_name(name):
        raise InvalidRequest(f"{name[:100]} is not a header name")
    if names.is_reserved(name):
        raise InvalidRequest(f"custom_headers may not set {name}")
    line = _line(value, name, bounds.SENT_HEADER_VALUE_BYTES)
    if not line:
        raise InvalidRequest(f"{name} has no value")
    if max(map(len, line.split(" "))) > bounds.SENT_WORD_CHARACTERS:
        raise InvalidRequest(f"{name} holds a word that fits into no line")
    return name, line


def _line(text: str, key: str, longest: int) -> str:
    """Return a text that may go into one header, without the blanks around it. Raises InvalidRequest."""
    if names.breaks_lines(text):
        raise InvalidRequest(f"{key[:100]} must be a single line without control characters")
    if len(text) > longest or len(text.encode()) > longest:
        raise InvalidRequest(f"{key[:100]} may have at most {longest} bytes")
    return text.replace("\t", " ").strip()
