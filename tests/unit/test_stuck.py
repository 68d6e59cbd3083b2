"""What the functions make of failures, refusals and deaths."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

import app
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.trouble import FailureKind
from chalicelib.domain.jobs import SYNC, SyncAccount
from chalicelib.errors import AuthRejected, ProviderError
from chalicelib.services import Services, use
from chalicelib.store.values import Poll
from chalicelib.sync.engine.run import Outcome
from tests.worlds.functions import ACCOUNT, Here, asked

JOB = {"account_id": "acc"}
TICK = {
    "version": "0", "account": "", "region": "", "detail": {}, "detail-type": "", "source": "",
    "time": "", "id": "", "resources": [],
}  # fmt: skip


@dataclass
class Retrying(Here):
    """Services that try a message once more as a test wants it."""

    retried: list[str] = field(default_factory=list)
    busy: bool = False

    def take_turn(self, account: Account) -> None:
        if self.failure:
            raise self.failure

    def retry_quarantined(self, account: Account, id: str) -> bool:
        if self.failure:
            raise self.failure
        self.retried.append(id)
        return not self.busy


@pytest.fixture
def here() -> Iterator[Retrying]:
    made = Retrying()
    made.accounts.rows["acc"] = ACCOUNT
    made.polls.put(Poll(account_id="acc", active_at=int(time.time())))
    with use(cast(Services, made)):
        yield made


def delivered(body: dict[str, Any], times: int = 1) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(times)}
    return {"Records": [{"messageId": "m", "body": json.dumps(body), "attributes": attributes}]}


def account(here: Retrying) -> Account:
    return here.accounts.rows["acc"]


def test_a_job_that_comes_again_without_a_result_is_a_death(here: Retrying) -> None:
    here.failure = ProviderError("down")
    app.sync_account(delivered(JOB, times=2), None)
    trouble = account(here).trouble
    assert trouble and trouble.failures == 1 and trouble.since > 0, "the death, and a failure at once"
    here.failure = None
    app.sync_account(delivered(JOB), None)
    assert here.synced == ["acc"], "a death must not keep the account from being tried again"


def test_a_job_that_comes_for_the_first_time_is_none(here: Retrying) -> None:
    app.sync_account(delivered(JOB), None)
    assert account(here).trouble is None


@pytest.mark.parametrize("job", [{"repair": 1}, {"quarantine": "e"}])
def test_a_job_that_waits_for_another_worker_is_none(here: Retrying, job: dict[str, Any]) -> None:
    app.sync_account(delivered({**JOB, **job}, times=3), None)
    assert account(here).trouble is None


@pytest.mark.parametrize(
    "job", [JOB, {**JOB, "repair": 1}, {**JOB, "quarantine": "e"}], ids=["sync", "repair", "quarantine"]
)
def test_what_nobody_foresaw_is_told_on_the_account_and_not_tried_at_once(
    here: Retrying, job: dict[str, Any]
) -> None:
    here.failure = ValueError("words of a mail")
    assert app.sync_account(delivered(job), None) == {"batchItemFailures": []}
    trouble = account(here).trouble
    assert trouble and trouble.fault is FailureKind.INTERNAL and trouble.retry_at > trouble.since
    assert "ValueError at" in trouble.reason and "words" not in trouble.reason
    here.failure = None
    app.sync_account(delivered(JOB), None)
    assert here.synced == ["acc"]


def test_what_nobody_foresaw_in_history_is_told_on_the_account(here: Retrying) -> None:
    here.failure = IndexError("words of a mail")
    assert app.backfill_account(delivered(JOB), None) == {"batchItemFailures": []}
    trouble = account(here).trouble
    assert trouble and trouble.fault is FailureKind.INTERNAL and "IndexError at" in trouble.reason


def test_what_may_pass_is_left_to_the_queue(here: Retrying) -> None:
    here.failure = OSError("reset")
    assert app.sync_account(delivered(JOB), None)["batchItemFailures"]
    assert account(here).trouble is None


def test_workers_that_die_for_three_days_stop_the_account(here: Retrying) -> None:
    app.sync_account(delivered(JOB, times=2), None)
    trouble = account(here).trouble
    assert trouble and trouble.fault is FailureKind.STUCK
    long_ago = replace(trouble, since=trouble.since - 80 * 3_600, failures=100)
    here.accounts.rows["acc"] = replace(account(here), trouble=long_ago)
    here.synced.clear()
    app.sync_account(delivered(JOB, times=3), None)
    assert account(here).state is SyncState.STOPPED
    assert here.synced == [] and here.polls.rows == {}


def test_the_tick_lets_an_account_rest_that_failed(here: Retrying) -> None:
    app.tick(TICK, None)
    assert asked(here, SYNC) == [SyncAccount(account_id="acc")]
    here.failure = ProviderError("down")
    app.sync_account(delivered(JOB), None)
    here.queues.sent.clear()
    here.polls.cover(0)  # the next minute
    app.tick(TICK, None)
    assert asked(here, SYNC) == []
    here.polls.rest("acc", int(time.time()))
    here.polls.cover(0)
    app.tick(TICK, None)
    assert asked(here, SYNC) == [SyncAccount(account_id="acc")]


@pytest.mark.parametrize(("outcome", "rests"), [(Outcome.QUIET, False), (Outcome.BUSY, True)])
def test_a_rest_ends_as_soon_as_a_sync_works(here: Retrying, outcome: Outcome, rests: bool) -> None:
    here.failure = ProviderError("down")
    app.sync_account(delivered(JOB), None)
    here.failure, here.outcome = None, outcome
    app.sync_account(delivered(JOB), None)
    assert (here.polls.rows["acc"].retry_at > time.time()) is rests


def test_an_edit_refused_once_is_tried_again_and_refused_twice_given_up(here: Retrying) -> None:
    edit = {"account_id": "acc", "edits": "[]"}
    here.failure = AuthRejected("no")
    assert app.apply_edits(delivered(edit), None) == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    trouble = account(here).trouble
    assert trouble
    here.accounts.rows["acc"] = replace(account(here), trouble=replace(trouble, refused_at=1))
    assert app.apply_edits(delivered(edit, times=2), None) == {"batchItemFailures": []}
    assert account(here).state is SyncState.INVALID


@pytest.mark.parametrize(("busy", "failed"), [(False, 0), (True, 1)])
def test_a_job_that_names_an_entry_tries_that_message_only(here: Retrying, busy: bool, failed: int) -> None:
    here.busy = busy
    answer = app.sync_account(delivered({**JOB, "quarantine": "e"}), None)
    assert (here.retried, here.synced) == (["e"], [])
    assert len(answer["batchItemFailures"]) == failed
