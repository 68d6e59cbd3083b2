"""Each Lambda function, called as Lambda calls it, on services in memory."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

import app
from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.jobs import (
    DELIVERIES,
    SYNC,
    CompareAccount,
    FetchHistory,
    SyncAccount,
    Wake,
    dump,
)
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.errors import AuthRejected, ProviderError
from chalicelib.services import Services, use
from chalicelib.store.values import Poll
from chalicelib.sync.engine.run import Outcome
from chalicelib.workers import sync
from tests.worlds.functions import ACCOUNT, Here, asked


@pytest.fixture
def here() -> Iterator[Here]:
    made = Here()
    made.accounts.rows["acc"] = ACCOUNT
    sync._seen.clear()
    with use(cast(Services, made)):
        yield made


def on_queue(*bodies: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [{"messageId": str(n), "body": json.dumps(b)} for n, b in enumerate(bodies)]}


def on_stream(**facts: Any) -> dict[str, Any]:
    return {"Records": [{"dynamodb": {"SequenceNumber": "s"}, **facts}]}


def test_every_function_stands_in_the_table_of_contents() -> None:
    names = {source.name for source in (*app.app.event_sources, *app.app.pure_lambda_functions)}
    assert names == {
        "sync_account", "backfill_account", "apply_edits", "deliver", "record_changes",
        "record_account_changes", "announce", "reconcile", "stream_deltas", "tick",
    }  # fmt: skip


def test_an_account_is_synced(here: Here) -> None:
    assert app.sync_account(on_queue({"account_id": "acc"}), None) == {"batchItemFailures": []}
    assert here.synced == ["acc"]
    assert here.queues.sent == []


@pytest.mark.parametrize(("outcome", "begun"), [(Outcome.MORE, True), (Outcome.DEFERRED, False)])
def test_history_that_is_left_goes_to_a_queue_of_its_own_once(
    here: Here, outcome: Outcome, begun: bool
) -> None:
    here.outcome = outcome
    for _ in range(3):
        app.sync_account(on_queue({"account_id": "acc"}), None)
    assert "acc" in here.polls.rows
    assert here.queues.sent == [FetchHistory(account_id="acc")]
    assert here.backfills.rows["acc"].begun is begun


def test_a_sync_that_finds_no_place_is_asked_for_again_soon_and_blames_nobody(here: Here) -> None:
    here.outcome = Outcome.CROWDED
    assert app.sync_account(on_queue({"account_id": "acc"}), None) == {"batchItemFailures": []}
    assert here.polls.rows["acc"].application_id == "app" and here.queues.sent == []
    assert here.accounts.rows["acc"].trouble is None
    again = app.sync_account(on_queue({"account_id": "acc", "repair": 1}), None)
    assert again["batchItemFailures"], "a comparison that was asked for comes back"


def test_polls_are_grouped_by_application(here: Here) -> None:
    for number in range(30):
        tenant = f"app{number % 3}" if number % 5 else ""
        here.polls.put(Poll(account_id=f"a{number}", active_at=1, application_id=tenant))
    app.tick({"version": "0", "account": "", "region": "", "detail": {}, "detail-type": "", "source": "",
              "time": "", "id": "", "resources": []}, None)  # fmt: skip
    accounts = [job.account_id for job in here.queues.of(SyncAccount)]
    groups = dict(zip(accounts, here.queues.groups, strict=True))
    assert len(groups) == 30
    for id, group in groups.items():
        number = int(id[1:])
        assert group == (f"app{number % 3}" if number % 5 else id)


def test_refused_credentials_rest_the_account(here: Here) -> None:
    here.polls.put(Poll(account_id="acc", active_at=1))
    here.failure = AuthRejected("no")
    assert app.sync_account(on_queue({"account_id": "acc"}), None) == {"batchItemFailures": []}
    row = here.accounts.rows["acc"]
    assert row.state is SyncState.RUNNING and row.trouble, "one refusal may be a hiccup"
    assert here.polls.rows["acc"].retry_at >= row.trouble.refused_at + 60
    here.accounts.rows["acc"] = replace(row, trouble=replace(row.trouble, refused_at=1))
    app.sync_account(on_queue({"account_id": "acc"}), None)
    assert here.accounts.rows["acc"].state is SyncState.INVALID
    assert here.polls.rows == {}
    here.failure = None
    app.sync_account(on_queue({"account_id": "acc"}), None)
    assert here.synced == []


def test_a_failing_mail_server_is_left_to_the_next_tick(here: Here) -> None:
    here.failure = ProviderError("down")
    assert app.sync_account(on_queue({"account_id": "acc"}), None) == {"batchItemFailures": []}
    assert here.accounts.rows["acc"].state is SyncState.RUNNING


def test_an_unknown_account_is_dropped(here: Here) -> None:
    assert app.sync_account(on_queue({"account_id": "none"}), None) == {"batchItemFailures": []}


def test_an_edit_is_made_and_the_account_synced(here: Here) -> None:
    app.apply_edits(on_queue({"account_id": "acc", "edits": "[]"}), None)
    assert here.edited == [()]
    assert asked(here, SYNC) == [SyncAccount(account_id="acc")]


def test_an_edit_that_fails_is_repeated(here: Here) -> None:
    here.failure = ProviderError("down")
    answer = app.apply_edits(on_queue({"account_id": "acc", "edits": "[]"}), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}


def test_an_edit_that_failed_for_the_last_time_is_undone_later(here: Here) -> None:
    here.failure = ProviderError("down")
    event = on_queue({"account_id": "acc", "edits": "[]"})
    event["Records"][0]["attributes"] = {"ApproximateReceiveCount": "5"}
    assert app.apply_edits(event, None) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    [job] = asked(here, SYNC)
    assert job == CompareAccount(account_id="acc", settled=450)
    here.failure = None
    app.sync_account(on_queue(dump(job)), None)
    assert here.repaired == [("acc", 450)]


def test_an_account_is_compared_with_its_server_when_the_job_says_so(here: Here) -> None:
    app.sync_account(on_queue({"account_id": "acc", "repair": 1}), None)
    assert (here.synced, here.repaired) == (["acc"], [("acc", None)])
    assert asked(here, SYNC) == []


@pytest.mark.parametrize(("outcome", "failed"), [(Outcome.MORE, 0), (Outcome.BUSY, 1)])
def test_an_account_somebody_is_at_is_compared_later(here: Here, outcome: Outcome, failed: int) -> None:
    here.settings, here.outcome = replace(here.settings, local=False), outcome
    answer = app.sync_account(on_queue({"account_id": "acc", "repair": 1}), None)
    assert (here.repaired, asked(here, SYNC)) == ([], [])
    assert len(answer["batchItemFailures"]) == failed


def test_an_account_that_changes_counts_as_alive(here: Here) -> None:
    here.outcome = Outcome.QUIET
    app.sync_account(on_queue({"account_id": "acc"}), None)
    assert here.polls.rows == {}
    here.outcome = Outcome.CURRENT
    app.sync_account(on_queue({"account_id": "acc"}), None)
    assert here.polls.rows["acc"].active_at > 1_600_000_000


def test_changes_are_logged_and_announced(here: Here) -> None:
    here.webhooks.put(
        Webhook(
            id="w",
            application_id="app",
            callback_url="https://desk.example/",
            state="active",
            triggers=frozenset({"message.created"}),
        )
    )
    app.record_changes(on_stream(id="m1"), None)
    app.announce(on_stream(seq=1), None)
    assert here.log.entries[0].change.id == "m1"
    assert asked(here, DELIVERIES) == [Wake(webhook_id="w", application_id="app", lane="acc")]


def test_a_tick_enqueues_what_is_due(here: Here) -> None:
    here.polls.put(Poll(account_id="acc", active_at=0))
    here.deliveries.schedule(Wake(webhook_id="w", application_id="app", lane="acc"), 5)
    app.tick({"version": "0", "account": "", "region": "", "detail": {}, "detail-type": "", "source": "",
              "time": "", "id": "", "resources": []}, None)  # fmt: skip
    assert asked(here, SYNC) == [SyncAccount(account_id="acc")]
    assert [wake.lane for wake in here.queues.of(Wake)] == ["acc"]
    assert here.deliveries.wakes == {}


def test_behind_a_backlog_a_tick_adds_no_polls_and_the_next_one_makes_up_for_it(here: Here) -> None:
    event = {"version": "0", "account": "", "region": "", "detail": {}, "detail-type": "", "source": "",
             "time": "", "id": "", "resources": []}  # fmt: skip
    here.polls.put(Poll(account_id="acc", active_at=0))
    here.queues.backlog = 9
    for _ in range(3):
        app.tick(event, None)
    assert asked(here, SYNC) == []
    here.queues.backlog = 8
    app.tick(event, None)
    assert asked(here, SYNC) == [SyncAccount(account_id="acc")]
