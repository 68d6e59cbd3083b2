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

from tests.e2e.conftest import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.server]
CALLS = 24


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
