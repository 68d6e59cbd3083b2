"""How a thread looks once some of its messages have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread, with_messages
from chalicelib.store.values import Revised


def rethreaded(thread: Thread, messages: Sequence[Message], sent: str | None) -> Revised[Thread]:
    """Return a thread before and after its messages among these took their new form."""
    own = [message for message in messages if message.thread_id == thread.id]
    new = with_messages(thread, own, sent)
    return Revised(thread, new if new is thread else replace(new, version=thread.version + 1))
