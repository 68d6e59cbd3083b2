"""The sync worker dies again and again during a first sync; the store must equal the server after it."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill
from infra.local.runtime import LocalRuntime
from tests.e2e.checks import check_deltas, check_messages, check_threads, is_alive
from tests.e2e.client import Client
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "killed@kestrel.example"
COUNT = int(os.environ.get("POSTERN_KILL_MESSAGES", "400"))
KILLS = int(os.environ.get("POSTERN_KILLS", "4"))


def test_a_killed_worker_loses_and_doubles_nothing(
    runtime: LocalRuntime, info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> None:
    fill(imap_server, USER, COUNT, seed=11)
    answer = connect(info, imap_server, smtp_server, USER)
    client = Client(info["api_url"], token_of(info, answer.json()["code"])["access_token"])
    dice = random.Random(5)
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.5, 3.0))
        for worker in ("worker-sync", "worker-backfill"):
            eventually(lambda worker=worker: is_alive(runtime.pid(worker)))  # type: ignore[misc]  # it comes again
            runtime.kill(worker)
    eventually(lambda: client.get("/messages", view="count")["count"] >= COUNT, seconds=240)
    eventually(lambda: client.get("/account")["sync_state"] == "running", seconds=120)
    eventually(client.quiet, seconds=60)
    check_messages(client.all("/messages"), imap_server, USER, COUNT)
    check_threads(client)
    check_deltas(client, COUNT)
