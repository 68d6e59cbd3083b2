"""The whole system on a network that fails: it recovers by itself, loses nothing and tells nothing twice."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from imapclient import FLAGGED

from infra.bench.link import Link
from infra.bench.mischief import Plan, plan_of
from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from infra.local.runtime import LocalRuntime
from tests.e2e.checks import check_deltas, check_messages, check_threads
from tests.e2e.client import Client
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of
from tests.worlds.mailroom import dovecot

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "spoiled@kestrel.example"
COUNT = 150
FAULTS = int(os.environ.get("POSTERN_FAULTS", "12"))
KINDS = ("refused", "unavailable", "literal", "cut", "bye", "slow")  # none of them blames the credentials


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


def test_a_failing_network_costs_time_and_nothing_else(
    runtime: LocalRuntime, info: dict[str, Any], server: Dovecot
) -> None:
    fill(server, USER, COUNT, seed=5)
    dice = random.Random(9)
    with Submission(server) as smtp, Link(server.imap) as link:
        answer = connect(info, server, smtp, USER, imap_port=link.port)
        assert answer.status_code == 200, answer.text
        plans = (plan_of(dice.choice(KINDS), dice) for _ in range(FAULTS))
        link.plan = chain(plans, repeat(Plan())).__next__
        begun = link.connections
        client = Client(info["api_url"], token_of(info, answer.json()["code"])["access_token"])
        delivered = 0
        while link.connections < begun + FAULTS:
            delivered += change(server, dice)
            await_connection(link)
        assert sum(link.befell.values()) >= FAULTS // 2, link.befell
        whole = COUNT + delivered
        eventually(lambda: client.get("/account")["sync_state"] == "running", seconds=120)
        eventually(lambda: client.get("/messages", view="count")["count"] == whole, seconds=120)
        eventually(client.quiet, seconds=60)
        check_messages(client.all("/messages"), server, USER, whole)
        check_threads(client)
        check_deltas(client, whole)


def await_connection(link: Link) -> None:
    """Wait until somebody connects once more."""
    before = link.connections
    eventually(lambda: link.connections > before, seconds=60)


def change(server: Dovecot, dice: random.Random) -> int:
    """Deliver one mail, star one and move one; return how many were delivered."""
    with login(server, USER) as client:
        head = f"Message-ID: <{dice.getrandbits(60)}@x.example>\r\nFrom: a@x.example\r\nSubject: x\r\n"
        client.append("INBOX", f"{head}\r\nx\r\n".encode())
        client.select_folder("INBOX")
        uids = client.search()
        client.add_flags(dice.choice(uids), [FLAGGED])
        client.move(dice.choice(uids), "Archive")
    return 1
