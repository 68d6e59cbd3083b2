"""History in turns: places, order, rest, and what it leaves to new mail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.account import Account
from chalicelib.domain.allowance import MEGABYTE, Allowances
from chalicelib.domain.backfill import Backfill, Stage
from chalicelib.domain.trouble import Fault, Trouble
from chalicelib.errors import AuthRejected, ProviderError, Throttled
from chalicelib.sync import backfill
from chalicelib.sync.engine import Outcome
from chalicelib.sync.meter import Meter
from chalicelib.sync.pace import Pace
from chalicelib.sync.turn import AHEAD, FAIR_SECONDS, FIRST_SECONDS, Turn
from tests.fakes.backfills import MemoryBackfills, MemoryUsage, allowances
from tests.fakes.services import MemoryQueues
from tests.unit.test_sync_engine import ACCOUNT

START = 1_700_000_000.0


def account(id: str, host: str = "mail.example", application: str = "app") -> Account:
    return replace(ACCOUNT, id=id, application_id=application, host=host)


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
    def desk(self) -> backfill.Desk:
        return backfill.Desk(
            backfills=self.backfills, queues=self.queues,
            meter=Meter(usage=self.usage, allowances=self.allowances, now=lambda: self.now),
            sync=self.sync, logged=lambda account_id, id: True, seconds=240, now=lambda: self.now,
        )  # fmt: skip

    def arrive(self, one: Account, pieces: int) -> None:
        self.accounts[one.id] = one
        self.left[one.id] = pieces
        backfill.enter(self.desk, one, begun=False)

    def sync(self, one: Account, deadline: Deadline, pace: Pace) -> Outcome:
        if self.failure:
            raise self.failure
        self.turns.append(one.id)
        pace.note(100, 1 * MEGABYTE)
        if self.outcome:
            return self.outcome
        self.left[one.id] -= 1
        return Outcome.MORE if self.left[one.id] else Outcome.CURRENT

    def asked(self, queue: str = "backfill") -> list[str]:
        """Return whom the queue holds."""
        return [str(body["account_id"]) for name, body in self.queues.sent if name == queue]

    def work(self) -> None:
        """Handle what is in the queue, a second each."""
        waiting, self.queues.sent = self.asked(), []
        for id in waiting:
            self.now += 1
            backfill.take_turn(self.desk, self.accounts[id])

    def minute(self) -> None:
        self.now += 60
        backfill.call_due(self.desk)
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
    assert backfill.call_due(town.desk) == 4
    assert town.asked() == ["x0", "x1", "y0", "z"]
    assert backfill.call_due(town.desk) == 0


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
                backfill.take_turn(racing, town.accounts["b"])

    racing = replace(inner, backfills=Racing(town.backfills.rows))
    backfill.take_turn(racing, town.accounts["a"])
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
        town.queues.send("backfill", [{"account_id": "b"}], "b")
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
        (Trouble(since=1, fault=Fault.SERVER, reason="down"), backfill.FAILED_SECONDS),
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
    backfill.enter(town.desk, one, begun=False)  # nobody has been there yet
    town.queues.sent.clear()
    town.work()
    assert town.turns == []
    for _ in range(2):
        backfill.enter(town.desk, one, begun=True)
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
    assert backfill.call_due(town.desk) == 2
    town.now += 1_000
    town.queues.sent.clear()
    assert backfill.call_due(town.desk) == 8


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
    assert backfill.take_turn(town.desk, town.accounts["a"]) is None
    assert town.turns == ["a"]


def test_after_each_turn_the_account_is_looked_at_for_mail_that_met_a_taken_lease() -> None:
    town = Town()
    town.arrive(account("a"), 2)
    for _ in range(2):
        town.work()
        assert town.asked("sync") == ["a"]
        town.now += 60
        town.queues.sent.clear()
        backfill.call_due(town.desk)
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


@dataclass
class Clockwork:
    """A turn whose time the test moves."""

    others: bool = False
    now: float = 0.0
    looks: int = 0
    limits: Allowances = field(default_factory=allowances)
    fair: float = FAIR_SECONDS

    def __post_init__(self) -> None:
        self.usage = MemoryUsage()
        meter = Meter(usage=self.usage, allowances=self.limits)
        self.turn = Turn(account("a"), meter, self.crowded, clock=lambda: self.now, fair=self.fair)

    def crowded(self) -> bool:
        self.looks += 1
        return self.others


def test_a_turn_goes_on_while_nobody_waits_and_ends_after_a_fair_while_otherwise() -> None:
    at = Clockwork(others=True)
    assert not at.turn.over()
    at.now = FAIR_SECONDS
    assert at.turn.over()
    alone = Clockwork()
    for second in range(100):
        alone.now = second
        assert not alone.turn.over()
    assert alone.looks <= 17  # it looks around every five seconds, not at every batch


def test_the_first_turn_of_a_backfill_is_short_and_the_others_are_not() -> None:
    at = Clockwork(others=True, fair=FIRST_SECONDS)
    at.now = FIRST_SECONDS
    assert at.turn.over()
    later = Clockwork(others=True)
    later.now = FIRST_SECONDS
    assert not later.turn.over()


def test_bytes_are_counted_with_few_writes_and_completely() -> None:
    at = Clockwork()
    counts: list[Any] = []
    for megabytes in range(1, 101):
        at.turn.note(100, megabytes * MEGABYTE)
        counts.append(at.usage.by_account["a"])
    at.turn.end()
    assert at.usage.by_account["a"] == at.usage.by_host["mail.example"] == 100 * MEGABYTE
    assert len(set(counts)) <= 100 / 8 + 1


def test_a_turn_ends_when_the_bytes_are_used_up() -> None:
    at = Clockwork(limits=allowances(account=100))
    at.turn.note(100, 79 * MEGABYTE)
    assert not at.turn.over()
    at.turn.note(100, 90 * MEGABYTE)
    assert at.turn.over() and at.turn.spent


def test_history_does_not_run_ahead_of_the_delta_log_for_long() -> None:
    at = Clockwork()
    asked: list[str] = []

    def logged(id: str) -> bool:
        asked.append(id)
        return len(asked) == 3

    def sleep(seconds: float) -> None:
        at.now += seconds

    at.turn.logged, at.turn.sleep = logged, sleep
    at.turn.stored([])
    at.turn.stored(["m1", "m2"])
    for number in range(1, AHEAD):
        at.turn.stored([f"n{number}"])
    assert asked == []
    at.turn.stored(["o"])
    assert asked == ["m2"] * 3
    at.turn.logged = lambda id: False
    at.turn.stored(["p"])
    assert at.now <= 11


def test_where_nothing_is_limited_nothing_is_read() -> None:
    at = Clockwork()
    at.turn.note(100, 500 * MEGABYTE)
    assert at.usage.asked == 0
