"""A mail as a client asked for it, checked before anything is built or sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.message import Address
from chalicelib.errors import InvalidRequest, SendFailed
from chalicelib.wire import body as read
from chalicelib.wire.participant import load_all

_ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"]+@[^\s@<>()\[\]\\,;:\"]+")
_HEADER = re.compile(r"[!-9;-~]{1,76}")
_STRUCTURAL = {
    "bcc", "cc", "date", "dkim-signature", "from", "in-reply-to", "message-id", "mime-version",
    "received", "references", "reply-to", "return-path", "sender", "subject", "to",
}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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
    letter = Letter(
        subject=_line(read.text(body, "subject"), "subject"),
        sender=sender[0] if sender else None,
        to=_people(body, "to"),
        cc=_people(body, "cc"),
        bcc=_people(body, "bcc"),
        reply_to=reply_to,
        body=read.text(body, "body") or "",
        headers=_headers(body.get("custom_headers")),
        reply_to_message_id=read.text(body, "reply_to_message_id") or None,
        thread_id=read.text(body, "thread_id") or None,
    )
    if not letter.recipients:
        raise InvalidRequest("No recipients specified")
    return letter


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


def _at_most_one(body: Mapping[str, Any], key: str) -> tuple[Address, ...]:
    people = _people(body, key)
    if len(people) > 1:
        raise InvalidRequest(f"{key} may hold one participant only")
    return people


def _people(body: Mapping[str, Any], key: str) -> tuple[Address, ...]:
    return tuple(_deliverable(person) for person in load_all(body, key))


def _deliverable(person: Address) -> Address:
    local, _, domain = person.email.rpartition("@")
    if not _ADDRESS.fullmatch(person.email) or _CONTROL.search(person.name):
        raise InvalidRequest(f"Invalid recipient address {person.email[:255]}")
    if not local.isascii():
        raise SendFailed(402, f"The address {person.email[:255]} holds non-ASCII characters before its @.")
    try:
        host = domain.encode("idna").decode()
    except UnicodeError as error:
        raise InvalidRequest(f"Invalid recipient address {person.email[:255]}") from error
    return Address(person.name.encode("utf-8", "replace").decode(), f"{local}@{host}")


def _headers(value: Any) -> tuple[tuple[str, str], ...]:
    """Read `[{"name", "value"}]` or an object of names and values."""
    if value is None:
        return ()
    if isinstance(value, dict):
        value = [{"name": name, "value": text} for name, text in value.items()]
    if not isinstance(value, list):
        raise InvalidRequest("custom_headers must be an array of objects with name and value")
    return tuple(_header(item) for item in value)


def _header(item: Any) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise InvalidRequest("custom_headers must hold objects with name and value")
    name, text = read.required(item, "name"), read.required(item, "value")
    if not _HEADER.fullmatch(name):
        raise InvalidRequest(f"{name[:100]} is not a header name")
    if name.lower() in _STRUCTURAL or name.lower().startswith(("content-", "resent-")):
        raise InvalidRequest(f"custom_headers may not set {name}")
    return name, _line(text, name) or ""


def _line(text: str | None, key: str) -> str | None:
    if text is not None and _CONTROL.search(text.replace("\t", " ")):
        raise InvalidRequest(f"{key[:100]} must be a single line without control characters")
    return text
