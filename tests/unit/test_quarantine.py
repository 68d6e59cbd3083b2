"""A message that cannot be taken in is set aside, everything else goes in, and peace costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.clock import Deadline
from chalicelib.domain.remote import (
    BatchLimits,
    ChangeBatch,
    Collection,
    Cursor,
    Known,
    RemoteId,
    RemoteMessage,
)
from chalicelib.domain.sync.quarantine import Cause, QuarantineState, entry_id
from chalicelib.errors import Interrupted, ProviderError, SyncFailure
from chalicelib.formats.mime import mime
from chalicelib.store.errors import Overloaded
from chalicelib.sync.engine import session
from chalicelib.sync.engine.run import Outcome, sync_account
from chalicelib.sync.mail import ingest
from chalicelib.sync.safety import hangups, retry
from chalicelib.sync.safety.comparison import repair
from chalicelib.sync.safety.poison import OUR_FAULT
from tests.fakes.inline import Inline
from tests.fakes.mail import mail
from tests.fakes.provider import MemoryProvider
from tests.fakes.store import Crash
from tests.worlds.sync import ACCOUNT, World

DAY = 86_400
POISON = "poison"


@dataclass
class Parser:
    """The real parser, but for mail that says it is poison: that fails as told."""

    failure: BaseException | None
    parsed: list[bytes] = field(default_factory=list)
    parse: Any = mime.parse

    def __call__(self, raw: bytes) -> Any:
        self.parsed.append(raw)
        if self.failure and f"Subject: {POISON}".encode() in raw:
            raise self.failure
        return self.parse(raw)

    def poisoned(self) -> int:
        return sum(f"Subject: {POISON}".encode() in raw for raw in self.parsed)


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Parser:
    made = Parser(failure=RecursionError("a thousand parts of a@b.example"))
    monkeypatch.setattr(ingest, "parse", made)
    monkeypatch.setattr(session, "ThreadPoolExecutor", Inline)
    return made


class Withholding(MemoryProvider):
    """A server that does not give some messages out."""

    def __init__(self, counts: bool = True) -> None:
        super().__init__(counts)
        self.withheld: set[RemoteId] = set()

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        batch = super().changes(collection, cursor, known, budget)
        unreadable = {m.id: "Server error" for m in batch.arrived if m.id in self.withheld}
        given = tuple(m for m in batch.arrived if m.id not in self.withheld)
        return replace(batch, arrived=given, unreadable=unreadable)

    def items(self, collection: Collection, ids: Sequence[RemoteId]) -> Sequence[RemoteMessage]:
        return [m for m in super().items(collection, ids) if m.id not in self.withheld]

    def fetch(self, collection_id: str, id: RemoteId) -> bytes:
        raw = super().fetch(collection_id, id)
        if id in self.withheld:
            raise ProviderError("Server error")
        return raw


@pytest.fixture(params=[True, False], ids=["counted", "uncounted"])
def world(request: pytest.FixtureRequest, parser: Parser) -> Iterator[World]:
    world = World(server=Withholding(request.param))
    world.sync()
    yield world


def compare(world: World) -> Any:
    return repair(world.workspace(), world.accounts.account, Deadline.after(60))


def fill(world: World, poisoned: int = 1, healthy: int = 30, folder: str = "INBOX") -> list[RemoteId]:
    """Deliver mail with poison in the middle; return its names."""
    ids = []
    for number in range(healthy + poisoned):
        bad = healthy // 2 <= number < healthy // 2 + poisoned
        id = world.server.deliver(folder, mail(POISON if bad else f"m{number}", 1_000 + number), at=number)
        ids += [id] if bad else []
    return ids


def folder_id(world: World, collection: str = "INBOX") -> str:
    return next(f.id for f in world.mail.all_folders.values() if f.collection == collection)


def run_until_alive(world: World, most: int = 10) -> int:
    """Start workers until one survives; return how many died."""
    for died in range(most):
        try:
            world.sync()
        except Crash:
            continue
        return died
    raise AssertionError(f"{most} workers died")


def test_poison_is_set_aside_after_three_attempts_and_the_rest_goes_in(world: World, parser: Parser) -> None:
    [id] = fill(world)
    assert world.sync() is Outcome.CURRENT
    assert len(world.mail.all_messages) == 30
    [entry] = world.quarantine.entries(ACCOUNT.id)
    assert (entry.remote_id, entry.folder_id) == (id, folder_id(world))
    assert (entry.state, entry.attempts, entry.cause) == (QuarantineState.HELD, 3, Cause.POISON)
    assert "RecursionError" in entry.reason and "a@b.example" not in entry.reason
    writes = world.fuse.count
    assert world.sync() is Outcome.QUIET
    assert world.fuse.count == writes


def test_a_mail_that_the_store_does_not_take_is_set_aside_without_a_word_of_how(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(account_id: str, changes: Any) -> None:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "Item size"}}, "PutItem")

    world.server.deliver("INBOX", mail("too large", 1), at=1)
    with monkeypatch.context() as patch:
        patch.setattr(world.mail, "save", refuse)
        world.sync()
    [entry] = world.quarantine.entries(ACCOUNT.id)
    assert entry.reason == "The message could not be stored." and "ClientError at" in caplog.text


def test_healthy_mail_costs_no_write_more(world: World, parser: Parser) -> None:
    fill(world, poisoned=0)
    before = len(world.fuse.points)
    world.sync()
    assert not [point for point in world.fuse.points[before:] if "quarantine" in point or "suspects" in point]


def test_poison_that_breaks_the_store_is_set_aside_too(world: World, parser: Parser) -> None:
    parser.failure = None
    save = world.mail.save

    def refuse(account_id: str, changes: Any) -> None:
        if any(change.new and change.new.subject == POISON for change in changes.messages):
            raise ValueError("too large a row")
        save(account_id, changes)

    world.mail.save = refuse  # type: ignore[method-assign]
    fill(world)
    assert world.sync() is Outcome.CURRENT
    assert len(world.mail.all_messages) == 30
    assert [entry.state for entry in world.quarantine.entries(ACCOUNT.id)] == [QuarantineState.HELD]


def test_several_poisons_in_one_batch_are_all_found(world: World, parser: Parser) -> None:
    ids = fill(world, poisoned=3)
    world.sync()
    assert {entry.remote_id for entry in world.quarantine.entries(ACCOUNT.id)} == set(ids)
    assert len(world.mail.all_messages) == 30


@pytest.mark.parametrize("failure", [Overloaded("throttled"), ProviderError("gone away"), OSError("reset")])
def test_what_may_pass_blames_no_message(world: World, parser: Parser, failure: Exception) -> None:
    fill(world)
    parser.failure = failure
    with pytest.raises(type(failure)):
        world.sync()
    assert world.quarantine.entries(ACCOUNT.id) == []
    parser.failure = None
    world.sync()
    assert len(world.mail.all_messages) == 31


def test_when_everything_fails_the_fault_is_ours(world: World, parser: Parser) -> None:
    fill(world, poisoned=OUR_FAULT + 1, healthy=0)
    with pytest.raises(SyncFailure, match="RecursionError"):
        world.sync()
    assert world.quarantine.entries(ACCOUNT.id) == []


@pytest.mark.parametrize("poisoned", [1, 2])
def test_a_message_that_kills_the_worker_is_counted_before_it_is_parsed(
    world: World, parser: Parser, poisoned: int
) -> None:
    ids = fill(world, poisoned)
    parser.failure = Crash("out of memory")
    died = run_until_alive(world)
    entries = world.quarantine.entries(ACCOUNT.id)
    assert {entry.remote_id for entry in entries} == set(ids)
    assert all(entry.attempts == 3 and entry.state is QuarantineState.HELD for entry in entries)
    assert died <= 2 + 2 * poisoned, "an unexplained death, one of the batch, two of each message alone"
    assert len(world.mail.all_messages) == 30
    assert world.quarantine.suspected.get(ACCOUNT.id, frozenset()) == frozenset()
    fill(world, 0, 5, "Sent")
    parser.parsed.clear()
    world.sync()
    assert parser.poisoned() == 0


def test_a_worker_that_died_of_something_else_costs_one_write_a_batch(world: World, parser: Parser) -> None:
    fill(world, poisoned=0)
    parser.failure = None
    world.fuse.at = len(world.fuse.points) + 12
    with pytest.raises(Crash):
        world.sync()
    before = len(world.fuse.points)
    world.sync()
    assert world.quarantine.entries(ACCOUNT.id) == []
    noted = [point for point in world.fuse.points[before:] if point == "before suspects put"]
    assert 1 <= len(noted) <= 2, "noted with the batch, cleared at the end"
    assert len(world.mail.all_messages) == 30


def test_what_the_server_withholds_is_recorded_and_passed_over(world: World, parser: Parser) -> None:
    server: Any = world.server
    parser.failure = None
    [id] = fill(world)
    server.withheld.add(id)
    assert world.sync() is Outcome.CURRENT
    [entry] = world.quarantine.entries(ACCOUNT.id)
    assert (entry.cause, entry.reason, entry.attempts) == (Cause.WITHHELD, "Server error", 1)
    assert len(world.mail.all_messages) == 30


def _held(world: World, parser: Parser, *, withheld: bool = False) -> RemoteId:
    [id] = fill(world)
    server: Any = world.server
    if withheld:
        server.withheld.add(id)
    world.sync()
    assert len(world.mail.all_messages) == 30
    return id


@pytest.mark.parametrize("withheld", [True, False])
def test_the_comparison_tries_again_and_clears_what_goes_in(
    world: World, parser: Parser, withheld: bool
) -> None:
    _held(world, parser, withheld=withheld)
    world.now += 2 * DAY
    assert compare(world).retried == 1
    [entry] = world.quarantine.entries(ACCOUNT.id)
    assert entry.last_at == int(world.now) and entry.attempts == (2 if withheld else 4)
    assert compare(world).retried == 0, "tried again on the same day: a worker may have died of it"
    server: Any = world.server
    server.withheld.clear()
    parser.failure = None
    world.now += 2 * DAY
    assert compare(world).missing == 1
    assert world.quarantine.entries(ACCOUNT.id) == []
    world.check()


def test_the_comparison_forgets_what_has_gone_from_the_server(world: World, parser: Parser) -> None:
    id = _held(world, parser)
    world.server.expunge("INBOX", id)
    compare(world)
    assert world.quarantine.entries(ACCOUNT.id) == []


def test_what_is_skipped_is_never_tried_again(world: World, parser: Parser) -> None:
    _held(world, parser)
    [entry] = world.quarantine.entries(ACCOUNT.id)
    assert world.quarantine.change(entry, replace(entry, state=QuarantineState.SKIPPED))
    parser.failure = None
    parser.parsed.clear()
    world.now += 2 * DAY
    compare(world)
    assert parser.poisoned() == 0 and len(world.mail.all_messages) == 30
    assert [one.state for one in world.quarantine.entries(ACCOUNT.id)] == [QuarantineState.SKIPPED]


def test_poison_found_by_the_comparison_does_not_end_it(world: World, parser: Parser) -> None:
    parser.failure = None
    fill(world)
    world.sync()
    lost = [m for m in world.mail.all_messages.values() if m.subject in (POISON, "m3")]
    for message in lost:
        del world.mail.all_messages[message.id]
        del world.mail.all_threads[message.thread_id]
        for place in message.places:
            del world.mail.all_locations[place.folder_id, place.remote_id]
    parser.failure = ValueError("?")
    compare(world)
    assert len(world.mail.all_messages) == 30
    assert [one.state for one in world.quarantine.entries(ACCOUNT.id)] == [QuarantineState.HELD]


class TestRetryOnRequest:
    """One entry, at once."""

    def test_a_message_that_goes_in_leaves_the_quarantine(self, world: World, parser: Parser) -> None:
        _held(world, parser)
        [entry] = world.quarantine.entries(ACCOUNT.id)
        parser.failure = None
        assert retry.retry(world.workspace(), ACCOUNT, entry.id)
        assert world.quarantine.entries(ACCOUNT.id) == []
        world.check()

    def test_one_that_fails_again_says_so(self, world: World, parser: Parser) -> None:
        _held(world, parser)
        [entry] = world.quarantine.entries(ACCOUNT.id)
        parser.failure = KeyError("?")
        world.now += 60
        assert retry.retry(world.workspace(), ACCOUNT, entry.id)
        [again] = world.quarantine.entries(ACCOUNT.id)
        assert (again.attempts, again.last_at) == (4, int(world.now)) and "KeyError" in again.reason

    def test_one_that_has_gone_is_forgotten(self, world: World, parser: Parser) -> None:
        id = _held(world, parser)
        world.server.expunge("INBOX", id)
        assert retry.retry(world.workspace(), ACCOUNT, entry_id(ACCOUNT.id, folder_id(world), id))
        assert world.quarantine.entries(ACCOUNT.id) == []

    def test_another_worker_is_not_disturbed(self, world: World, parser: Parser) -> None:
        _held(world, parser)
        [entry] = world.quarantine.entries(ACCOUNT.id)
        world.checkpoints.rival = True
        assert not retry.retry(world.workspace(), ACCOUNT, entry.id)


class HangingUp(MemoryProvider):
    """A server that ends the connection when it is asked for a bad message; a new one is no better."""

    def __init__(self, counts: bool = True) -> None:
        super().__init__(counts)
        self.bad: set[RemoteId] = set()
        self.connections = 0
        self.whims = 0
        self.anonymous = False

    def connect(self, account: object) -> HangingUp:
        self.connections += 1
        return self

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        batch = super().changes(collection, cursor, known, budget)
        together = [m for m in batch.arrived if m.id not in budget.alone | budget.avoid]
        alone = [[m] for m in batch.arrived if m.id in budget.alone - budget.avoid]
        if self.anonymous and not budget.careful and any(m.id in self.bad for m in batch.arrived):
            raise Interrupted("closed")  # over messages that nobody knew by name when they were asked for
        for asked in [together, *alone]:
            self.whims -= 1 if asked else 0
            if (self.whims >= 0 and asked) or any(m.id in self.bad for m in asked):
                raise Interrupted("closed", tuple(m.id for m in asked))
        return replace(batch, arrived=tuple(m for m in batch.arrived if m.id not in budget.avoid))


class TestHangups:
    """The server ends the connection over a message."""

    @pytest.fixture
    def server(self) -> HangingUp:
        return HangingUp()

    @pytest.fixture
    def world(self, server: HangingUp) -> World:
        return World(server=server)

    def sync(self, world: World, server: HangingUp) -> Outcome:
        work = replace(world.workspace(), provider=server.connect)
        return sync_account(work, world.accounts.account, Deadline.after(60))

    @pytest.mark.parametrize("number", [1, 2])
    def test_the_message_is_found_and_set_aside_in_one_call(
        self, world: World, server: HangingUp, number: int
    ) -> None:
        server.bad = set(fill(world, number))
        assert self.sync(world, server) is Outcome.CURRENT
        assert len(world.mail.all_messages) == 30
        entries = world.quarantine.entries(ACCOUNT.id)
        assert {entry.remote_id for entry in entries} == server.bad
        assert all((one.cause, one.attempts) == (Cause.WITHHELD, 3) for one in entries)
        assert server.connections == 2 + 3 * number, "one in company, three alone, one that works"
        assert all(entry.folder_id == folder_id(world) for entry in entries)
        assert world.pauses == [hangups.PAUSE_SECONDS] * 2 * number

    def test_a_hang_up_over_messages_without_names_is_looked_into_as_well(
        self, world: World, server: HangingUp
    ) -> None:
        server.bad, server.anonymous = set(fill(world, 1)), True
        assert self.sync(world, server) is Outcome.CURRENT
        assert len(world.mail.all_messages) == 30
        assert {entry.remote_id for entry in world.quarantine.entries(ACCOUNT.id)} == server.bad
        assert server.connections == 3 + 3, "two in company, three alone, one that works"

    def test_a_connection_that_breaks_once_blames_nobody(self, world: World, server: HangingUp) -> None:
        fill(world, 0)
        server.whims = 1
        assert self.sync(world, server) is Outcome.CURRENT
        assert len(world.mail.all_messages) == 30 and world.quarantine.entries(ACCOUNT.id) == []
        assert world.pauses == []

    def test_a_network_that_fails_for_seconds_blames_nobody(self, world: World, server: HangingUp) -> None:
        def calm_down(seconds: float) -> None:
            server.whims = 0

        fill(world, 0)
        server.whims = 1_000
        work = replace(world.workspace(), provider=server.connect, sleep=calm_down)
        assert sync_account(work, world.accounts.account, Deadline.after(60)) is Outcome.CURRENT
        assert len(world.mail.all_messages) == 30 and world.quarantine.entries(ACCOUNT.id) == []

    def test_a_server_that_always_hangs_up_fails_the_pass(self, world: World, server: HangingUp) -> None:
        fill(world, 0)
        server.whims = 1_000
        with pytest.raises(Interrupted):
            self.sync(world, server)
        assert server.connections <= hangups.MOST + 1
        assert len(world.quarantine.entries(ACCOUNT.id)) <= 4

    def test_what_was_counted_before_goes_on_being_counted(
        self, world: World, server: HangingUp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.bad = set(fill(world))
        monkeypatch.setattr(hangups, "MOST", 2)
        for _ in range(2):
            with pytest.raises(Interrupted):
                self.sync(world, server)
        monkeypatch.undo()
        self.sync(world, server)
        [entry] = world.quarantine.entries(ACCOUNT.id)
        assert entry.attempts == 3 and entry.state is QuarantineState.HELD
