"""Threads as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.wire.mail import folder as folder_wire
from chalicelib.wire.mail import message as message_wire
from chalicelib.wire.mail.participant import dump_all
from chalicelib.wire.size import INCOMPLETE

ThreadJSON = dict[str, Any]


def dump(thread: Thread, folders: Mapping[str, Folder]) -> ThreadJSON:
    """Return the object with the ids of its messages, oldest first."""
    return {**_common(thread, folders), "message_ids": thread.message_ids, "draft_ids": []}


def dump_expanded(
    thread: Thread, folders: Mapping[str, Folder], messages: Mapping[str, Message] | None
) -> ThreadJSON:
    """Return the object with its messages instead of their ids; None if they are left out."""
    shown = [messages[id] for id in thread.message_ids if id in messages] if messages is not None else []
    return {
        **_common(thread, folders),
        "messages": [message_wire.inside_thread(message, folders) for message in shown],
        "drafts": [],
        **({INCOMPLETE: ["messages"]} if messages is None else {}),
    }


def _common(thread: Thread, folders: Mapping[str, Folder]) -> ThreadJSON:
    shown = [folders[id] for id in thread.folder_ids if id in folders]
    under = "labels" if any(folder.label for folder in shown) else "folders"
    return {
        "id": thread.id,
        "object": "thread",
        "account_id": thread.account_id,
        "subject": thread.subject,
        "participants": dump_all(thread.participants),
        "last_message_timestamp": thread.last_at,
        "last_message_received_timestamp": thread.last_received_at,
        "last_message_sent_timestamp": thread.last_sent_at,
        "first_message_timestamp": thread.first_at,
        "snippet": thread.snippet,
        "unread": thread.unread,
        "starred": thread.starred,
        "has_attachments": thread.has_attachments,
        "version": thread.version,
        under: [folder_wire.reference(folder) for folder in shown],
    }
