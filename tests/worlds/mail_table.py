"""A deployment, its mail table and mail for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.config import Settings
from chalicelib.domain.mail.anchor import Anchor, Candidate
from chalicelib.domain.mail.message import Address, File, Message, Place, RawRef
from chalicelib.domain.mail.thread import Thread, empty_thread, with_messages
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.store.aws.connection import client
from chalicelib.store.objects.mail import MailTable
from chalicelib.store.values import Location, MailChanges, Revised
from tests.integration.aws import deployment

NOW = 1_750_000_000
DAY = 86400
ACCOUNT = ids.derived_id("account")
INBOX = ids.derived_id("inbox")


@dataclass
class World:
    """A deployment, its mail table and what its writes have cost."""

    settings: Settings
    mail: MailTable
    dynamodb: Any
    now: float = NOW


@pytest.fixture
def world() -> Iterator[World]:
    with deployment() as settings:
        dynamodb = client(settings, "dynamodb")
        world = World(settings, MailTable(dynamodb, settings), dynamodb)
        world.mail = MailTable(dynamodb, settings, now=lambda: world.now)
        yield world


def message(name: str, date: int = NOW, **changes: Any) -> Message:
    id = ids.dated_id(date, ACCOUNT, name)
    attachment = File(
        id=ids.dated_id(date, id, "2"), filename="offer.pdf", content_type="application/pdf",
        size=1234, disposition="attachment", content_id=None, part=2,
    )  # fmt: skip
    usual = Message(
        id=id, account_id=ACCOUNT, thread_id=ids.derived_id("thread", name), subject=f"Grüße {name}",
        sender=(Address("Ann", "ann@example.com"),), to=(Address("", "bob@example.com"),), cc=(), bcc=(),
        reply_to=(), date=date, size=6000, snippet="Hello " * 20, files=(attachment,),
        message_id=f"<{name}@example.com>", in_reply_to=None, references=("<r@example.com>",),
        folder_id=INBOX, unread=True, starred=False,
        places=(Place(INBOX, RemoteId("1.2"), Flags("")),), raw=RawRef("raw/1", 0, 6000, NOW),
    )  # fmt: skip
    return replace(usual, **changes)


def thread_with(*messages: Message) -> Thread:
    return with_messages(empty_thread(messages[0].thread_id, ACCOUNT), messages, None)


def arrival(new: Message, body: str = "<p>hi</p>") -> MailChanges:
    anchors = [Anchor(key=f"m:{new.id}", candidates=(Candidate(new.thread_id),), message_ids=(new.id,))]
    end = new.expires_at
    return MailChanges(
        messages=[Revised(None, new)],
        bodies={new.id: body},
        bodies_expire={new.id: end},
        threads=[Revised(None, replace(thread_with(new), expires_at=end))],
        anchors=anchors,
        anchors_expire=end,
        new_locations={(INBOX, RemoteId(f"1.{new.date}")): Location(new.id, Flags("s"), end)},
    )
