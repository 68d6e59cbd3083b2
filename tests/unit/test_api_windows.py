"""Window, progress and search over HTTP."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.jobs import SYNC, Job, SyncAccount
from chalicelib.domain.sync.progress import Tally
from chalicelib.errors import AuthRejected, ProviderError, Throttled
from tests.fakes.services import MemoryServices
from tests.worlds.api import ACCOUNT, Call, basic
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture

SECRET = basic("secret")


def jobs(here: MemoryServices) -> list[Job]:
    return here.queues.on(SYNC)


def put(call: Call, body: Any, path: str = "/a/app/accounts/acc") -> tuple[int, Any]:
    return call("PUT", path, body, auth=SECRET)


class TestTheWindow:
    def test_an_account_shows_and_takes_its_window_and_is_synced_at_once(
        self, call: Call, here: MemoryServices
    ) -> None:
        status, account = put(
            call, {"history_days": 90, "folder_history_days": {"spam": "none", "projects": 0}}
        )
        assert status == 200
        assert account["history_days"] == 90
        assert account["folder_history_days"] == {"spam": "none", "projects": 0}
        assert jobs(here) == [SyncAccount(account_id="acc")]
        assert here.accounts.rows["acc"].folder_days == {"spam": None, "projects": 0}
        assert call("GET", "/a/app/accounts/acc", auth=SECRET)[1] == account

    def test_what_is_absent_stays_and_null_takes_back(self, call: Call, here: MemoryServices) -> None:
        put(call, {"history_days": 90, "folder_history_days": {"spam": "none", "inbox": 7}})
        _, account = put(call, {"folder_history_days": {"inbox": None}})
        assert (account["history_days"], account["folder_history_days"]) == (90, {"spam": "none"})
        _, account = put(call, {"history_days": None})
        assert (account["history_days"], account["folder_history_days"]) == (None, {"spam": "none"})

    def test_a_window_that_stays_as_it_is_has_nothing_synced(self, call: Call, here: MemoryServices) -> None:
        assert put(call, {"history_days": ACCOUNT.history_days})[0] == 200
        assert put(call, {"folder_history_days": {}})[0] == 200
        assert jobs(here) == []

    @pytest.mark.parametrize("path", ["/a/app", "/a/app/accounts/acc"])
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    @pytest.mark.parametrize("body", [None, {}])
    def test_a_change_that_says_nothing_is_refused(
        self, call: Call, here: MemoryServices, method: str, path: str, body: Any
    ) -> None:
        status, answer = call(method, path, body, auth=basic("secret"))
        assert (status, answer["message"]) == (400, "The request body is empty.")
        assert jobs(here) == []

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"history_days": -1}, "history_days"),
            ({"history_days": 36_501}, "history_days"),
            ({"history_days": 1.5}, "history_days"),
            ({"history_days": "30"}, "history_days"),
            ({"history_days": True}, "history_days"),
            ({"history_days": "none"}, "history_days"),
            ({"folder_history_days": 5}, "folder_history_days"),
            ({"folder_history_days": {"attic": 5}}, "attic"),
            ({"folder_history_days": {"spam": "never"}}, "spam"),
            ({"folder_history_days": {"spam": -2}}, "spam"),
            ({"metadata": {}}, "metadata"),
        ],
    )
    def test_a_bad_value_is_named(self, call: Call, here: MemoryServices, body: Any, named: str) -> None:
        status, answer = put(call, body)
        assert status == 400 and answer["type"] == "invalid_request_error"
        assert named in answer["message"]
        assert here.accounts.rows["acc"] == ACCOUNT and jobs(here) == []

    def test_the_account_of_another_application_is_not_touched(
        self, call: Call, here: MemoryServices
    ) -> None:
        here.accounts.rows["acc"] = replace(ACCOUNT, application_id="other")
        assert put(call, {"history_days": 1})[0] == 404
        assert here.accounts.rows["acc"].history_days == 30

    def test_an_application_sets_the_window_of_accounts_without_one(
        self, call: Call, here: MemoryServices
    ) -> None:
        other = replace(ACCOUNT, id="acc2", history_days=None)
        here.accounts.rows["acc2"] = other
        status, application = put(call, {"history_days": 365}, "/a/app")
        assert (status, application["history_days"]) == (200, 365)
        assert jobs(here) == [SyncAccount(account_id="acc2")]
        assert put(call, {"application_name": "Desk"}, "/a/app")[1]["history_days"] == 365
        assert len(jobs(here)) == 1
        assert put(call, {"history_days": None}, "/a/app")[1]["history_days"] is None
        assert put(call, {"history_days": "x"}, "/a/app")[0] == 400


class TestProgress:
    @pytest.fixture(autouse=True)
    def _window(self, here: MemoryServices) -> None:
        here.accounts.rows["acc"] = replace(ACCOUNT, history_days=60, folder_days={"projects": None})

    def tally(self, here: MemoryServices, **tallies: Tally) -> None:
        here.checkpoints.saved_tallies = tallies

    def test_nothing_is_known_before_the_first_folder_has_begun(self, call: Call) -> None:
        status, progress = call("GET", "/account/progress")
        assert status == 200
        assert (progress["state"], progress["percent"], progress["expected"]) == ("waiting", None, None)
        assert {folder["state"] for folder in progress["folders"]} == {"waiting", "excluded"}

    def test_count_percent_rate_and_time_left(self, call: Call, here: MemoryServices) -> None:
        now = time.time()
        inbox = Tally(synced=250, left=750, rate=50.0, at=now)
        self.tally(here, inbox=inbox, sent=Tally(synced=100, left=0, rate=9.0, at=now))
        _, progress = call("GET", "/account/progress")
        assert (progress["state"], progress["sync_state"]) == ("syncing", "running")
        assert [progress[name] for name in ("synced", "expected", "percent", "rate", "seconds_left")] == [
            350, 1100, 31.8, 50.0, 15,
        ]  # fmt: skip
        folders = {folder["id"]: folder for folder in progress["folders"]}
        assert (folders["inbox"]["percent"], folders["inbox"]["seconds_left"]) == (25.0, 15)
        assert (folders["sent"]["percent"], folders["sent"]["rate"]) == (100.0, 0.0)
        assert (folders["projects"]["state"], folders["projects"]["history_days"]) == ("excluded", "none")
        assert folders["inbox"]["history_days"] == 60

    def test_percent_is_100_only_when_all_is_there(self, call: Call, here: MemoryServices) -> None:
        done = Tally(synced=9, left=0, rate=1.0, at=1.0)
        self.tally(here, inbox=Tally(synced=99_999, left=1, rate=0.0, at=1.0), sent=done)
        assert call("GET", "/account/progress")[1]["percent"] == 99.9
        self.tally(here, inbox=done, sent=done)
        progress = call("GET", "/account/progress")[1]
        assert (progress["state"], progress["percent"], progress["seconds_left"]) == ("synced", 100.0, 0)

    def test_a_rate_of_long_ago_predicts_nothing(self, call: Call, here: MemoryServices) -> None:
        old = Tally(synced=5, left=5, rate=50.0, at=time.time() - 1000)
        self.tally(here, inbox=old, sent=old)
        progress = call("GET", "/account/progress")[1]
        assert (progress["rate"], progress["seconds_left"]) == (0.0, None)

    def test_the_owner_of_the_application_sees_the_same(self, call: Call, here: MemoryServices) -> None:
        status, progress = call("GET", "/a/app/accounts/acc/progress", auth=SECRET)
        assert status == 200 and progress == call("GET", "/account/progress")[1]
        assert call("GET", "/a/app/accounts/none/progress", auth=SECRET)[0] == 404
        assert call("GET", "/a/app/accounts/acc/progress")[0] == 401


class TestSearch:
    def test_messages_and_threads_are_the_ordinary_objects(self, call: Call, here: MemoryServices) -> None:
        status, found = call("GET", "/messages/search?q=Survey")
        assert status == 200
        assert found == call("GET", "/messages")[1]
        assert call("GET", "/threads/search?q=Survey%201")[1] == call("GET", "/threads?subject=Survey%201")[1]
        assert call("GET", "/threads/search?q=Survey&view=expanded")[1][0]["messages"]
        assert len(call("GET", "/threads/search?q=Survey&view=ids")[1]) == 3

    def test_pages_ask_the_server_for_no_more_than_they_need(self, call: Call, here: MemoryServices) -> None:
        newest = [message["id"] for message in call("GET", "/messages")[1]]
        assert call("GET", "/messages/search?q=Survey&limit=1&offset=1&view=ids") == (200, newest[1:2])
        assert call("GET", "/messages/search?q=Survey&limit=0") == (200, [])
        call("GET", "/messages/search?q=Survey")
        call("GET", "/threads/search?q=Survey&limit=5")
        assert here.searches == [("Survey", 2), ("Survey", 100), ("Survey", 20)]

    @pytest.mark.parametrize(
        "query",
        ["", "q=", "q=%20", "q=" + "x" * 256, "q=x&limit=1001", "q=x&limit=1000&offset=1", "q=x&in=inbox",
         "q=x&view=count"],
    )  # fmt: skip
    @pytest.mark.parametrize("kind", ["messages", "threads"])
    def test_a_bad_request_is_refused(self, call: Call, here: MemoryServices, kind: str, query: str) -> None:
        status, answer = call("GET", f"/{kind}/search?{query}")
        assert status == 400 and answer["type"] == "invalid_request_error"
        assert here.searches == []

    @pytest.mark.parametrize(
        ("failure", "status", "details"),
        [
            (ProviderError("no such host", step="dns"), 503, {"server_error": "no such host"}),
            (AuthRejected("no"), 403, {}),
            (Throttled("too many"), 429, {}),
        ],
    )
    def test_a_mail_server_that_fails_is_told_apart(
        self, call: Call, here: MemoryServices, failure: Exception, status: int, details: Any
    ) -> None:
        here.server.failure = failure
        found, answer = call("GET", "/messages/search?q=x")
        assert (found, answer["type"]) == (status, "api_error")
        assert {**answer, **details} == answer

    @pytest.mark.parametrize("state", [SyncState.INVALID, SyncState.STOPPED])
    def test_an_account_out_of_reach_is_not_searched(
        self, call: Call, here: MemoryServices, state: SyncState
    ) -> None:
        here.accounts.rows["acc"] = replace(ACCOUNT, state=state)
        assert call("GET", "/messages/search?q=x")[0] == 403
        assert here.searches == []
