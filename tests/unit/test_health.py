"""From failures to rest and states: what is recorded, when it is told, and that peace writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.trouble import FailureKind, rest
from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Cursor, Known
from chalicelib.errors import AuthRejected, ProviderError, Throttled
from chalicelib.store.values import Poll
from chalicelib.sync.accounts.health import Health
from chalicelib.sync.engine.run import Outcome
from tests.fakes.mail import mail
from tests.fakes.provider import MemoryProvider
from tests.fakes.services import MemoryAccounts, MemoryPolls
from tests.worlds.sync import ACCOUNT, World

START = 1_700_000_000
DOWN, REFUSED = ProviderError("connection refused"), AuthRejected("The mail server refused the login: no")


@dataclass
class Ward:
    """One account, its polls and a clock."""

    now: float = float(START)
    accounts: MemoryAccounts = field(default_factory=MemoryAccounts)
    polls: MemoryPolls = field(default_factory=MemoryPolls)
    states: list[SyncState] = field(default_factory=list)

    def __post_init__(self) -> None:
        connected = (START - 3_600) * 1_000
        self.accounts.rows["a"] = replace(ACCOUNT, state=SyncState.RUNNING, rev=connected)
        self.polls.put(Poll(account_id="a", active_at=START))

    @property
    def account(self) -> Account:
        return self.accounts.rows["a"]

    def state(self) -> SyncState:
        return self.account.state

    @property
    def health(self) -> Health:
        return Health(accounts=self.accounts, polls=self.polls, share=lambda: 0.5, now=lambda: self.now)

    def fail(self, error: ProviderError | None = DOWN) -> bool:
        """One pass fails, with no error: it dies."""
        rests = self.health.failed("a", error) if error else self.health.died("a")
        if not self.states or self.states[-1] is not self.account.state:
            self.states.append(self.account.state)
        return rests

    def fail_until(self, hours: float, error: ProviderError | None = DOWN) -> int:
        """Fail whenever the account is polled again; return how often."""
        end, times = self.now + hours * 3_600, 0
        while "a" in self.polls.rows and self.polls.rows["a"].retry_at <= end:
            self.now = max(self.now, float(self.polls.rows["a"].retry_at))
            self.fail(error)
            times += 1
        self.now = max(self.now, end)
        return times


@pytest.fixture
def ward() -> Iterator[Ward]:
    yield Ward()


def test_rests_double_from_one_minute_to_thirty() -> None:
    assert [rest(n, 0.5) for n in range(1, 8)] == [60, 120, 240, 480, 960, 1_800, 1_800]
    assert (rest(1, 0.0), rest(1, 1.0), rest(50, 1.0)) == (45, 75, 2_250)


@pytest.mark.parametrize("error", [DOWN, None], ids=["the server fails", "the worker dies"])
def test_a_lasting_failure_leads_to_an_error_after_an_hour_and_a_stop_after_72(
    ward: Ward, error: ProviderError | None
) -> None:
    tries = ward.fail_until(0.9, error)
    assert ward.state() is SyncState.RUNNING and 5 <= tries <= 7
    ward.fail_until(0.7, error)
    assert ward.state() is SyncState.SYNC_ERROR
    later = ward.fail_until(70, error)
    assert ward.state() is SyncState.SYNC_ERROR and 130 <= later <= 150, "about every half hour"
    ward.fail_until(2, error)
    assert ward.state() is SyncState.STOPPED and ward.polls.rows == {}
    assert ward.states == [SyncState.RUNNING, SyncState.SYNC_ERROR, SyncState.STOPPED]
    trouble = ward.account.trouble
    assert trouble and trouble.since == START
    assert trouble.fault is (FailureKind.SERVER if error else FailureKind.STUCK)


def test_many_failures_in_a_short_time_are_no_error_yet(ward: Ward) -> None:
    for _ in range(20):
        ward.fail()
        ward.now += 10
    assert ward.state() is SyncState.RUNNING


def test_failures_before_a_rest_is_over_do_not_lengthen_it(ward: Ward) -> None:
    for _ in range(6):  # a watcher or an edit asks, whatever the polls are told
        ward.fail()
        ward.now += 1
    assert ward.polls.rows["a"].retry_at == START + 60
    trouble = ward.account.trouble
    assert trouble and (trouble.failures, trouble.since) == (1, START)
    ward.now = START + 60
    ward.fail(Throttled("slow down"))
    assert ward.polls.rows["a"].retry_at == START + 180
    ward.fail(Throttled("slow down", retry_after=900))
    assert ward.polls.rows["a"].retry_at == START + 960, "unless the server asks for it"


def test_a_server_that_asks_for_patience_gets_it(ward: Ward) -> None:
    ward.fail(Throttled("slow down", retry_after=900))
    assert ward.polls.rows["a"].retry_at == START + 900


def test_one_refused_login_may_be_a_hiccup_and_two_at_once_as_well(ward: Ward) -> None:
    assert not ward.fail(REFUSED)
    ward.now += 59
    assert not ward.fail(REFUSED)
    assert ward.state() is SyncState.RUNNING and "a" in ward.polls.rows
    ward.now += 1
    assert ward.fail(REFUSED)
    assert ward.state() is SyncState.INVALID and ward.polls.rows == {}


def test_the_second_login_is_not_tried_before_it_can_tell_anything(ward: Ward) -> None:
    ward.fail(REFUSED)
    assert ward.polls.rows["a"].retry_at >= START + 60


def test_a_success_between_two_refusals_makes_the_second_the_first(ward: Ward) -> None:
    ward.fail(REFUSED)
    ward.accounts.note_trouble(ward.account, None)
    ward.now += 3_600
    assert not ward.fail(REFUSED)


def test_credentials_that_never_worked_are_refused_at_once(ward: Ward) -> None:
    fresh = replace(ward.account, state=SyncState.INITIALIZING, rev=(START - 30) * 1_000)
    ward.accounts.rows["a"] = fresh
    assert ward.fail(REFUSED)
    assert ward.state() is SyncState.INVALID


def test_an_account_that_rests_stays_at_rest(ward: Ward) -> None:
    ward.accounts.rows["a"] = replace(ward.account, state=SyncState.STOPPED)
    assert ward.fail()
    assert ward.state() is SyncState.STOPPED and ward.account.trouble is None


def test_an_account_that_has_gone_is_polled_no_more(ward: Ward) -> None:
    ward.accounts.rows.clear()
    assert ward.health.failed("a", DOWN)
    assert ward.polls.rows == {}


class Failing(MemoryProvider):
    """A server on which some folders cannot be opened."""

    def __init__(self, counts: bool = True) -> None:
        super().__init__(counts)
        self.broken: set[str] = set()
        self.dead = False
        self.deadly = False
        self.tried: list[str] = []

    def collections(self) -> Any:
        if self.dead:
            raise ProviderError("connection reset")
        return super().collections()

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        self.tried.append(collection.id)
        if collection.id in self.broken:
            self.dead = self.deadly
            raise ProviderError(f"NO [SERVERBUG] {collection.id} cannot be opened ({len(self.tried)})")
        return super().changes(collection, cursor, known, budget)


@pytest.fixture(params=[True, False], ids=["counted", "uncounted"])
def world(request: pytest.FixtureRequest) -> World:
    world = World(server=Failing(request.param))
    for number, folder in enumerate(("INBOX", "Sent", "Trash")):
        world.server.deliver(folder, mail(f"m{number}", number), at=number)
    return world


def broken(world: World, *folders: str) -> None:
    server: Any = world.server
    server.broken = set(folders)


def subjects(world: World) -> set[str]:
    return {message.subject for message in world.mail.all_messages.values()}


def test_a_folder_that_fails_does_not_keep_the_others(world: World) -> None:
    broken(world, "Sent")
    assert world.sync() is Outcome.CURRENT
    assert subjects(world) == {"m0", "m2"}


def test_an_account_is_partial_once_a_folder_failed_three_times_and_then_running(world: World) -> None:
    states = []
    broken(world, "Sent")
    for _ in range(4):
        world.sync()
        states.append(world.accounts.account.state)
    assert states == [SyncState.INITIALIZING] * 2 + [SyncState.PARTIAL] * 2
    trouble = world.accounts.account.trouble
    assert trouble and trouble.fault is FailureKind.FOLDER and "Sent cannot be opened" in trouble.reason
    broken(world)
    world.sync()
    assert world.accounts.account.state is SyncState.RUNNING and world.accounts.account.trouble is None
    assert subjects(world) == {"m0", "m1", "m2"}


def test_a_partial_account_notes_nothing_new_with_each_pass(world: World) -> None:
    broken(world, "Sent")
    for _ in range(3):
        world.sync()
    before = len(world.fuse.points)
    world.now += 60
    world.sync()
    noted = [point for point in world.fuse.points[before:] if "trouble" in point or "transition" in point]
    assert noted == []


def test_when_every_folder_fails_the_pass_has_failed(world: World) -> None:
    broken(world, *world.server.boxes)
    with pytest.raises(ProviderError, match="cannot be opened"):
        world.sync()


def test_a_connection_that_breaks_is_no_fault_of_a_folder(world: World) -> None:
    server: Any = world.server
    broken(world, "Sent")

    server.deadly = True
    with pytest.raises(ProviderError, match="connection reset"):
        world.sync()
    assert world.accounts.account.trouble is None
    assert server.tried[-1] == "Sent", "another folder was tried on a dead connection"


@pytest.mark.parametrize("state", [SyncState.SYNC_ERROR, SyncState.PARTIAL, SyncState.INITIALIZING])
def test_a_pass_that_works_makes_the_account_running_and_forgets(world: World, state: SyncState) -> None:
    ward = Ward()
    ward.fail()
    world.accounts.account = replace(world.accounts.account, state=state, trouble=ward.account.trouble)
    world.sync()
    assert world.accounts.account.state is SyncState.RUNNING and world.accounts.account.trouble is None


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("state", [SyncState.INVALID, SyncState.STOPPED])
def test_a_pass_that_ends_after_the_account_was_put_to_rest_does_not_wake_it(
    world: World, state: SyncState, failing: bool
) -> None:
    if failing:
        broken(world, "Sent")
        world.sync()
        world.sync()
        world.server.deliver("INBOX", mail("m9", 9), at=9)
    account = world.accounts.account

    def put_to_rest(folder: str) -> None:
        world.accounts.account = replace(account, state=state)

    world.server.meanwhile = put_to_rest
    world.sync()
    assert world.accounts.account.state is state


def test_a_quiet_pass_of_a_healthy_account_writes_nothing_and_reads_it_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sync()
    writes = world.fuse.count
    monkeypatch.setattr(world.accounts, "get", lambda id: pytest.fail("the account was read again"))
    assert world.sync() is Outcome.QUIET
    assert world.fuse.count == writes
