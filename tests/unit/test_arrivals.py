"""What a live sync makes of an account that has just come, and of the day's bytes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import SyncState
from chalicelib.domain.sync.allowance import Allowances
from chalicelib.domain.sync.backfill import Backfill, Stage
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.history import live
from chalicelib.sync.history.meter import Quota
from tests.fakes.backfills import MemoryBackfills, MemoryUsage, allowances
from tests.fakes.provider import MemoryProvider
from tests.worlds.live import Scene
from tests.worlds.sync import ACCOUNT


@dataclass
class Arrival:
    """An account, whoever else waits for history, and how often its mail server was called."""

    scene: Scene = field(default_factory=Scene)
    backfills: MemoryBackfills = field(default_factory=MemoryBackfills)
    usage: MemoryUsage = field(default_factory=MemoryUsage)
    allowances: Allowances = field(default_factory=allowances)
    state: SyncState = SyncState.INITIALIZING
    calls: int = 0

    def wait(self, *ids: str, begun: bool = False) -> None:
        for id in ids:
            entry = Backfill(account_id=id, application_id="app", host="", since=1.0, begun=begun)
            self.backfills.enter(entry)

    def rest(self, stage: Stage) -> None:
        self.backfills.put(replace(self.backfills.rows[ACCOUNT.id], stage=stage))

    def live(self) -> Outcome:
        work = replace(self.scene.work, provider=self._call)
        account = replace(self.scene.world.accounts.account, state=self.state)
        meter = Quota(usage=self.usage, allowances=self.allowances)
        return live.sync(work, meter, self.backfills, account, Deadline.after(60))

    @property
    def brought(self) -> int:
        return len(self.scene.world.mail.all_messages)

    def _call(self, account: object) -> MemoryProvider:
        self.calls += 1
        return self.scene.world.server


@pytest.fixture
def arrival() -> Arrival:
    made = Arrival()
    made.scene.fill("INBOX", 2_000)
    return made


def test_an_account_that_has_just_come_is_not_opened_before_its_first_turn(arrival: Arrival) -> None:
    assert arrival.live() is Outcome.DEFERRED
    arrival.wait(ACCOUNT.id)
    for stage in (Stage.WAITING, Stage.QUEUED, Stage.RUNNING):
        arrival.rest(stage)
        assert arrival.live() is Outcome.DEFERRED
    assert (arrival.calls, arrival.scene.world.fuse.count) == (0, 0)


@pytest.mark.parametrize("stage", [Stage.FAILING, Stage.THROTTLED, Stage.SPENT])
def test_new_mail_does_not_wait_for_a_first_turn_in_which_something_went_wrong(
    arrival: Arrival, stage: Stage
) -> None:
    arrival.wait(ACCOUNT.id)
    arrival.rest(stage)
    assert arrival.live() is Outcome.MORE
    arrival.scene.fill("INBOX", 1, first=5_000)
    assert arrival.live() is Outcome.MORE
    assert arrival.brought == 1


def test_new_mail_comes_as_soon_as_the_first_screens_are_there(arrival: Arrival) -> None:
    arrival.wait(ACCOUNT.id, begun=True)
    assert arrival.live() is Outcome.MORE
    arrival.scene.fill("INBOX", 1, first=5_000)
    assert arrival.live() is Outcome.MORE
    assert arrival.brought == 1


def test_an_account_that_was_here_before_and_is_connected_anew_is_opened(arrival: Arrival) -> None:
    arrival.scene.world.sync()
    assert arrival.live() is Outcome.QUIET
    assert arrival.calls == 1


def test_new_mail_of_an_account_that_is_complete_comes_at_once() -> None:
    arrival = Arrival(state=SyncState.RUNNING)
    arrival.scene.fill("INBOX", 10)
    assert arrival.live() is Outcome.CURRENT
    assert arrival.brought == 10


def test_live_mail_comes_until_the_whole_day_is_used_up() -> None:
    arrival = Arrival(state=SyncState.RUNNING, allowances=allowances(account=10))
    arrival.scene.fill("INBOX", 1)
    arrival.usage.add(ACCOUNT.id, ACCOUNT.host, 9_900_000)
    assert arrival.live() is Outcome.CURRENT
    arrival.usage.add(ACCOUNT.id, ACCOUNT.host, 100_000)
    arrival.scene.fill("INBOX", 1, first=7)
    assert arrival.live() is Outcome.QUIET
    assert arrival.brought == 1
