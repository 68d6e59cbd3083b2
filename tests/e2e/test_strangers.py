"""What strangers without a secret can do to the others: mail servers that hold calls, and guessing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import requests

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, exchange, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
CALLS = 24
USER = "vera@kestrel.example"


class Tarpit:
    """A mail server that takes every connection and says nothing until it is closed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.held.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for one in self.held:
            one.close()


@pytest.fixture
def tarpit() -> Iterator[Tarpit]:
    with closing(Tarpit()) as made:
        yield made


def authorize(info: dict[str, Any], port: int, user: str, **headers: str) -> requests.Response:
    server = {"host": "127.0.0.1", "username": user, "password": "guess", "port": port}
    settings = {f"{kind}_{key}": value for kind in ("imap", "smtp") for key, value in server.items()}
    body = {
        "client_id": info["client_id"],
        "name": "Mallory",
        "email_address": "mallory@evil.example",
        "provider": "imap",
        "settings": settings | {"ssl_required": False},
    }
    return requests.post(f"{info['api_url']}/connect/authorize", json=body, headers=headers, timeout=90)


def _most(asked: list[Future[requests.Response]]) -> list[Future[requests.Response]]:
    """Return those that are answered once they are all but four, else none."""
    done = [one for one in asked if one.done()]
    return done if len(done) >= CALLS - 4 else []


def test_servers_that_say_nothing_hold_few_calls_and_nobody_elses(
    info: dict[str, Any], tarpit: Tarpit
) -> None:
    with ThreadPoolExecutor(CALLS) as pool:
        asked = [pool.submit(authorize, info, tarpit.port, f"user{n}") for n in range(CALLS)]
        refused = eventually(lambda: _most(asked))
        assert {one.result().status_code for one in refused} == {429}
        assert all(int(one.result().headers["Retry-After"]) > 0 for one in refused)
        # More threads than these are not held, so whoever asks for something else is answered meanwhile.
        url = f"{info['api_url']}/a/{info['client_id']}/accounts"
        for _ in range(20):
            assert requests.get(url, auth=(info["client_secret"], ""), timeout=10).status_code == 200
        tarpit.close()
        assert {one.result().status_code for one in asked} <= {400, 429}


def test_wrong_client_secrets_are_refused_faster_than_they_are_guessed(info: dict[str, Any]) -> None:
    url, guess = f"{info['api_url']}/connect/token", {"client_id": info["client_id"], "code": "x"}
    statuses = [
        requests.post(url, json={**guess, "client_secret": f"guess{n}"}, timeout=30).status_code
        for n in range(100)
    ]
    assert statuses.count(401) <= 60 and set(statuses) == {401, 429}, "30 in a minute; two minutes at most"
    owner = requests.get(
        f"{info['api_url']}/a/{info['client_id']}", auth=(info["client_secret"], ""), timeout=30
    )
    assert owner.status_code == 200


def test_nobody_takes_an_account_by_claiming_its_address(
    info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> None:
    fill(imap_server, USER, 3)
    account = token_of(info, connect(info, imap_server, smtp_server, USER).json()["code"])

    def ask(path: str, method: str = "GET", **query: str) -> Any:
        token = (account["access_token"], "")
        return requests.request(method, info["api_url"] + path, params=query, auth=token, timeout=30).json()

    eventually(lambda: ask("/account")["sync_state"] == "running")
    eventually(lambda: ask("/messages", view="count")["count"] == 3)
    cursor = ask("/delta/latest_cursor", "POST")["cursor"]
    mine = {f"{kind}_username": "mallory@evil.example" for kind in ("imap", "smtp")}
    for more in ({}, {"reauth_account_id": account["id"]}):
        refused = connect(info, imap_server, smtp_server, USER, more=more, **mine)
        if refused.status_code == 200:
            refused = exchange(info, refused.json()["code"])
        assert refused.status_code in (400, 403), refused.text
        assert refused.json()["type"] == "auth_error"
    assert ask("/account")["name"] == "Mira Okafor" and ask("/messages", view="count")["count"] == 3
    kinds = {delta["object"] for delta in ask("/delta", cursor=cursor, exclude_account="false")["deltas"]}
    assert "account" not in kinds


def test_a_mailbox_is_no_account_before_its_code_is_redeemed(
    info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> None:
    def accounts() -> list[str]:
        url = f"{info['api_url']}/a/{info['client_id']}/accounts"
        return [one["id"] for one in requests.get(url, auth=(info["client_secret"], ""), timeout=30).json()]

    before = accounts()
    answer = connect(info, imap_server, smtp_server, "zoe@lind.example")
    assert answer.status_code == 200 and accounts() == before
    account = token_of(info, answer.json()["code"])
    assert accounts() == [*before, account["id"]]
    again = connect(
        info, imap_server, smtp_server, "zoe@lind.example", more={"email_address": "z@lind.example"}
    )
    assert token_of(info, again.json()["code"])["id"] == account["id"], "the same mailbox"
    assert len(accounts()) == len(before) + 1
