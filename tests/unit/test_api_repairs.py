"""/a/{client_id}/accounts/{id}: what is amiss with an account and what its owner may do about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.jobs import SYNC, Job, RetryMessage, SyncAccount
from chalicelib.domain.remote import RemoteId
from chalicelib.domain.sync.quarantine import Quarantined, QuarantineState, entry_id
from tests.fakes.services import MemoryServices
from tests.worlds.api import ACCOUNT, FIRST, Call, basic
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture
from tests.worlds.trouble import ENTRY, MARK, REMOTE, put, troubled

BASE = "/a/app/accounts/acc"
SECRET, FOREIGN = basic("secret"), basic("foreign")


def entry(number: int, account_id: str = "acc", **facts: Any) -> Quarantined:
    remote = RemoteId(f"1.{number}")
    id = entry_id(account_id, "inbox", remote)
    return replace(ENTRY, id=id, account_id=account_id, remote_id=remote, first_at=number, **facts)


def asked(here: MemoryServices) -> list[Job]:
    return here.queues.on(SYNC)


@pytest.fixture
def foreign(here: MemoryServices) -> MemoryServices:
    """Another application with an account in the same trouble."""
    troubled(here)
    here.applications.create(Application(id="strangers", name="Strangers"), "foreign")
    here.accounts.rows["theirs"] = replace(ACCOUNT, id="theirs", application_id="strangers", frozen=(MARK,))
    put(here, entry(1, "theirs"))
    return here


def test_a_healthy_account_shows_no_trouble(call: Call) -> None:
    account = call("GET", BASE, auth=SECRET)[1]
    assert (account["sync_error"], account["pending_removals"]) == (None, [])


def test_an_account_says_what_is_amiss_and_since_when(call: Call, here: MemoryServices) -> None:
    troubled(here)
    account = call("GET", BASE, auth=SECRET)[1]
    assert account["sync_error"] == {
        "kind": "server", "reason": "connection refused", "since": FIRST, "failures": 4,
        "next_attempt_at": FIRST + 480, "folder_ids": [],
    }  # fmt: skip
    assert [mark["count"] for mark in account["pending_removals"]] == [380]
    assert call("GET", "/a/app/accounts", auth=SECRET)[1] == [account]


def test_the_quarantine_lists_what_is_held_oldest_first_in_pages(call: Call, here: MemoryServices) -> None:
    put(here, entry(3), entry(1), entry(2), entry(4, state=QuarantineState.SKIPPED))
    put(here, entry(5, state=QuarantineState.SUSPECT))
    status, found = call("GET", f"{BASE}/quarantine", auth=SECRET)
    assert status == 200 and [one["first_seen_at"] for one in found] == [1, 2, 3]
    found = call("GET", f"{BASE}/quarantine?limit=1&offset=1", auth=SECRET)[1]
    assert [one["first_seen_at"] for one in found] == [2]
    found = call("GET", f"{BASE}/quarantine?state=skipped", auth=SECRET)[1]
    assert [one["first_seen_at"] for one in found] == [4]


def test_an_entry_says_where_why_and_how_often(call: Call, here: MemoryServices) -> None:
    put(here, ENTRY)
    assert call("GET", f"{BASE}/quarantine/{ENTRY.id}", auth=SECRET) == (
        200,
        {
            "id": ENTRY.id, "account_id": "acc", "folder_id": "inbox", "folder": "INBOX", "remote_id": REMOTE,
            "cause": "poison", "reason": "RecursionError at tree.py:7", "state": "held", "attempts": 3,
            "first_seen_at": FIRST, "last_attempt_at": FIRST + 9,
        },
    )  # fmt: skip


def test_a_retry_is_queued(call: Call, here: MemoryServices) -> None:
    put(here, ENTRY)
    status, answer = call("POST", f"{BASE}/quarantine/{ENTRY.id}/retry", auth=SECRET)
    assert status == 200 and answer["queued"] is True and answer["state"] == "held"
    assert asked(here) == [RetryMessage(account_id="acc", entry_id=ENTRY.id)]


def test_a_skipped_message_is_listed_no_more_and_may_be_retried(call: Call, here: MemoryServices) -> None:
    put(here, ENTRY)
    status, answer = call("POST", f"{BASE}/quarantine/{ENTRY.id}/skip", auth=SECRET)
    assert (status, answer["state"]) == (200, "skipped")
    assert call("GET", f"{BASE}/quarantine", auth=SECRET) == (200, [])
    assert call("POST", f"{BASE}/quarantine/{ENTRY.id}/skip", auth=SECRET)[0] == 200
    call("POST", f"{BASE}/quarantine/{ENTRY.id}/retry", auth=SECRET)
    assert [one["state"] for one in call("GET", f"{BASE}/quarantine", auth=SECRET)[1]] == ["held"]


def test_a_message_that_is_being_tried_is_not_skipped(
    call: Call, here: MemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(here, ENTRY)
    monkeypatch.setattr(here.quarantine, "change", lambda old, new: False)
    status, answer = call("POST", f"{BASE}/quarantine/{ENTRY.id}/skip", auth=SECRET)
    assert status == 409 and answer["type"] == "invalid_request_error"


def test_pending_removals_are_listed(call: Call, here: MemoryServices) -> None:
    troubled(here)
    assert call("GET", f"{BASE}/removals", auth=SECRET) == (
        200,
        [
            {
                "folder_id": "f1", "folder": "Projects", "folder_vanished": False, "count": 380, "held": 400,
                "since": FIRST, "confirmed": False,
            }
        ],
    )  # fmt: skip
    assert call("GET", f"{BASE}/removals?offset=1", auth=SECRET) == (200, [])


def test_a_removal_is_confirmed_and_a_sync_asked_for(call: Call, here: MemoryServices) -> None:
    troubled(here)
    status, answer = call("POST", f"{BASE}/removals/f1/confirm", auth=SECRET)
    assert status == 200 and answer["confirmed"] is True
    assert here.accounts.rows["acc"].frozen == (replace(MARK, confirmed=True),)
    assert asked(here) == [SyncAccount(account_id="acc")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{BASE}/quarantine?state=suspect", 400),
        ("GET", f"{BASE}/quarantine?limit=x", 400),
        ("GET", f"{BASE}/quarantine?colour=red", 400),
        ("GET", f"{BASE}/quarantine/0", 404),
        ("GET", f"{BASE}/quarantine/Not-An-Id", 400),
        ("POST", f"{BASE}/quarantine/0/retry", 404),
        ("POST", f"{BASE}/quarantine/0/skip", 404),
        ("GET", "/a/app/accounts/none/quarantine", 404),
        ("GET", "/a/app/accounts/none/removals", 404),
        ("POST", f"{BASE}/removals/f2/confirm", 404),
        ("POST", f"{BASE}/removals/F!/confirm", 400),
    ],
)
def test_what_is_wrong_gets_a_clear_error(
    call: Call, here: MemoryServices, method: str, path: str, status: int
) -> None:
    troubled(here)
    got, answer = call(method, path, auth=SECRET)
    assert (got, answer["type"]) == (status, "invalid_request_error") and answer["message"]
    assert asked(here) == []


def test_an_entry_under_trial_is_not_shown(call: Call, here: MemoryServices) -> None:
    put(here, entry(1, state=QuarantineState.SUSPECT))
    assert call("GET", f"{BASE}/quarantine/{entry(1).id}", auth=SECRET)[0] == 404


@pytest.mark.parametrize("state", [SyncState.INVALID, SyncState.STOPPED])
def test_nothing_is_queued_for_an_account_that_rests(
    call: Call, here: MemoryServices, state: SyncState
) -> None:
    troubled(here)
    here.accounts.rows["acc"] = replace(here.accounts.rows["acc"], state=state)
    assert call("POST", f"{BASE}/quarantine/{ENTRY.id}/retry", auth=SECRET)[0] == 409
    assert call("POST", f"{BASE}/removals/f1/confirm", auth=SECRET)[0] == 409
    assert asked(here) == [] and here.accounts.rows["acc"].frozen == (MARK,)


ROUTES = [
    ("GET", "/quarantine"),
    ("GET", f"/quarantine/{ENTRY.id}"),
    ("POST", f"/quarantine/{ENTRY.id}/retry"),
    ("POST", f"/quarantine/{ENTRY.id}/skip"),
    ("GET", "/removals"),
    ("POST", "/removals/f1/confirm"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
class TestTenants:
    """An application reaches its own accounts only."""

    def test_a_foreign_secret_is_refused(
        self, call: Call, foreign: MemoryServices, method: str, path: str
    ) -> None:
        for auth in (FOREIGN, "Bearer token", ""):
            assert call(method, BASE + path, auth=auth)[0] == 401

    def test_a_foreign_account_does_not_exist(
        self, call: Call, foreign: MemoryServices, method: str, path: str
    ) -> None:
        status, answer = call(method, f"/a/app/accounts/theirs{path}", auth=SECRET)
        assert (status, answer["type"]) == (404, "invalid_request_error")
        assert asked(foreign) == [] and foreign.accounts.rows["theirs"].frozen == (MARK,)


def test_the_entry_of_a_foreign_account_is_not_found_in_ones_own(call: Call, foreign: MemoryServices) -> None:
    theirs = entry(1, "theirs").id
    assert call("GET", f"{BASE}/quarantine/{theirs}", auth=SECRET)[0] == 404
    assert call("POST", f"{BASE}/quarantine/{theirs}/skip", auth=SECRET)[0] == 404
