"""The API of one account, over HTTP on services in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from chalice.test import Client

from app import app as APP
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.mail.folder import Folder
from chalicelib.services import Services, use
from chalicelib.store.values import Revised
from chalicelib.sync.mail.sent import record_sent
from tests.fakes.services import MemoryServices

ACCOUNT = Account(
    id="acc", application_id="app", email_address="mira@kestrel.example", name="Mira", provider="imap",
    state=SyncState.RUNNING, linked_at=1671100214, scopes="email", history_days=30,
)  # fmt: skip
FIRST = 1671100000


def mail(number: int, extra: str = "") -> bytes:
    return (
        f"From: tide@harbour.example\r\nTo: mira@kestrel.example\r\nSubject: Survey {number}\r\n"
        f"Message-ID: <{number}@harbour.example>\r\nDate: Thu, 15 Dec 2022 10:00:00 +0000\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n{extra}\r\n"
        f"--b\r\nContent-Type: text/html\r\n\r\n<p>Text {number}</p>\r\n"
        "--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"a b.csv\"\r\n\r\n"
        "1;2\r\n--b--\r\n"
    ).encode()  # fmt: skip


def folder(id: str, role: str | None) -> Folder:
    return Folder(
        id=id, account_id="acc", collection=id.upper(), display_name=id.upper(), role=role, created_at=1
    )


@pytest.fixture
def here() -> Iterator[MemoryServices]:
    made = MemoryServices()
    made.accounts.rows["acc"] = ACCOUNT
    made.applications.create(Application(id="app", name="Kestrel Desk"), "secret")
    made.tokens.tokens["token"] = "acc"
    boxes = [folder("inbox", "inbox"), folder("sent", "sent"), folder("projects", None)]
    made.mail.save_folders("acc", [Revised(None, box) for box in boxes])
    for number in range(3):
        record_sent(
            made.mail, made.blobs, ACCOUNT, mail(number), made.mail.all_folders["inbox"], FIRST + number
        )
    with use(cast(Services, made)):
        yield made


Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(here: MemoryServices) -> Iterator[Call]:
    with Client(APP) as client:

        def request(method: str, path: str, body: Any = None, auth: str = "Bearer token") -> tuple[int, Any]:
            headers = {"Content-Type": "application/json", "Authorization": auth}
            raw = b"" if body is None else json.dumps(body).encode()
            answer = client.http.request(method, path, headers=headers, body=raw)
            assert answer.headers["Nylas-Api-Version"] == "2.5"
            assert answer.headers["Content-Type"] == "application/json"
            return answer.status_code, answer.json_body

        yield request


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:None".encode()).decode()
