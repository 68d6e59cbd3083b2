"""Accounts, applications and webhooks of several tenants in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import boto3
import pytest

from chalicelib.config import Settings
from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.accounts.login import Login
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.jobs import SyncAccount
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.errors import Conflict, NotFound
from chalicelib.store.aws.blobs import S3Blobs
from chalicelib.store.aws.queues import SqsQueues
from chalicelib.store.core.account_rows import opened
from chalicelib.store.core.accounts import AccountTable
from chalicelib.store.core.applications import ApplicationTable
from chalicelib.store.core.vault import Unsealable, Vault
from chalicelib.store.core.webhooks import WebhookTable
from chalicelib.store.values import Stale
from tests.integration.aws import deployment, rows
from tests.integration.owners import NOW, account, mail


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


@pytest.fixture
def accounts(settings: Settings) -> AccountTable:
    return AccountTable(settings, Vault(settings), now=lambda: NOW)


def test_a_window_is_set_taken_back_and_not_written_twice(accounts: AccountTable) -> None:
    stored = accounts.create(account(), mail())
    change = RetentionWish(sets_days=True, days=90, exceptions={"spam": None, "inbox": 0})
    set_ = accounts.configure(stored, change)
    assert accounts.get("acct1") == set_
    assert (set_.history_days, set_.folder_days, set_.state) == (90, {"spam": None, "inbox": 0}, stored.state)
    assert set_.rev > stored.rev and accounts.configure(stored, change).rev == set_.rev
    back = accounts.configure(set_, RetentionWish(sets_days=True, dropped=frozenset({"spam"})))
    assert accounts.get("acct1") == back
    assert (back.history_days, back.folder_days) == (None, {"inbox": 0})
    with pytest.raises(NotFound):
        accounts.configure(account("nobody"), change)


def test_an_application_keeps_its_window(settings: Settings) -> None:
    applications = ApplicationTable(settings, Vault(settings), now=lambda: NOW)
    applications.create(Application(id="app1", name="Desk"), "secret")
    for days in (None, 0, 45, None):
        applications.update(Application(id="app1", name="Desk", history_days=days))
        found = applications.get("app1")
        assert found and found.history_days == days


def test_an_account_comes_back_as_it_was_stored(accounts: AccountTable) -> None:
    stored = accounts.create(account(), mail())
    assert stored == replace(account(), rev=int(NOW * 1000))
    assert accounts.get("acct1") == accounts.by_email("app1", "ann@X.ORG") == stored
    assert accounts.settings("acct1") == mail()


@pytest.mark.parametrize("required", [True, False])
def test_an_account_of_before_two_settings_of_tls_keeps_what_it_was_connected_with(required: bool) -> None:
    fields = asdict(replace(mail(), tls_required=required))
    del fields["tls_verified"]
    assert opened(json.dumps(fields).encode()).tls_verified is required


def test_an_address_is_connected_once_per_application(accounts: AccountTable) -> None:
    accounts.create(account(), mail())
    with pytest.raises(Stale):
        accounts.create(account(id="acct2", email="ANN@x.org"), mail("other"))
    assert accounts.get("acct2") is None
    assert accounts.settings("acct1") == mail()


def test_tenants_do_not_see_each_other(accounts: AccountTable) -> None:
    ours = accounts.create(account(), mail())
    theirs = accounts.create(account(id="acct2", application_id="app2"), mail("theirs"))
    assert accounts.of_application("app1") == [ours]
    assert accounts.of_application("app2") == [theirs]
    assert accounts.by_email("app2", "ann@x.org") == theirs
    assert accounts.by_email("app3", "ann@x.org") is None


def test_an_id_in_use_is_never_handed_to_another_tenant(accounts: AccountTable) -> None:
    ours = accounts.create(account(), mail())
    with pytest.raises(Stale):
        accounts.create(account(application_id="app2"), mail("theirs"))
    assert accounts.get("acct1") == ours
    assert accounts.by_email("app2", "ann@x.org") is None


def test_accounts_are_listed_oldest_first(accounts: AccountTable) -> None:
    for id, age in (("b", 1), ("a", 0), ("c", 2)):
        accounts.create(replace(account(id=id, email=id), linked_at=int(NOW) - age), mail())
    assert [a.id for a in accounts.of_application("app1")] == ["c", "b", "a"]


def test_a_transition_from_an_old_revision_is_stale(accounts: AccountTable) -> None:
    before = accounts.create(account(), mail())
    running = accounts.transition(before, SyncState.RUNNING)
    assert running.rev == before.rev + 1
    assert accounts.get("acct1") == running
    with pytest.raises(Stale):
        accounts.transition(before, SyncState.STOPPED)
    assert accounts.transition(running, SyncState.RUNNING) is running


def test_reconnecting_replaces_the_credentials_and_starts_again(accounts: AccountTable) -> None:
    old = accounts.transition(accounts.create(account(), mail()), SyncState.INVALID)
    renewed = accounts.reconnect(old, replace(old, name="Ann"), mail("new"))
    assert (renewed.state, renewed.name, renewed.rev) == (SyncState.INITIALIZING, "Ann", old.rev + 1)
    assert accounts.get("acct1") == renewed
    assert accounts.settings("acct1") == mail("new")


LOGIN = Login(server="mail.x.org", user="Ann")


def test_a_mailbox_is_one_account_of_an_application_however_its_user_is_spelled(
    accounts: AccountTable,
) -> None:
    first = accounts.create(replace(account(), login=LOGIN, proved_at=7, epoch=7), mail())
    assert accounts.by_login("app1", Login(server="mail.x.org", user="ANN")) == first
    assert accounts.by_login("app2", LOGIN) is None
    with pytest.raises(Stale):
        accounts.create(replace(account(id="acct2", email="other@x.org"), login=LOGIN), mail())
    assert accounts.get("acct2") is None and accounts.by_email("app1", "other@x.org") is None


def test_another_login_leaves_the_old_one_free_and_takes_none_away(accounts: AccountTable) -> None:
    first = accounts.create(replace(account(), login=LOGIN), mail())
    bobs = Login(server="mail.x.org", user="bob")
    accounts.create(replace(account(id="acct2", email="bob@x.org"), login=bobs), mail())
    with pytest.raises(Stale):
        accounts.reconnect(first, replace(first, login=bobs), mail())
    assert accounts.get("acct1") == first
    moved = replace(first, login=Login(server="new.x.org", user="ann"), epoch=9)
    stored = accounts.reconnect(first, moved, mail())
    assert (stored.login, stored.epoch) == (moved.login, 9)
    assert accounts.by_login("app1", LOGIN) is None
    assert moved.login and accounts.by_login("app1", moved.login) == stored == accounts.get("acct1")


def test_an_account_that_changed_meanwhile_is_not_renewed_blindly(accounts: AccountTable) -> None:
    before = accounts.create(replace(account(), login=LOGIN), mail())
    accounts.reconnect(before, before, mail("newer"))
    with pytest.raises(Stale):
        accounts.reconnect(before, before, mail("older"))
    assert accounts.settings("acct1") == mail("newer")


def test_swapped_credentials_do_not_open(settings: Settings, accounts: AccountTable) -> None:
    accounts.create(account(), mail())
    accounts.create(account(id="acct2", email="bob@x.org"), mail("bob's"))
    dynamodb = boto3.client("dynamodb", region_name=settings.region)
    sealed = {row["id"]["S"]: row for row in rows(settings, "core") if "credentials" in row}
    stolen = {**sealed["acct1"], "credentials": sealed["acct2"]["credentials"]}
    dynamodb.put_item(TableName=f"{settings.table_prefix}-core", Item=stolen)
    with pytest.raises(Unsealable):
        accounts.settings("acct1")


def test_no_secret_is_stored_in_clear(settings: Settings, accounts: AccountTable) -> None:
    accounts.create(account(), mail())
    ApplicationTable(settings, Vault(settings)).create(Application(id="app1", name="A"), "client-secret")
    dump = repr(rows(settings, "core"))
    assert "hunter2" not in dump
    assert "client-secret" not in dump


def test_an_application_keeps_its_secret_and_verifies_it(settings: Settings) -> None:
    applications = ApplicationTable(settings, Vault(settings))
    application = Application(id="app1", name="A", redirect_uris=("https://b", "https://a"))
    applications.create(application, "s3cret")
    assert applications.get("app1") == application
    assert applications.get("app2") is None
    assert applications.secrets("app1", 0) == ["s3cret"]
    assert applications.verify("app1", "s3cret")
    assert not applications.verify("app1", "S3cret")
    assert not applications.verify("app2", "s3cret")
    with pytest.raises(Conflict):
        applications.create(application, "other")


def test_webhooks_are_listed_oldest_first_and_only_to_their_owner(settings: Settings) -> None:
    times = iter([3.0, 4.0, 5.0])
    webhooks = WebhookTable(settings, now=lambda: next(times))
    first, second = (
        Webhook(
            id=id,
            application_id="app1",
            callback_url="https://x.org",
            triggers=frozenset({"message.created"}),
            state="active",
        )
        for id in "zy"
    )
    webhooks.put(first)
    webhooks.put(second)
    paused = replace(first, state="inactive", triggers=frozenset())
    webhooks.put(paused)
    assert webhooks.of_application("app1") == [paused, second]
    assert webhooks.of_application("app2") == []
    assert webhooks.get("app2", "z") is None
    webhooks.delete("app1", "z")
    webhooks.delete("app1", "z")
    assert webhooks.of_application("app1") == [second]


def test_a_blob_is_read_by_range_and_none_once_gone(settings: Settings) -> None:
    blobs = S3Blobs(settings)
    blobs.put("raw/1", b"0123456789")
    assert blobs.get("raw/1", 2, 3) == b"234"
    assert blobs.get("raw/2", 0, 3) is None


def test_a_queue_takes_more_messages_than_one_call_may_carry(settings: Settings) -> None:
    SqsQueues(settings).send([SyncAccount(account_id=str(n)) for n in range(23)], "app1")
    waiting = boto3.client("sqs", region_name=settings.region).get_queue_attributes(
        QueueUrl=settings.queue_urls["sync"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "23"
