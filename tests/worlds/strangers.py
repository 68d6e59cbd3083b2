"""Two applications, their mailboxes, and somebody with a mailbox of his own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from chalicelib.domain.accounts.application import Application
from chalicelib.services import Services, use
from tests.fakes.connections import body
from tests.fakes.services import MemoryServices
from tests.worlds.api import Call

MINE = {f"{kind}_{key}": value for kind in ("imap", "smtp") for key, value in
        (("host", "evil.example"), ("username", "mallory"), ("password", "mine"))}  # fmt: skip


@pytest.fixture
def here() -> Iterator[MemoryServices]:
    made = MemoryServices()
    for id in ("app", "app2"):
        made.applications.create(Application(id=id, name="Desk"), f"secret-of-{id}")
    made.passwords = {("mail.example", "mira"): "a password", ("evil.example", "mallory"): "mine"}
    with use(cast(Services, made)):
        yield made


def redeem(call: Call, code: str, application: str = "app") -> tuple[int, Any]:
    exchange = {"client_id": application, "client_secret": f"secret-of-{application}", "code": code}
    return call("POST", "/connect/token", exchange)


def connected(call: Call, **wanted: Any) -> dict[str, Any]:
    status, answer = call("POST", "/connect/authorize", body(**wanted))
    assert status == 200, answer
    status, account = redeem(call, answer["code"])
    assert status == 200, account
    return cast(dict[str, Any], account)


def kept(here: MemoryServices) -> tuple[Any, ...]:
    accounts = here.accounts
    return dict(accounts.rows), dict(accounts.sealed), list(here.queues.sent), dict(here.polls.rows)
