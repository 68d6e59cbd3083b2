"""Access tokens and one-time codes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import boto3
import pytest

from chalicelib import bounds
from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.store.aws.connection import client
from chalicelib.store.core.tokens import TokenTable
from chalicelib.store.core.vault import Unsealable, Vault
from chalicelib.store.values import Grant
from chalicelib.store.work.codes import CodeTable
from tests.fakes.connections import proof
from tests.integration.aws import deployment, one_at_a_time, rows

NOW = 1_700_000_000.0


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


def codes_of(settings: Settings, now: Clock = lambda: NOW) -> CodeTable:
    return CodeTable(client(settings, "dynamodb"), settings, Vault(settings), now)


def test_a_token_leads_to_its_account_and_epoch_only(settings: Settings) -> None:
    tokens = TokenTable(settings)
    ours, theirs = tokens.issue("acct1", 0), tokens.issue("acct2", 7)
    assert len(ours) == 30
    assert tokens.grant_of(ours) == Grant("acct1")
    assert tokens.grant_of(theirs) == Grant("acct2", 7)
    assert tokens.grant_of("") is None
    assert tokens.grant_of(ours[:-1]) is None


def test_a_token_of_an_earlier_version_has_the_first_epoch(settings: Settings) -> None:
    token = TokenTable(settings).issue("acct1", 0)
    dynamodb = boto3.client("dynamodb", region_name=settings.region)
    [row] = rows(settings, "core")
    dynamodb.put_item(TableName="test-core", Item={k: v for k, v in row.items() if k != "epoch"})
    assert TokenTable(settings).grant_of(token) == Grant("acct1", 0)


def test_a_code_is_not_a_token_nor_a_token_a_code(settings: Settings) -> None:
    tokens, codes = TokenTable(settings), codes_of(settings)
    assert tokens.grant_of(codes.issue(proof())) is None
    assert codes.redeem("app", tokens.issue("acct1", 0)) is None
    assert codes.redeem("app", codes.decoy()) is None


def test_tokens_codes_and_passwords_are_never_stored_in_clear(settings: Settings) -> None:
    token, code = TokenTable(settings).issue("acct1", 0), codes_of(settings).issue(proof())
    dump = repr(rows(settings, "core")) + repr(rows(settings, "work"))
    assert "acct1" in dump
    for secret in (token, code, "a password", "mira@kestrel.example", "mail.example"):
        assert secret not in dump


def test_another_pepper_does_not_find_the_token(settings: Settings) -> None:
    token = TokenTable(settings).issue("acct1", 0)
    assert TokenTable(replace(settings, pepper="other")).grant_of(token) is None


def test_a_code_gives_the_proof_back_as_it_was_and_once(settings: Settings) -> None:
    made = proof(reauth_account_id="acc", trusted=True)
    change = RetentionWish(sets_days=True, days=7, exceptions={"spam": None}, dropped=frozenset({"a", "b"}))
    made = replace(made, wanted=replace(made.wanted, window=change))
    codes = codes_of(settings)
    code = codes.issue(made)
    assert codes.redeem("app", code) == made
    assert codes.redeem("app", code) is None


def test_of_many_who_redeem_at_once_one_gets_the_proof(settings: Settings) -> None:
    codes = codes_of(settings)
    code = codes.issue(proof())
    with one_at_a_time(), ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: codes.redeem("app", code), range(12)))
    assert [one for one in found if one] == [proof()]


def test_a_foreign_application_neither_redeems_nor_spends_a_code(settings: Settings) -> None:
    codes = codes_of(settings)
    code = codes.issue(proof())
    assert codes.redeem("app2", code) is None
    assert codes.redeem("app", code) == proof()


def test_a_code_expires_and_its_row_leaves(settings: Settings) -> None:
    clock = [NOW]
    codes = codes_of(settings, lambda: clock[0])
    early, late = codes.issue(proof()), codes.issue(proof())
    clock[0] += bounds.CODE_SECONDS - 1
    assert codes.redeem("app", early)
    clock[0] += 1
    assert codes.redeem("app", late) is None
    [row] = rows(settings, "work")
    assert int(row["ttl"]["N"]) == NOW + bounds.CODE_SECONDS


def test_a_proof_that_was_moved_to_another_code_does_not_open(settings: Settings) -> None:
    codes = codes_of(settings)
    ours, theirs = codes.issue(proof()), codes.issue(proof(name="Mallory"))
    dynamodb = boto3.client("dynamodb", region_name=settings.region)
    one, other = rows(settings, "work")
    for row, sealed in ((one, other["sealed"]), (other, one["sealed"])):
        dynamodb.put_item(TableName="test-work", Item={**row, "sealed": sealed})
    for code in (ours, theirs):
        with pytest.raises(Unsealable):
            codes.redeem("app", code)
