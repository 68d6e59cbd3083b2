"""A large mailbox comes in completely and once; the syncs after that find nothing to write."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill
from infra.local.runtime import LocalRuntime
from tests.e2e.checks import check_deltas, check_messages, check_threads
from tests.e2e.client import Client
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "large@kestrel.example"
COUNT = int(os.environ.get("POSTERN_LARGE_MESSAGES", "500"))
QUIET_SECONDS = 12  # two ticks of the local runtime
TABLES = ("core", "mail", "body", "log")


def test_a_large_mailbox_comes_in_once_and_then_nothing_is_written(
    runtime: LocalRuntime, info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> None:
    fill(imap_server, USER, COUNT, seed=3)
    answer = connect(info, imap_server, smtp_server, USER)
    client = Client(info["api_url"], token_of(info, answer.json()["code"])["access_token"])
    eventually(lambda: client.get("/account")["sync_state"] == "running", seconds=60 + COUNT / 50)
    eventually(lambda: client.quiet(), seconds=60)
    check_messages(client.all("/messages"), imap_server, USER, COUNT)
    check_threads(client)
    check_deltas(client, COUNT)
    account_id = client.get("/account")["account_id"]
    before = dict(_rows(info, account_id))
    time.sleep(QUIET_SECONDS)
    assert dict(_rows(info, account_id)) == before


def _rows(info: dict[str, Any], account_id: str) -> Iterator[tuple[tuple[str, str, str], Any]]:
    """Yield every row of an account, by table and key."""
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=info["aws_endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id=info["aws_access_key_id"],
        aws_secret_access_key=info["aws_secret_access_key"],
    )
    for table in TABLES:
        pages = dynamodb.get_paginator("scan").paginate(TableName=f"postern-local-{table}")
        for row in (row for page in pages for row in page["Items"]):
            if account_id in row["pk"]["S"]:
                yield (table, row["pk"]["S"], row["sk"]["S"]), row
