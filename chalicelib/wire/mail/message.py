"""Messages as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.wire.mail import file as file_wire
from chalicelib.wire.mail import folder as folder_wire
from chalicelib.wire.mail.participant import dump_all
from chalicelib.wire.size import INCOMPLETE

MessageJSON = dict[str, Any]


def dump(
    message: Message, body: str | None, folders: Mapping[str, Folder], expanded: bool = False
) -> MessageJSON:
    """Return the whole object; `expanded` adds the three threading headers, no body is one left out."""
    shown = _compact(message, folders)
    shown |= {INCOMPLETE: ["body"]} if body is None else {"body": body}
    shown["events"] = []
    if expanded:
        shown["headers"] = {
            "Message-Id": message.message_id,
            "In-Reply-To": message.in_reply_to,
            "References": list(message.references),
        }
    return shown


def inside_thread(message: Message, folders: Mapping[str, Folder]) -> MessageJSON:
    """Return the form inside an expanded thread: no body, no events, no headers."""
    return _compact(message, folders)


def _compact(message: Message, folders: Mapping[str, Folder]) -> MessageJSON:
    return {
        "id": message.id,
        "object": "message",
        "account_id": message.account_id,
        "thread_id": message.thread_id,
        "subject": message.subject,
        "from": dump_all(message.sender),
        "to": dump_all(message.to),
        "cc": dump_all(message.cc),
        "bcc": dump_all(message.bcc),
        "reply_to": dump_all(message.reply_to),
        "date": message.date,
        "unread": message.unread,
        "starred": message.starred,
        "snippet": message.snippet,
        "files": [file_wire.attached(file) for file in message.files],
        **_sorted_under(message, folders),
        "cids": [f.content_id for f in message.files if f.content_id and f.disposition == "inline"],
        "metadata": {},
    }


def _sorted_under(message: Message, folders: Mapping[str, Folder]) -> dict[str, Any]:
    """The folder, or the labels where mail bears those."""
    folder = folders.get(message.folder_id or "")
    if folder and folder.label:
        return {"labels": [folder_wire.reference(folders[id]) for id in message.folder_ids if id in folders]}
    return {"folder": folder_wire.reference(folder) if folder else None}
