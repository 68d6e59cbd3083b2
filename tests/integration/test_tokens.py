"""Access tokens and one-time codes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.config import Settings
from chalicelib.store.tables.tokens import CODE_SECONDS, TokenTable
from tests.integration.aws import deployment, rows


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


def test_a_token_leads_to_its_account_only(settings: Settings) -> None:
    tokens = TokenTable(settings)
    ours, theirs = tokens.issue("acct1"), tokens.issue("acct2")
    assert len(ours) == 30
    assert tokens.account_of(ours) == "acct1"
    assert tokens.account_of(theirs) == "acct2"
    assert tokens.account_of("") is None
    assert tokens.account_of(ours[:-1]) is None


def test_a_code_is_not_a_token_nor_a_token_a_code(settings: Settings) -> None:
    tokens = TokenTable(settings)
    assert tokens.account_of(tokens.issue_code("app1", "acct1")) is None
    assert tokens.redeem_code("app1", tokens.issue("acct1")) is None


def test_tokens_and_codes_are_never_stored_in_clear(settings: Settings) -> None:
    tokens = TokenTable(settings)
    token, code = tokens.issue("acct1"), tokens.issue_code("app1", "acct1")
    dump = repr(rows(settings, "core"))
    assert "acct1" in dump
    assert token not in dump
    assert code not in dump


def test_another_pepper_does_not_find_the_token(settings: Settings) -> None:
    token = TokenTable(settings).issue("acct1")
    settings = Settings(
        table_prefix=settings.table_prefix, bucket="", key_id="", pepper="other", queue_urls={}
    )
    assert TokenTable(settings).account_of(token) is None


def test_a_code_is_good_for_one_use(settings: Settings) -> None:
    tokens = TokenTable(settings)
    code = tokens.issue_code("app1", "acct1")
    assert tokens.redeem_code("app1", code) == "acct1"
    assert tokens.redeem_code("app1", code) is None


def test_a_foreign_application_neither_redeems_nor_spends_a_code(settings: Settings) -> None:
    tokens = TokenTable(settings)
    code = tokens.issue_code("app1", "acct1")
    assert tokens.redeem_code("app2", code) is None
    assert tokens.redeem_code("app1", code) == "acct1"


def test_a_code_expires(settings: Settings) -> None:
    clock = [1_700_000_000.0]
    tokens = TokenTable(settings, now=lambda: clock[0])
    early, late = tokens.issue_code("app1", "acct1"), tokens.issue_code("app1", "acct1")
    clock[0] += CODE_SECONDS - 1
    assert tokens.redeem_code("app1", early) == "acct1"
    clock[0] += 1
    assert tokens.redeem_code("app1", late) is None
