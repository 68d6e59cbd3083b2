"""A message as the table `mail` keeps it."""

from __future__ import annotations

from chalicelib.domain.mail.message import Message, Place
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.ids import dated_id

MESSAGE = Message(
    id=dated_id(1_700_000_000, "a", "x"), account_id="a", thread_id="t", subject="s", sender=(), to=(), cc=(),
    bcc=(), reply_to=(), date=1_700_000_000, size=1, snippet="", files=(), message_id=None, in_reply_to=None,
    references=(), folder_id="all", unread=True, starred=False, rev=1, identity="17",
    places=(Place("all", RemoteId("1.1"), Flags("")),), label_ids=("l", "m"),
)  # fmt: skip
