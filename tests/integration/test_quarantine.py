"""Quarantine, troubles and frozen removals over DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.trouble import FailureKind, Trouble
from chalicelib.domain.remote import Cursor, RemoteId
from chalicelib.domain.sync.quarantine import Cause, Quarantined, QuarantineState, entry_id
from chalicelib.store.aws.connection import client
from chalicelib.store.core.accounts import AccountTable
from chalicelib.store.core.checkpoints import CheckpointTable
from chalicelib.store.core.quarantine import QuarantineTable
from chalicelib.store.core.vault import Vault
from chalicelib.store.values import Poll, Stale
from chalicelib.store.work.polls import PollTable
from tests.integration.aws import deployment
from tests.integration.leases import Clock, held
from tests.integration.owners import account, mail

TROUBLE = Trouble(
    fault=FailureKind.LOGIN, reason="no", since=5, failures=2, retry_at=9, refused_at=5, folders=(("f", 3),)
)
MARK = FrozenRemoval(folder_id="f", name="Old", count=30, held=40, since=7, vanished=True)


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


@pytest.fixture
def quarantine(settings: Settings) -> QuarantineTable:
    return QuarantineTable(client(settings, "dynamodb"), settings)


@pytest.fixture
def accounts(settings: Settings) -> AccountTable:
    return AccountTable(settings, Vault(settings))


def entry(number: int, account_id: str = "acct1") -> Quarantined:
    remote = RemoteId(f"1.{number}")
    return Quarantined(
        id=entry_id(account_id, "f", remote),
        account_id=account_id,
        folder_id="f",
        remote_id=remote,
        cause=Cause.POISON,
        reason="?",
        state=QuarantineState.HELD,
        attempts=3,
        first_at=100 - number,
        last_at=200,
    )


def test_entries_come_back_oldest_first_and_belong_to_their_account(quarantine: QuarantineTable) -> None:
    for number in (1, 2):
        assert quarantine.change(None, entry(number))
    assert quarantine.change(None, entry(1, "acct2"))
    assert quarantine.entries("acct1") == [entry(2), entry(1)]
    assert quarantine.get("acct1", entry(1).id) == entry(1)
    assert quarantine.get("acct2", entry(2).id) is None


def test_an_entry_changed_by_somebody_else_stays_as_he_left_it(quarantine: QuarantineTable) -> None:
    one = entry(1)
    assert quarantine.change(None, one)
    assert not quarantine.change(None, replace(one, reason="overwritten"))
    skipped = replace(one, state=QuarantineState.SKIPPED)
    assert quarantine.change(one, skipped)
    assert not quarantine.change(one, replace(one, attempts=4))
    assert not quarantine.change(one, None)
    assert quarantine.get("acct1", one.id) == skipped
    assert quarantine.change(skipped, None)
    assert quarantine.entries("acct1") == []


def test_suspects_are_remembered_and_forgotten(quarantine: QuarantineTable) -> None:
    names = frozenset({("f", RemoteId("1.1")), ("g", RemoteId("1.2"))})
    assert quarantine.suspects("acct1") == frozenset()
    quarantine.suspect("acct1", names)
    assert quarantine.suspects("acct1") == names
    assert quarantine.suspects("acct2") == frozenset()
    quarantine.suspect("acct1", ())
    assert quarantine.suspects("acct1") == frozenset()


def test_a_lease_tells_how_many_holders_never_gave_it_back(settings: Settings) -> None:
    clock = Clock()
    checkpoints = CheckpointTable(settings, now=clock)
    assert held(checkpoints.acquire("acct1", 20)).died == 0
    deaths = []
    for _ in range(2):
        clock.now += 21
        lease = held(checkpoints.acquire("acct1", 20))
        deaths.append(lease.died)
    assert deaths == [1, 2]
    checkpoints.save(lease, "inbox", Cursor("1"))
    checkpoints.release(lease)
    again = held(checkpoints.acquire("acct1", 20))
    assert (again.died, again.epoch) == (0, 4)


def connected(accounts: AccountTable) -> Account:
    return accounts.create(account(), mail())


def test_trouble_comes_back_as_it_was_noted_and_goes(accounts: AccountTable) -> None:
    before = connected(accounts)
    noted = accounts.note_trouble(before, TROUBLE)
    assert accounts.get("acct1") == noted and noted.trouble == TROUBLE
    assert noted.rev == before.rev, "clients are told of states only"
    assert accounts.note_trouble(noted, None) == accounts.get("acct1") == replace(noted, trouble=None)


def test_trouble_with_old_credentials_is_not_noted_with_new_ones(accounts: AccountTable) -> None:
    before = accounts.note_trouble(connected(accounts), TROUBLE)
    renewed = accounts.reconnect(before, before, mail("new"))
    assert renewed.trouble is None and accounts.get("acct1") == renewed
    with pytest.raises(Stale):
        accounts.note_trouble(before, replace(TROUBLE, failures=3))


def test_frozen_removals_come_back_and_survive_a_transition(accounts: AccountTable) -> None:
    marked = accounts.note_frozen(connected(accounts), [MARK])
    accounts.transition(marked, SyncState.RUNNING)
    stored = accounts.get("acct1")
    assert stored and stored.frozen == (MARK,)
    assert accounts.note_frozen(stored, []).frozen == ()
    assert accounts.get("acct1") == replace(stored, frozen=())


def test_frozen_removals_changed_meanwhile_are_not_overwritten(accounts: AccountTable) -> None:
    first = connected(accounts)
    accounts.note_frozen(first, [MARK])
    with pytest.raises(Stale):
        accounts.note_frozen(first, [replace(MARK, count=31)])


def test_nothing_is_noted_of_an_account_that_has_gone(accounts: AccountTable) -> None:
    with pytest.raises(Stale):
        accounts.note_trouble(account(), TROUBLE)
    assert accounts.get("acct1") is None


def test_a_poll_rests_until_a_time_and_an_activity_ends_it(settings: Settings) -> None:
    polls = PollTable(client(settings, "dynamodb"), settings)
    polls.put(Poll(account_id="a", active_at=5))
    polls.rest("a", 900)
    polls.rest("unknown", 900)
    assert list(polls.all()) == [Poll(account_id="a", active_at=5, retry_at=900)]
    polls.put(Poll(account_id="a", active_at=7))
    assert list(polls.all()) == [Poll(account_id="a", active_at=7)]
