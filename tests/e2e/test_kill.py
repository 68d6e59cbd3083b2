"""The sync worker dies again and again during a first sync; the store must equal the server after it."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from infra.local.runtime import LocalRuntime
from tests.e2e.conftest import eventually
from tests.e2e.test_main_job import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "killed@kestrel.example"
COUNT = int(os.environ.get("POSTERN_KILL_MESSAGES", "400"))
KILLS = int(os.environ.get("POSTERN_KILLS", "4"))


class Client:
    """The API of one account, page after page."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: Any) -> Any:
        answer = self._session.get(self._url + path, params=query, timeout=120)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all(self, path: str) -> list[dict[str, Any]]:
        """Return every object of a collection."""
        found: list[dict[str, Any]] = []
        while page := self.get(path, limit=500, offset=len(found), view="expanded"):
            found += page
        return found

    def deltas(self, cursor: str) -> list[dict[str, Any]]:
        """Return every delta after a cursor."""
        found: list[dict[str, Any]] = []
        while page := self.get("/delta", cursor=cursor, limit=500):
            found += page["deltas"]
            if page["cursor_end"] == cursor:
                return found
            cursor = page["cursor_end"]
        return found

    def quiet(self) -> bool:
        """Tell whether the log stands still for two seconds."""
        before = self._latest()
        time.sleep(2)
        return self._latest() == before

    def _latest(self) -> str:
        answer = self._session.post(self._url + "/delta/latest_cursor", timeout=30)
        return str(answer.json()["cursor"])


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


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


def check_messages(messages: list[dict[str, Any]], imap_server: Dovecot, user: str, count: int) -> None:
    """By Message-ID: folder and flags of every message are those of the server."""
    with login(imap_server, user) as server:
        held = {}
        names = [name for flags, _, name in server.list_folders() if b"\\Noselect" not in flags]
        for name in names:
            server.select_folder(name, readonly=True)
            uids = server.search()
            for row in (server.fetch(uids, ["FLAGS", "BODY.PEEK[HEADER]"]) if uids else {}).values():
                id = row[b"BODY[HEADER]"].partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()
                held[id] = (name, b"\\Seen" not in row[b"FLAGS"], b"\\Flagged" in row[b"FLAGS"])
    shown = {
        one["headers"]["Message-Id"]: (one["folder"]["display_name"], one["unread"], one["starred"])
        for one in messages
    }
    assert len(messages) == len(shown) == count
    assert shown == held


def check_threads(client: Client) -> None:
    """Each message is in the thread it names."""
    messages = {one["id"]: one["thread_id"] for one in client.all("/messages")}
    threads = client.all("/threads")
    inside = {one["id"]: thread["id"] for thread in threads for one in thread["messages"]}
    assert inside == messages


def check_deltas(client: Client, count: int) -> None:
    """Each message was created once."""
    deltas = client.deltas("0")
    created = Counter(d["id"] for d in deltas if d["object"] == "message" and d["event"] == "create")
    assert set(created.values()) == {1}
    assert len(created) == count
