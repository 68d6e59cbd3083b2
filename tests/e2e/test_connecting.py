"""Connecting: an account is the mailbox whose login was proven, and exists once its code was redeemed."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from tests.e2e.test_main_job import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "noor@haddad.example"


@pytest.fixture(scope="module")
def account(info: dict[str, Any], imap_server: Dovecot, smtp_server: Submission) -> dict[str, Any]:
    answer = connect(info, imap_server, smtp_server, USER)
    assert answer.status_code == 200, answer.text
    return token_of(info, answer.json()["code"])


def shown(info: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    """Return the account as its own token sees it."""
    answer = requests.get(f"{info['api_url']}/account", auth=(account["access_token"], ""), timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def accounts(info: dict[str, Any]) -> list[str]:
    url = f"{info['api_url']}/a/{info['client_id']}/accounts"
    return [one["id"] for one in requests.get(url, auth=(info["client_secret"], ""), timeout=30).json()]


def test_nobody_takes_an_account_by_claiming_its_address(
    info: dict[str, Any], account: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> None:
    mine = {f"{kind}_username": "mallory@evil.example" for kind in ("imap", "smtp")}
    before = {**shown(info, account), "sync_state": None}
    for more in ({"name": "Mallory"}, {"name": "Mallory", "reauth_account_id": account["id"]}):
        refused = connect(info, imap_server, smtp_server, USER, more=more, **mine)
        assert refused.status_code in (400, 403), refused.text
        assert refused.json()["type"] == "auth_error" and "code" not in refused.json()
    assert {**shown(info, account), "sync_state": None} == before


def test_a_mailbox_is_no_account_before_its_code_is_redeemed(
    info: dict[str, Any], account: dict[str, Any], imap_server: Dovecot, smtp_server: Submission
) -> None:
    before = accounts(info)
    answer = connect(info, imap_server, smtp_server, "zoe@lind.example")
    assert answer.status_code == 200 and accounts(info) == before
    zoe = token_of(info, answer.json()["code"])
    assert sorted(accounts(info)) == sorted([*before, zoe["id"]])
    again = connect(
        info, imap_server, smtp_server, "zoe@lind.example", more={"email_address": "z@lind.example"}
    )
    assert token_of(info, again.json()["code"])["id"] == zoe["id"], "the same mailbox"
    assert len(accounts(info)) == len(before) + 1
