"""Window, progress and search as a customer uses them, with the unmodified v2 Python SDK over https."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from nylas import APIClient

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import login
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "wide@kestrel.example"
AGES = (1, 5, 20, 45, 100, 400)


def mail(folder: str, age: int) -> bytes:
    head = f"From: Tide <tide@harbour.example>\r\nTo: {USER}\r\nSubject: {folder} {age}\r\n"
    return f"{head}Message-ID: <{folder}{age}@harbour.example>\r\n\r\nlow water, day {age}\r\n".encode()


def deliver(server: Dovecot, folder: str, *ages: int) -> None:
    with login(server, USER) as client:
        for age in ages:
            client.append(folder, mail(folder, age), [], datetime.now(UTC) - timedelta(days=age))


class Customer:
    """An application that manages one account."""

    def __init__(self, info: dict[str, Any], account_id: str) -> None:
        self._info = info
        self._account = f"{info['api_url']}/a/{info['client_id']}/accounts/{account_id}"

    def get(self, path: str = "") -> Any:
        answer = requests.get(self._account + path, auth=(self._info["client_secret"], ""), timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def keep(self, **window: Any) -> Any:
        auth = (self._info["client_secret"], "")
        answer = requests.put(self._account, auth=auth, json=window, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def connected(
    info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> Iterator[tuple[APIClient, Customer]]:
    deliver(imap_server, "INBOX", *AGES)
    deliver(imap_server, "Junk", 2, 3)
    answer = connect(info, imap_server, smtp_server, USER)
    assert answer.status_code == 200, answer.text
    account = token_of(info, answer.json()["code"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", info["ca_file"])
        client = APIClient(
            info["client_id"], info["client_secret"], account["access_token"], api_server=info["https_url"]
        )
        yield client, Customer(info, account["id"])


def subjects(nylas: APIClient) -> list[str]:
    return sorted(
        (str(one["subject"]) for one in nylas.messages.all()), key=lambda s: (s[0], int(s.split()[1]))
    )


def test_the_window_of_an_account_and_its_folders_is_followed_both_ways(
    connected: tuple[APIClient, Customer], info: dict[str, Any], imap_server: Dovecot
) -> None:
    nylas, customer = connected
    everything = [f"INBOX {age}" for age in AGES] + ["Junk 2", "Junk 3"]
    eventually(lambda: subjects(nylas) == everything)
    ids = {one["subject"]: one["id"] for one in nylas.messages.all()}

    cursor = nylas.deltas.latest_cursor()
    account = customer.keep(history_days=30, folder_history_days={"spam": "none"})
    assert (account["history_days"], account["folder_history_days"]) == (30, {"spam": "none"})
    eventually(lambda: subjects(nylas) == ["INBOX 1", "INBOX 5", "INBOX 20"])
    gone = {ids[subject] for subject in everything if subject not in ("INBOX 1", "INBOX 5", "INBOX 20")}

    def deleted() -> set[str]:
        told = nylas.deltas.since(cursor).deltas or []
        return {d["id"] for d in told if (d["object"], d["event"]) == ("message", "delete")}

    eventually(lambda: deleted() == gone)

    customer.keep(history_days=60, folder_history_days={"spam": None})
    eventually(lambda: subjects(nylas) == ["INBOX 1", "INBOX 5", "INBOX 20", "INBOX 45", "Junk 2", "Junk 3"])
    assert {one["id"] for one in nylas.messages.all()} <= set(ids.values()), "an id has changed"


def test_progress_tells_that_all_is_there(
    connected: tuple[APIClient, Customer], info: dict[str, Any]
) -> None:
    nylas, customer = connected
    eventually(lambda: customer.get("/progress")["state"] == "synced")
    progress = customer.get("/progress")
    count = len(nylas.messages.all())
    assert (progress["synced"], progress["expected"], progress["percent"]) == (count, count, 100.0)
    by_role = {folder["name"]: folder for folder in progress["folders"]}
    assert by_role["inbox"]["synced"] + by_role["spam"]["synced"] == count
    own = requests.get(
        f"{info['api_url']}/account/progress", auth=(nylas.access_token, ""), timeout=30
    ).json()
    assert own == progress


def test_the_sdk_searches_messages_and_threads_beyond_the_window(
    connected: tuple[APIClient, Customer], imap_server: Dovecot
) -> None:
    nylas, customer = connected
    customer.keep(history_days=30)
    eventually(lambda: "INBOX 45" not in subjects(nylas))
    eventually(lambda: customer.get("/progress")["state"] == "synced")
    found = nylas.messages.search("low water", limit=3)
    assert [one["subject"] for one in found] == ["INBOX 1", "Junk 2", "Junk 3"]
    found = nylas.messages.search("SUBJECT INBOX")
    assert [one["subject"] for one in found] == [f"INBOX {age}" for age in AGES]
    old = next(one for one in found if one["subject"] == "INBOX 400")
    assert b"low water, day 400" in nylas.messages.get(old["id"]).raw
    threads = nylas.threads.search("day 400", limit=5)
    assert [thread["message_ids"] for thread in threads] == [[old["id"]]]
    assert nylas.messages.search("nothing of the kind") == []

    deliver(imap_server, "INBOX", 0)
    eventually(lambda: "INBOX 0" in subjects(nylas))
    assert "INBOX 400" in subjects(nylas), "a sync has taken away what the search brought"
    cursor = nylas.deltas.latest_cursor()
    customer.keep(history_days=0)
    eventually(lambda: customer.get("/progress")["synced"] == len(AGES) + 3)
    deliver(imap_server, "INBOX", 6)

    def told() -> dict[str, str]:
        deltas = nylas.deltas.since(cursor).deltas or []
        return {d["id"]: d["event"] for d in deltas if d["object"] == "message"}

    eventually(lambda: "create" in told().values())
    assert old["id"] not in told()
    assert nylas.messages.get(old["id"])["subject"] == "INBOX 400"
