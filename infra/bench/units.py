"""What it costs: DynamoDB's read and write units per operation.

Nobody watches the mailbox and the clock ticks rarely meanwhile; each operation's own wake-up is sent by
hand. A figure is the median of several rounds, so a round into which a tick falls does not count.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from itertools import cycle
from typing import Any

import boto3
from imapclient import IMAPClient

from infra.bench.counter import Counter, Units
from infra.bench.figures import wait_for
from infra.demo.client import Client
from infra.demo.dovecot import Dovecot
from infra.demo.endpoint import endpoint
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission
from infra.demo.visitor import login
from infra.local import aws
from infra.local.run import STACK, aws_environment

ENVIRONMENT = {"POSTERN_COUNT_UNITS": "1", "POSTERN_TICK_SECONDS": "15", "POSTERN_WATCH": "0"}
ROUNDS, TICKS = 7, 3
STILL, STILL_READ = 1.5, 0.2  # seconds without a unit after which an operation has ended
MAILBOX = 60  # more than a page
BODY_BYTES = 6_000
TRIGGERS = ["message.created", "message.updated"]

Act = Callable[[], object]


@dataclass(slots=True)
class Mailbox:
    """Where mail arrives: each message is a conversation of its own with a body of 6 KB."""

    mail: IMAPClient
    number: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311  # repeatable

    def arrive(self) -> None:
        """Put one message into the inbox."""
        self.number += 1
        letter = EmailMessage()
        letter["From"], letter["To"] = "Tide Office <tide@harbour.example>", f"{OWNER[0]} <{OWNER[1]}>"
        letter["Subject"] = f"Soundings of quay {self.number}"
        letter["Message-ID"] = f"<{self.number}@bench.example>"
        words = " ".join(f"{self.dice.randrange(16**7):07x}" for _ in range(BODY_BYTES // 8))
        letter.set_content(f"<p>{words}</p>\n", subtype="html")
        self.mail.append("INBOX", letter.as_bytes())

    def star(self) -> None:
        """Star the newest message, or take the star away."""
        self.mail.select_folder("INBOX")
        newest = max(self.mail.search())
        is_starred = b"\\Flagged" in self.mail.get_flags([newest])[newest]
        (self.mail.remove_flags if is_starred else self.mail.add_flags)([newest], [b"\\Flagged"])
        self.mail.unselect_folder()


def measure(client: Client, imap: Dovecot, smtp: Submission) -> dict[str, Units]:
    """Return units by operation, for an instance started with ENVIRONMENT and an empty mailbox."""
    counter = Counter(client.info)
    with login(imap, OWNER[1]) as mail, endpoint(lambda *_: None) as url:
        mailbox = Mailbox(mail)
        first = prepare(client, mailbox, url, counter, partial(client.connect, imap, smtp))
        found = {"first sync, a message": {kind: round(n / MAILBOX, 1) for kind, n in first.items()}}
        cursor = _latest(client)
        for name, act in changes(client, mailbox).items():
            found[name] = counter.median(act, STILL, ROUNDS)
        found["a minute without mail"] = counter.median(_wait_for_tick, STILL, TICKS)
        for name, path in _reads(client, cursor).items():
            found[name] = counter.median(partial(client.get, path), STILL_READ, ROUNDS)
    return {f"{name}, units": units for name, units in found.items()}


def prepare(client: Client, mailbox: Mailbox, url: str, counter: Counter, connect: Act) -> Units:
    """Fill the mailbox, sync it and add a webhook; return what the sync cost."""
    for _ in range(MAILBOX):
        mailbox.arrive()

    def sync() -> None:
        connect()
        wait_for(lambda: client.state() == "running", pause=0.1)

    cost = counter.cost(sync, STILL)
    hook = {"callback_url": url, "state": "active", "triggers": TRIGGERS}
    client.post(f"/a/{client.info['client_id']}/webhooks", hook)
    return cost


def changes(client: Client, mailbox: Mailbox) -> dict[str, Act]:
    """Return what is done to the mailbox, by name."""
    wake = _alarm_clock(client)
    [id] = client.get("/messages?view=ids&limit=1")
    return {
        "a new message": partial(_one_after_the_other, mailbox.arrive, wake),
        "a flag changed in the mailbox": partial(_one_after_the_other, mailbox.star, wake),
        "a flag changed by PUT": partial(_star, client, id, cycle((True, False))),
        "a poll that finds nothing": wake,
    }


def _reads(client: Client, cursor: str) -> dict[str, str]:
    """Return what is asked for, by name."""
    [id] = client.get("/messages?view=ids&limit=1")
    return {
        "GET /threads?limit=50": "/threads?limit=50",
        "GET /messages?limit=50": "/messages?limit=50",
        "GET /messages/{id}": f"/messages/{id}",
        "GET /delta of 10 changes": f"/delta?limit=10&cursor={cursor}",
        "GET /delta of none": f"/delta?cursor={_latest(client)}",
    }


def _latest(client: Client) -> str:
    return str(client.post("/delta/latest_cursor")["cursor"])


def _wait_for_tick() -> None:
    """Nothing to do: the next tick comes by itself, reads its lists and polls the account."""


def _one_after_the_other(first: Act, then: Act) -> None:
    first()
    then()


def _star(client: Client, id: str, wanted: Iterator[bool]) -> None:
    client.put(f"/messages/{id}", {"starred": next(wanted)})


def _alarm_clock(client: Client) -> Act:
    """Return what asks for one sync of the account."""
    place = aws_environment(aws.of(client.info))
    sqs: Any = boto3.client(
        "sqs",
        endpoint_url=place["AWS_ENDPOINT_URL"],
        region_name=place["AWS_REGION"],
        aws_access_key_id=place["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=place["AWS_SECRET_ACCESS_KEY"],
    )
    url = sqs.get_queue_url(QueueName=f"{STACK}-sync")["QueueUrl"]
    body = json.dumps({"account_id": client.get("/account")["id"]})
    return lambda: sqs.send_message(QueueUrl=url, MessageBody=body)
