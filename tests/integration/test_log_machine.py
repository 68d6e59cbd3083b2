"""The delta log under duplicates, reordering, crashes and rivals, played by hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain.delta import Change, Event
from chalicelib.store.connection import client
from chalicelib.store.tables.log import LogTable
from tests.integration.aws import deployment

ACCOUNT = "a"


class Crash(Exception):
    """The worker dies right after its commit."""


class Meddler:
    """A DynamoDB client that lets a rival in before a commit, or dies after it."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.rival: list[Change] = []
        self.crash = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def transact_write_items(self, **request: Any) -> Any:
        if self.rival:
            rival, self.rival = self.rival, []
            LogTable(self.real, SETTINGS[0], now=lambda: 1000.0).append(ACCOUNT, rival, 1000)
        answer = self.real.transact_write_items(**request)
        if self.crash:
            self.crash = False
            raise Crash
        return answer


SETTINGS: list[Any] = []


class LogMachine(RuleBasedStateMachine):
    """Writers change a few objects; their changes reach the log at least once."""

    @initialize()
    def begin(self) -> None:
        self.deployment = deployment()
        SETTINGS[:] = [self.deployment.__enter__()]
        self.meddler = Meddler(client(SETTINGS[0], "dynamodb"))
        self.log = LogTable(self.meddler, SETTINGS[0], now=lambda: 1000.0, wait=lambda _: None)
        self.alive: dict[str, int] = {}
        self.pending: list[Change] = []
        self.delivered: list[Change] = []
        self.rev = 0

    def teardown(self) -> None:
        if not hasattr(self, "deployment"):
            return
        self._deliver(self.pending)
        cache: dict[str, int] = {}
        for delta in self.log.since(ACCOUNT, 0, 10_000):
            if delta.change.event is Event.DELETE:
                cache.pop(delta.change.id, None)
            else:
                cache[delta.change.id] = delta.change.rev
        try:
            assert cache == self.alive
        finally:
            self.deployment.__exit__(None, None, None)

    @rule(id=st.sampled_from("mnopq"), delete=st.booleans())
    def write(self, id: str, delete: bool) -> None:
        self.rev += 1
        event = Event.CREATE if id not in self.alive else Event.DELETE if delete else Event.MODIFY
        if event is Event.DELETE:
            del self.alive[id]
        else:
            self.alive[id] = self.rev
        self.pending.append(Change(account_id=ACCOUNT, kind="message", id=id, event=event, rev=self.rev))

    @rule(order=st.permutations("mnopq"), data=st.data())
    def deliver_reordered_across_objects(self, order: list[str], data: st.DataObject) -> None:
        batch = self._batch(data)
        self._deliver(sorted(batch, key=lambda change: order.index(change.id)))
        self._forget(batch)

    @rule(data=st.data(), strangers=st.integers(1, 3), overlap=st.booleans())
    def deliver_while_a_rival_moves_the_counter(
        self, data: st.DataObject, strangers: int, overlap: bool
    ) -> None:
        batch = self._batch(data)
        rival = [self._stranger() for _ in range(strangers)]
        rival += batch[: len(batch) // 2] if overlap else []
        self.meddler.rival = list(rival)
        self._deliver(batch)
        self.meddler.rival = []
        self._deliver(rival)
        self._forget(batch)

    @rule(data=st.data())
    def crash_after_the_commit(self, data: st.DataObject) -> None:
        self.meddler.crash = True
        try:
            self._deliver(self._batch(data))
        except Crash:
            return
        finally:
            self.meddler.crash = False

    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        if self.delivered:
            before = self.log.head(ACCOUNT)
            self._deliver([data.draw(st.sampled_from(self.delivered))])
            assert self.log.head(ACCOUNT) == before

    @rule(data=st.data(), limit=st.integers(1, 7))
    def read_from_any_cursor(self, data: st.DataObject, limit: int) -> None:
        head, _ = self.log.head(ACCOUNT)
        seq = data.draw(st.integers(0, head))
        read = [delta.seq for delta in self.log.since(ACCOUNT, seq, limit)]
        assert read == list(range(seq + 1, min(head, seq + limit) + 1))

    @invariant()
    def every_object_only_moves_forward(self) -> None:
        if not hasattr(self, "log"):
            return
        last: dict[str, int] = {}
        for delta in self.log.since(ACCOUNT, 0, 10_000):
            assert delta.change.rev > last.get(delta.change.id, 0)
            last[delta.change.id] = delta.change.rev

    def _stranger(self) -> Change:
        """A new object only the rival tells of."""
        self.rev += 1
        id = f"stranger{self.rev}"
        self.alive[id] = self.rev
        return Change(account_id=ACCOUNT, kind="message", id=id, event=Event.CREATE, rev=self.rev)

    def _batch(self, data: st.DataObject) -> list[Change]:
        return self.pending[: data.draw(st.integers(0, len(self.pending)))]

    def _forget(self, batch: list[Change]) -> None:
        self.pending = self.pending[len(batch) :]
        self.delivered += batch

    def _deliver(self, changes: list[Change]) -> None:
        self.log.append(ACCOUNT, changes, 1000)


TestLog = LogMachine.TestCase
TestLog.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
