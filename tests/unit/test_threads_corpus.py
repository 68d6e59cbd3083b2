"""A mailing list of the corpus: its threads are those of its References, whatever comes first."""

from __future__ import annotations

import json
import mailbox
import random
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from chalicelib.domain.mail.message import Message
from chalicelib.domain.remote import Flags, RemoteId, RemoteMessage
from chalicelib.formats.mime.mime import parse
from chalicelib.sync.mail.reading import message_of
from tests.corpus.stated import CORPUS
from tests.worlds.threads import Account

LIST = CORPUS / "threading" / "twisted-web-2005.mbox"
STATED = LIST.with_suffix(".threads.json")
ORDERS = ["oldest", "newest", *range(10)]
pytestmark = pytest.mark.skipif(not LIST.exists(), reason="no corpus here")


@cache
def archive() -> list[Message]:
    """The mails of the list, received one a minute."""
    mails = [mail.as_bytes() for mail in mailbox.mbox(LIST)]
    return [_message(raw, 60 * number) for number, raw in enumerate(mails)]


def _message(raw: bytes, at: int) -> Message:
    remote = RemoteMessage(id=RemoteId("1"), flags=Flags(""), received_at=1_120_000_000 + at, raw=raw)
    return message_of("acc", remote, parse(raw))


def threaded(order: str | int, size: int = 40) -> Account:
    """The archive as it arrives in an order, in batches."""
    mails = list(archive()) if order != "newest" else archive()[::-1]
    if isinstance(order, int):
        random.Random(order).shuffle(mails)
    account = Account()
    for start in range(0, len(mails), size):
        account.add(*mails[start : start + size])
    return account


def pairs(sizes: Counter[str] | Counter[tuple[str, int]]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


@pytest.mark.parametrize("order", ORDERS)
def test_threads_are_those_of_the_references(order: str | int) -> None:
    stated = json.loads(STATED.read_text())["threads_list"]
    thread_of = {f"<{id}>": number for number, thread in enumerate(stated) for id in thread["message_ids"]}
    found = [(m.thread_id, thread_of[m.message_id or ""]) for m in threaded(order).messages.values()]
    assert len(found) == len(thread_of)
    both = pairs(Counter(found))
    precision = both / pairs(Counter(ours for ours, _ in found))
    recall = both / pairs(Counter(str(theirs) for _, theirs in found))
    assert min(precision, recall) >= 0.995, (precision, recall)


def test_every_order_of_arrival_gives_the_same_threads() -> None:
    partitions = [threaded(order, size).partition() for order in ORDERS for size in (7, 80)]
    assert all(one == other for one, other in pairwise(partitions))
