"""History in turns: places, order, rest, and what it leaves to new mail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.trouble import FailureKind, Trouble
from chalicelib.domain.jobs import FetchHistory, SyncAccount
from chalicelib.domain.sync.allowance import MEGABYTE, Allowances
from chalicelib.domain.sync.backfill import Backfill, Stage
from chalicelib.errors import AuthRejected, ProviderError, Throttled
from chalicelib.sync.core.pace import Pace
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.history import backfill
from chalicelib.sync.history.meter import Quota
from chalicelib.sync.history.turn import Turn
from tests.fakes.backfills import MemoryBackfills, MemoryUsage, allowances
from tests.fakes.services import MemoryQueues
from tests.worlds.sync import account

START = 1_700_000_000.0


@dataclass
class Town:
    """Accounts with so much history each; a turn brings one piece of it."""

    allowances: Allowances = field(default_factory=allowances)
    now: float = START
    left: Counter[str] = field(default_factory=Counter)
    turns: list[str] = field(default_factory=list)
    running: int = 0
    failure: Exception | None = None
    outcome: Outcome | None = None

    def __post_init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.backfills, self.usage = MemoryBackfills(), MemoryUsage()
        self.queues = MemoryQueues()

    @property
    def desk(self) -> backfill.Backfilling:
        return backfill.Backfilling(
            backfills=self.backfills, queues=self.queues,
            meter=Quota(usage=self.usage, allowances=self.allowances, now=lambda: self.now),
            sync=self.sync, logged=lambda account_id, id: True, seconds=240, now=lambda: self.now,
        )  # fmt: skip

    def arrive(self, one: Account, pieces: int) -> None:
        self.accounts[one.id] = one
        self.left[one.id] = pieces
        self.desk.enter(one, begun=False)

    def sync(self, one: Account, deadline: Deadline, pace: Pace) -> Outcome:
        if self.failure:
            raise self.failure
        self.turns.append(one.id)
        pace.note(100, 1 * MEGABYTE)
        if self.outcome:
            return self.outcome
        self.left[one.id] -= 1
        return Outcome.MORE if self.left[one.id] else Outcome.CURRENT

    def asked(self, kind: type[FetchHistory] | type[SyncAccount] = FetchHistory) -> list[str]:
        """Return whom jobs of that type are for."""
        return [job.account_id for job in self.queues.of(kind)]

    def work(self) -> None:
        """Handle what is in the queue, a second each."""
        waiting, self.queues.sent = self.asked(), []
        for id in waiting:
            self.now += 1
            self.desk.take_turn(self.accounts[id])

    def minute(self) -> None:
        self.now += 60
        self.desk.call_due()
        self.work()


def test_an_account_is_enqueued_once_however_often_it_asks() -> None:
    town = Town()
    for _ in range(3):
        town.arrive(account("a"), 2)
    assert town.asked() == ["a"]


def test_turns_go_round_until_every_history_is_complete() -> None:
    town = Town(allowances(per_host=2))
    for id in "abcde":
        town.arrive(account(id), 3)
    for _ in range(12):
        town.minute()
    assert town.backfills.rows == {}
    assert Counter(town.turns) == dict.fromkeys("abcde", 3)
    gaps = [town.turns[n + 1 :].index(id) for n, id in enumerate(town.turns) if id in town.turns[n + 1 :]]
    assert max(gaps) <= 5  # nobody has a second turn while another still waits for its first


def test_a_host_and_an_application_have_so_many_places_and_others_go_on() -> None:
    town = Town(allowances(per_host=2, per_application=3))
    for n in range(4):
        town.arrive(account(f"x{n}", host="big.example", application="one"), 9)
    for n in range(2):
        town.arrive(account(f"y{n}", host="small.example", application="one"), 9)
    town.arrive(account("z", host="small.example", application="two"), 9)
    town.queues.sent.clear()
    for id, entry in town.backfills.rows.items():
        town.backfills.rows[id] = replace(entry, stage=Stage.WAITING, until=0)
    assert town.desk.call_due() == 4
    assert town.asked() == ["x0", "x1", "y0", "z"]
    assert town.desk.call_due() == 0


def test_who_finds_no_place_waits_and_neither_fails_nor_is_lost() -> None:
    town = Town(allowances(per_host=1))
    for id in "abc":
        town.arrive(account(id), 1)
    rival = replace(town.backfills.rows["c"], stage=Stage.RUNNING, until=int(START) + 300)
    town.backfills.rows["c"] = rival
    town.queues.sent = town.queues.sent[:2]
    town.work()
    assert town.turns == []
    assert [town.backfills.rows[id].stage for id in "ab"] == [Stage.WAITING, Stage.WAITING]
    town.backfills.remove("c")
    town.minute()
    town.minute()
    assert sorted(town.turns) == ["a", "b"]


def test_of_two_that_begin_at_once_one_goes_on() -> None:
    town = Town(allowances(per_host=1))
    for id in "ab":
        town.arrive(account(id), 1)
    inner = town.desk
    began: list[str] = []

    class Racing(MemoryBackfills):
        """Another worker begins at the very moment between our write and our look."""

        def put(self, entry: Backfill) -> None:
            super().put(entry)
            if entry.stage is Stage.RUNNING and not began:
                began.append(entry.account_id)
                racing.take_turn(town.accounts["b"])

    racing = replace(inner, backfills=Racing(town.backfills.rows))
    racing.take_turn(town.accounts["a"])
    assert town.turns == ["a"]


def test_a_worker_that_died_leaves_its_place_to_the_same_account() -> None:
    town = Town(allowances(per_host=1))
    town.arrive(account("a"), 1)
    dead = replace(town.backfills.rows["a"], stage=Stage.RUNNING, until=int(START) + 200)
    town.backfills.rows["a"] = dead
    town.work()
    assert town.turns == ["a"]


def test_after_a_failure_the_account_rests_and_its_place_is_free() -> None:
    town = Town(allowances(per_host=1), failure=ProviderError("down"))
    for id in "ab":
        town.arrive(account(id), 1)
    for _ in range(2):
        with pytest.raises(ProviderError):
            town.work()
        town.queues.send([FetchHistory(account_id="b")], "b")
    assert {entry.stage for entry in town.backfills.rows.values()} == {Stage.FAILING}
    town.failure = None
    town.queues.sent.clear()
    for _ in range(4):
        town.minute()
    assert sorted(town.turns) == ["a", "b"]


@pytest.mark.parametrize(
    ("trouble", "rest"),
    [
        (None, backfill.HICCUP_SECONDS),
        (Trouble(since=1, fault=FailureKind.SERVER, reason="down"), backfill.FAILED_SECONDS),
    ],
)
def test_after_a_hiccup_history_goes_on_soon(trouble: Trouble | None, rest: int) -> None:
    town = Town(failure=ProviderError("cut"))
    town.arrive(replace(account("a"), trouble=trouble), 1)
    with pytest.raises(ProviderError):
        town.work()
    assert town.backfills.rows["a"].until == int(town.now) + rest


@pytest.mark.parametrize(
    ("begun", "asked", "rest"),
    [
        (False, {}, backfill.FIRST_SLOW_SECONDS),
        (True, {}, backfill.SLOW_SECONDS),
        (False, {"retry_after": 700}, 700),
    ],
)
def test_first_screens_wait_a_minute_for_a_server_that_names_no_time(
    begun: bool, asked: dict[str, int], rest: int
) -> None:
    town = Town(failure=Throttled("slow", **asked))
    town.arrive(account("a"), 1)
    town.backfills.rows["a"] = replace(town.backfills.rows["a"], begun=begun)
    with pytest.raises(Throttled):
        town.work()
    entry = town.backfills.rows["a"]
    assert (entry.stage, entry.until) == (Stage.THROTTLED, int(town.now) + rest)


def test_history_that_rests_after_a_failure_goes_on_when_new_mail_has_come() -> None:
    town = Town(failure=ProviderError("cut"))
    one = account("a")
    town.arrive(one, 1)
    with pytest.raises(ProviderError):
        town.work()
    town.failure = None
    town.desk.enter(one, begun=False)  # nobody has been there yet
    town.queues.sent.clear()
    town.work()
    assert town.turns == []
    for _ in range(2):
        town.desk.enter(one, begun=True)
    assert town.asked() == ["a"]
    town.work()
    assert town.turns == ["a"]


def test_a_host_that_asks_for_patience_gets_fewer_turns_for_a_while() -> None:
    town = Town(allowances(per_host=8), failure=Throttled("slow", retry_after=600))
    for n in range(8):
        town.arrive(account(f"a{n}"), 9)
    town.queues.sent = town.queues.sent[:1]
    with pytest.raises(Throttled):
        town.work()
    assert town.backfills.rows["a0"].stage is Stage.THROTTLED
    town.failure = None
    for id, entry in town.backfills.rows.items():
        if id != "a0":
            town.backfills.rows[id] = replace(entry, stage=Stage.WAITING, until=0)
    assert town.desk.call_due() == 2
    town.now += 1_000
    town.queues.sent.clear()
    assert town.desk.call_due() == 8


def test_history_stops_at_four_fifths_of_the_day_and_goes_on_the_next() -> None:
    town = Town(allowances(account=10))
    town.usage.add("a", "mail.example", 8 * MEGABYTE)
    town.arrive(account("a"), 1)
    town.work()
    entry = town.backfills.rows["a"]
    assert (town.turns, entry.stage) == ([], Stage.SPENT)
    assert entry.until % 86_400 == 0 and START < entry.until <= START + 86_400
    town.usage.by_account.clear()  # the next day
    town.now = entry.until
    town.minute()
    assert town.turns == ["a"]


def test_refused_credentials_leave_the_entry_to_the_worker() -> None:
    town = Town(failure=AuthRejected("no"))
    town.arrive(account("a"), 1)
    with pytest.raises(AuthRejected):
        town.work()


def test_a_message_that_comes_twice_finds_nothing_to_do() -> None:
    town = Town()
    town.arrive(account("a"), 1)
    town.work()
    assert town.desk.take_turn(town.accounts["a"]) is None
    assert town.turns == ["a"]


def test_after_each_turn_the_account_is_looked_at_for_mail_that_met_a_taken_lease() -> None:
    town = Town()
    town.arrive(account("a"), 2)
    for _ in range(2):
        town.work()
        assert town.asked(SyncAccount) == ["a"]
        town.now += 60
        town.queues.sent.clear()
        town.desk.call_due()
    assert town.backfills.rows == {}


def test_an_account_somebody_is_at_is_asked_for_again() -> None:
    town = Town(outcome=Outcome.BUSY)
    town.arrive(account("a"), 1)
    town.work()
    town.outcome = None
    town.minute()
    assert town.turns == ["a", "a"]
    assert town.backfills.rows == {}


def test_a_lost_message_is_sent_again() -> None:
    town = Town()
    town.arrive(account("a"), 1)
    town.queues.sent.clear()
    town.minute()
    assert town.turns == []
    town.now += backfill.QUEUED_SECONDS
    town.minute()
    assert town.turns == ["a"]


def in_the_way(town: Town, *running: str) -> list[bool]:
    """Tell of running turns, the first to begin first, whether each should end for a newcomer."""
    for n, id in enumerate(running):
        entry = town.backfills.rows[id]
        until = int(town.now) + 100 + n
        town.backfills.rows[id] = replace(entry, stage=Stage.RUNNING, begun=True, until=until)
    return [town.desk.makes_room(id) for id in running]


def test_for_each_newcomer_the_turn_ends_that_began_first() -> None:
    town = Town()
    for id in "abcd":
        town.arrive(account(id), 9)
    assert in_the_way(town, "a", "b", "c") == [False, False, False]  # a free worker may still come
    town.now += backfill.PATIENCE_SECONDS
    assert in_the_way(town, "a", "b", "c") == [True, False, False]
    town.arrive(account("e"), 9)
    town.now += backfill.PATIENCE_SECONDS
    assert in_the_way(town, "a", "b", "c") == [True, True, False]


def test_no_turn_ends_for_history_that_has_begun_or_is_at_rest() -> None:
    town = Town()
    for id in "ab":
        town.arrive(account(id), 9)
    town.now += 100
    waiting = town.backfills.rows["b"]
    for entry in (replace(waiting, begun=True), replace(waiting, stage=Stage.THROTTLED)):
        town.backfills.rows["b"] = entry
        assert in_the_way(town, "a") == [False]


def test_no_turn_ends_for_a_newcomer_whom_that_would_not_help() -> None:
    town = Town()
    town.arrive(account("a", host="big.example", application="one"), 9)
    town.arrive(account("b", host="small.example", application="two"), 9)
    town.now += 100
    queued = town.backfills.rows["b"]
    assert in_the_way(town, "a") == [True]  # any worker will do
    waiting = replace(queued, stage=Stage.WAITING)  # for a place at its host
    town.backfills.rows["b"] = waiting
    assert in_the_way(town, "a") == [False]
    for shared in (replace(waiting, host="big.example"), replace(waiting, application_id="one")):
        town.backfills.rows["b"] = shared
        assert in_the_way(town, "a") == [True]


def test_a_turn_asks_whether_it_is_in_the_way() -> None:
    town, told = Town(), list[bool]()

    def sync(one: Account, deadline: Deadline, pace: Pace) -> Outcome:
        assert isinstance(pace, Turn)
        for seconds in (0, backfill.PATIENCE_SECONDS):
            town.now += seconds
            told.append(pace.makes_room())
        town.backfills.remove(one.id)
        told.append(pace.makes_room())
        return Outcome.CURRENT

    town.arrive(account("a"), 9)
    town.arrive(account("b"), 9)
    replace(town.desk, sync=sync).take_turn(account("a"))
    assert told == [False, True, False]
