"""/a/{client_id}/deltas: all accounts of an application behind one cursor."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from chalice.test import Client
from hypothesis import given
from hypothesis import strategies as st

from app import app as APP
from chalicelib.config import Settings
from chalicelib.deltas import together
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.mail.folder import Folder
from chalicelib.errors import InvalidRequest
from chalicelib.services import Services, use
from chalicelib.store.log.log import LogTable
from chalicelib.store.values import Revised
from chalicelib.wire.log import application_cursor as cursor
from tests.fakes.dynamo import MemoryDynamo
from tests.fakes.services import MemoryServices

SETTINGS = Settings(table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={})
ACCOUNT = Account(
    id="", application_id="app", email_address="", name="", provider="imap", state=SyncState.RUNNING,
    linked_at=1, scopes="email", history_days=0,
)  # fmt: skip
IDS = [f"acc{n}" for n in range(5)]
DAY = 86400
Call = Callable[..., tuple[int, Any]]


@dataclass
class Here(MemoryServices):
    """Services with a real log whose clock a test moves."""

    now: float = 1000.0

    def __post_init__(self) -> None:
        self.log = LogTable(MemoryDynamo(), SETTINGS, now=lambda: self.now)  # type: ignore[assignment]

    def happen(self, account_id: str, *ids: str, event: Operation = Operation.MODIFY) -> None:
        """Log changes of folders."""
        rev = int(self.now * 1000) + len(self.mail.changes)
        for id in ids:
            rev += 1
            change = Change(account_id=account_id, kind="folder", id=id, event=event, rev=rev)
            self.mail.changes.append(change)
            self.log.append(account_id, [change], int(self.now))


@pytest.fixture
def here() -> Iterator[Here]:
    made = Here()
    for id in IDS:
        made.accounts.rows[id] = replace(ACCOUNT, id=id, email_address=f"{id}@kestrel.example")
    made.accounts.rows["other"] = replace(ACCOUNT, id="other", application_id="other")
    made.applications.create(Application(id="app", name="Kestrel Desk"), "secret")
    for n in range(20):
        one = Folder(
            id=f"f{n}", account_id="any", collection=f"F{n}", display_name="F", role=None, created_at=n
        )
        made.mail.save_folders("any", [Revised(None, one)])
    made.mail.changes.clear()
    with use(cast(Services, made)):
        yield made


@pytest.fixture
def call(here: Here) -> Iterator[Call]:
    with Client(APP) as client:

        def request(
            method: str = "GET", path: str = "", body: Any = None, auth: str = "secret", **query: Any
        ) -> tuple[int, Any]:
            basic = base64.b64encode(f"{auth}:".encode()).decode()
            headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
            raw = b"" if body is None else json.dumps(body).encode()
            target = f"/a/app/deltas{path}" + (f"?{urlencode(query)}" if query else "")
            answer = client.http.request(method, target, headers=headers, body=raw)
            return answer.status_code, answer.json_body

        yield request


def start(call: Call) -> str:
    return str(call("POST", "/latest_cursor")[1]["cursor"])


def told(batch: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["account_id"], one["id"]) for one in batch["deltas"]]


def test_one_cursor_leads_through_all_accounts(call: Call, here: Here) -> None:
    here.happen("acc0", "f0")
    cursor = start(call)
    here.happen("acc1", "f1", "f2")
    here.happen("acc0", "f3")
    here.happen("other", "f4")
    status, batch = call(cursor=cursor)
    assert status == 200 and sorted(told(batch)) == [("acc0", "f3"), ("acc1", "f1"), ("acc1", "f2")]
    assert batch["deltas"][0]["attributes"]["object"] == "folder"
    end = batch["cursor_end"]
    assert call(cursor=end)[1] == {"cursor_start": end, "cursor_end": end, "deltas": []}
    assert call("POST", body={"cursor": cursor})[1] == batch


def test_an_account_connected_later_is_told_from_its_beginning(call: Call, here: Here) -> None:
    cursor = start(call)
    here.accounts.rows["new"] = replace(ACCOUNT, id="new")
    here.happen("new", "f0", "f1")
    assert told(call(cursor=cursor)[1]) == [("new", "f0"), ("new", "f1")]


def test_a_busy_account_does_not_keep_the_others_waiting(call: Call, here: Here) -> None:
    cursor, seen = start(call), dict.fromkeys(IDS, 0)
    here.happen("acc0", *[f"f{n % 20}" for n in range(60)])
    for id in IDS[1:]:
        here.happen(id, "f0")
    batch = call(cursor=cursor, limit=10)[1]
    assert {account_id for account_id, _ in told(batch)} == set(IDS)
    few = call(cursor=cursor, limit=2)[1]
    for _ in range(3):
        for account_id, _ in told(few):
            seen[account_id] += 1
        few = call(cursor=few["cursor_end"], limit=2)[1]
    assert all(seen[id] for id in IDS)


def test_reading_on_leaves_nothing_out(call: Call, here: Here) -> None:
    cursor, found = start(call), set()
    for n in range(60):
        here.happen(IDS[n * n % 5], f"f{n % 20}")
    wanted = {(change.account_id, change.id) for change in here.mail.changes}
    while (batch := call(cursor=cursor, limit=3)[1])["cursor_end"] != cursor:
        found |= set(told(batch))
        cursor = batch["cursor_end"]
    assert found == wanted


def test_numbers_join_in_each_account(call: Call, here: Here) -> None:
    cursor, last = start(call), dict.fromkeys(IDS, 0)
    for n in range(40):
        here.happen(IDS[n % 3], f"f{n % 4}")
    while (batch := call(cursor=cursor, limit=6, seq="true")[1])["cursor_end"] != cursor:
        for one in batch["deltas"]:
            assert one["seq_after"] == last[one["account_id"]]
            last[one["account_id"]] = one["seq"]
        cursor = batch["cursor_end"]
    assert {id: here.log.head(id)[0] for id in IDS} == last


def test_accounts_left_behind_are_named_and_can_be_renewed(call: Call, here: Here) -> None:
    here.happen("acc0", "f0")
    cursor = start(call)
    here.happen("acc0", "f1")
    here.happen("acc1", "f2")
    here.now += 15 * DAY
    here.happen("acc2", "f3")
    status, body = call(cursor=cursor)
    assert (status, body["type"], sorted(body["accounts"])) == (400, "delta_cursor_expired", ["acc0", "acc1"])
    renewed = call("POST", "/latest_cursor", {"cursor": cursor, "accounts": body["accounts"]})[1]["cursor"]
    assert told(call(cursor=renewed)[1]) == [("acc2", "f3")]


def test_an_answer_does_not_grow_with_the_number_of_accounts(
    call: Call, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "MOST_ACCOUNTS", 2)
    cursor = start(call)
    for id in IDS:
        here.happen(id, "f0")
    rounds = []
    while (batch := call(cursor=cursor)[1])["cursor_end"] != cursor:
        rounds.append([id for id, _ in told(batch)])
        cursor = batch["cursor_end"]
    assert [len(one) for one in rounds] == [2, 2, 1] and sorted(id for one in rounds for id in one) == IDS


@pytest.mark.parametrize(
    "bad", [{}, {"cursor": "!"}, {"cursor": "AAAA"}, {"cursor": "0"}, {"include_types": "x"}]
)
def test_a_bad_request_is_a_clear_400(call: Call, bad: dict[str, str]) -> None:
    status, body = call(**bad)
    assert (status, body["type"]) == (400, "invalid_request_error")


def test_only_the_application_may_ask(call: Call, here: Here) -> None:
    here.tokens.tokens["token"] = "acc0"
    assert call(auth="token", cursor="x")[0] == call("POST", "/latest_cursor", auth="token")[0] == 401


@given(st.dictionaries(st.text("abc0", min_size=1), st.integers(0, 2**40)), st.integers(0, 10**6))
def test_a_cursor_brings_back_every_place(seqs: dict[str, int], turn: int) -> None:
    places = cursor.Places().moved(seqs, turn)
    read = cursor.decode("app", cursor.encode("app", places))
    assert {id: read.of(id) for id in seqs} == seqs and read.turn == turn
    with pytest.raises(InvalidRequest):
        cursor.decode("another", cursor.encode("app", places))


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_whatever_is_sent_is_a_cursor_or_an_error(text: str) -> None:
    try:
        cursor.decode("app", text)
    except InvalidRequest:
        return


def test_a_cut_cursor_never_skips_anything() -> None:
    places = {"a": 5_000, "b": 600_000}
    text = cursor.encode("app", cursor.Places().moved(places, 3))
    refused = 0
    for end in range(len(text)):
        try:
            read = cursor.decode("app", text[:end])
        except InvalidRequest:
            refused += 1
            continue
        assert all(read.of(id) in (0, seq) for id, seq in places.items())
    assert refused > len(text) // 2
