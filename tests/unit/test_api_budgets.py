"""The meter an owner sees."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from chalicelib.domain.sync.allowance import MEGABYTE
from chalicelib.domain.sync.backfill import Backfill, Stage
from tests.fakes.backfills import allowances
from tests.fakes.services import MemoryServices
from tests.worlds.api import ACCOUNT, Call, basic
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture
from tests.worlds.openapi import answer_schema, mistakes

SECRET = basic("secret")
PATH = "/a/app/budgets"
HOST = "imap.gmail.com"


@pytest.fixture(autouse=True)
def gmail(here: MemoryServices) -> None:
    here.accounts.rows["acc"] = replace(ACCOUNT, host=HOST)
    here.allowances = allowances(account=2_500, host=1_000_000, per_host=8)


def test_it_needs_the_client_secret(call: Call) -> None:
    assert call("GET", PATH)[0] == 401
    assert call("GET", PATH + "?colour=red", auth=SECRET)[0] == 400


def test_what_was_read_today_stands_beside_its_limit(call: Call, here: MemoryServices) -> None:
    here.usage.add("acc", HOST, 600 * MEGABYTE)
    here.usage.add("another application's", HOST, 400 * MEGABYTE)
    status, answer = call("GET", PATH, auth=SECRET)
    assert (status, mistakes(answer_schema("/a/{client_id}/budgets", "get", 200), answer)) == (200, [])
    [account], [host] = answer["accounts"], answer["hosts"]
    assert (account["account_id"], account["host"], account["state"]) == ("acc", HOST, "open")
    assert account["received_bytes"] == 600 * MEGABYTE
    assert account["limit_bytes"] == 2_500 * MEGABYTE
    assert account["history_limit_bytes"] == 2_000 * MEGABYTE
    assert account["history"]["stage"] == "complete"
    assert (host["host"], host["received_bytes"], host["history_places"]) == (HOST, 1_000 * MEGABYTE, 8)
    assert answer["resets_at"] % 86_400 == 0 and 0 < answer["resets_at"] - time.time() <= 86_400


@pytest.mark.parametrize(
    ("megabytes", "state"), [(1_999, "open"), (2_000, "history_paused"), (2_500, "used_up")]
)
def test_history_stops_first(call: Call, here: MemoryServices, megabytes: int, state: str) -> None:
    here.usage.add("acc", HOST, megabytes * MEGABYTE)
    assert call("GET", PATH, auth=SECRET)[1]["accounts"][0]["state"] == state


def test_no_limit_is_null(call: Call, here: MemoryServices) -> None:
    here.allowances = allowances()
    [account] = call("GET", PATH, auth=SECRET)[1]["accounts"]
    assert (account["limit_bytes"], account["history_limit_bytes"], account["state"]) == (None, None, "open")


def test_it_says_whose_history_waits_and_why(call: Call, here: MemoryServices) -> None:
    soon = int(time.time()) + 600
    entry = Backfill(
        account_id="acc",
        application_id="app",
        host=HOST,
        since=1_700_000_000.5,
        until=soon,
        stage=Stage.SPENT,
    )
    here.backfills.enter(entry)
    here.backfills.enter(replace(entry, account_id="b", stage=Stage.RUNNING))
    here.backfills.enter(replace(entry, account_id="c", host="other.example", stage=Stage.RUNNING))
    here.usage.slow_down(HOST, soon)
    answer = call("GET", PATH, auth=SECRET)[1]
    assert mistakes(answer_schema("/a/{client_id}/budgets", "get", 200), answer) == []
    assert answer["accounts"][0]["history"] == {"stage": "spent", "since": 1_700_000_000, "until": soon}
    [host] = answer["hosts"]
    assert (host["history_running"], host["history_places"], host["slow_until"]) == (1, 2, soon)


def test_pages_are_of_accounts(call: Call, here: MemoryServices) -> None:
    assert call("GET", PATH + "?offset=1", auth=SECRET)[1]["accounts"] == []
