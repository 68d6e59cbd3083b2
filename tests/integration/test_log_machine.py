"""The delta log as hypothesis plays it: writers, a stream that repeats and reorders, crashes, readers.

Writers change objects; each change is a record of the stream. Workers take a batch of records to the
log: twice, in another order between objects, beside a rival, or dying before or after any request.
Clients take a cursor, list the objects page by page, then follow the log. Time passes and the log
forgets. Records get lost for good, and the daily reconciliation repairs the log.
`make property-test` plays 20,000 stories (POSTERN_LOG_STORIES).

The promises are checked where a reader could see them broken:

gapless         from any cursor one reads on without a hole, or is told that the cursor is too old
commit order    what a reader was told stays, and later commits come behind it
idempotent      a record that comes again changes nothing
monotone        an object's revisions only rise
complete        what a worker has handled is in the log
misses nothing  cursor, list, deltas: in the end the client holds exactly what the store holds
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chalicelib.config import Settings
from chalicelib.deltas import feed, reconcile
from chalicelib.domain.log.delta import Change, Delta, ObjectKey, Operation
from chalicelib.errors import CursorTooOld
from chalicelib.store.aws.connection import client
from chalicelib.store.log.log import KEPT_DAYS, LogTable
from tests.fakes.dynamo import MemoryDynamo
from tests.fakes.services import MemoryAccounts
from tests.integration.aws import deployment

ACCOUNT = "a"
IDS = "mnopqr"
DAY = 86400
BEGIN = 1_700_000_000
SETTINGS = Settings(table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={})
STORIES = int(os.environ.get("POSTERN_LOG_STORIES", "2000"))
STORIES_ON_MOTO = 15


class Crash(BaseException):
    """The worker dies here."""


@dataclass
class Fuse:
    """A client of DynamoDB in which a rival gets in, or the worker dies, at a request."""

    real: Any
    rival: Callable[[], None] | None = None
    die_before: int = 0
    die_after: int = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.real, name)
        if name not in ("get_item", "query", "put_item", "batch_get_item", "transact_write_items"):
            return call

        def wrapped(**request: Any) -> Any:
            if name == "transact_write_items" and self.rival:
                rival, self.rival = self.rival, None
                rival()
            self._burn("die_before")
            answer = call(**request)
            self._burn("die_after")
            return answer

        return wrapped

    def _burn(self, which: str) -> None:
        left = getattr(self, which)
        setattr(self, which, max(0, left - 1))
        if left == 1:
            raise Crash


@dataclass
class Reader:
    """A client: its cursor, where its listing stands (None when done), and what it holds."""

    seq: int
    listed: str | None = ""
    cache: dict[str, int] = field(default_factory=dict)
    lost: bool = False


@dataclass
class Store:
    """The objects as a reconciliation sees them."""

    machine: LogMachine

    def after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        page = sorted(id for id in self.machine.revisions if id > place)[:2]
        revs = [(id, self.machine.revisions[id]) for id in page]
        changes = [
            Change(account_id=ACCOUNT, kind="message", id=id, event=Operation.MODIFY, rev=rev)
            for id, rev in revs
        ]
        return changes, page[-1] if page else ""

    def existing(self, account_id: str, names: Iterable[ObjectKey]) -> set[ObjectKey]:
        return {name for name in names if name[1] in self.machine.revisions}


class LogMachine(RuleBasedStateMachine):
    """One account and its log; `revisions` is the store: what exists, with its revision."""

    moto = False

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.settings, real = self._deployed()
        self.now = float(BEGIN)
        self.fuse = Fuse(real)
        self.log = self._log(self.fuse)
        self.revisions: dict[str, int] = {}
        self.last_rev: dict[str, int] = {}
        self.pending: list[Change] = []
        self.done: list[Change] = []
        self.readers: list[Reader] = []
        self.told: dict[int, Delta] = {}
        self.handled: dict[str, int] = {}
        self.damaged = False
        self.born_unheard: set[str] = set()

    def _deployed(self) -> tuple[Settings, Any]:
        if not self.moto:
            return SETTINGS, MemoryDynamo()
        made = self.stack.enter_context(deployment())
        return made, client(made, "dynamodb")

    def _log(self, dynamo: Any) -> LogTable:
        return LogTable(dynamo, self.settings, now=lambda: self.now, wait=lambda _: None)

    def teardown(self) -> None:
        with self.stack:
            self._append(self.pending)
            self._repair()
            self._finish()

    # --- what happens ---------------------------------------------------------------------------

    @rule(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=4), delete=st.booleans())
    def write(self, ids: list[str], delete: bool) -> None:
        for id in ids:
            self._write(id, delete)

    @rule(data=st.data(), again=st.booleans())
    @precondition(lambda self: self.pending)
    def deliver(self, data: st.DataObject, again: bool) -> None:
        batch = self._batch(data)
        order = data.draw(st.permutations(IDS))
        if again:  # older records come once more behind newer ones
            self._append(batch + batch[: len(batch) // 2 + 1])
        else:
            self._append(sorted(batch, key=lambda change: order.index(change.id)))
        self._handled(batch)

    @rule(data=st.data())
    @precondition(lambda self: self.done)
    def deliver_an_old_record_again(self, data: st.DataObject) -> None:
        # A shard is read again from some record on, so newer records of the object come again too.
        start = data.draw(st.integers(0, len(self.done) - 1))
        before = self.log.head(ACCOUNT)
        self._append(self.done[start:])
        assert self.log.head(ACCOUNT) == before, "idempotent: a record that came again was logged again"

    @rule(data=st.data(), overlap=st.booleans())
    @precondition(lambda self: self.pending)
    def deliver_beside_a_rival(self, data: st.DataObject, overlap: bool) -> None:
        batch = self._batch(data)
        cut = data.draw(st.integers(0, len(batch)))
        others = batch if overlap else [c for c in batch[:cut] if c.id in IDS[:3]]
        mine = batch if overlap else [c for c in batch if c not in others]
        rival = self._log(self.fuse.real)
        self.fuse.rival = lambda: self._append(others, rival)
        self._append(mine)
        self.fuse.rival = None
        self._append(others)
        self._handled(batch)

    @rule(data=st.data(), request=st.integers(1, 6), after=st.booleans())
    @precondition(lambda self: self.pending)
    def die_at_a_request(self, data: st.DataObject, request: int, after: bool) -> None:
        setattr(self.fuse, "die_after" if after else "die_before", request)
        try:
            self._append(self._batch(data))
        except Crash:
            return
        finally:
            self.fuse.die_after = self.fuse.die_before = 0

    @rule()
    @precondition(lambda self: self.pending)
    def lose_what_is_under_way(self) -> None:
        self.born_unheard |= {change.id for change in self.pending if change.event is Operation.CREATE}
        self.pending = []
        self.damaged = True

    @rule()
    def reconcile(self) -> None:
        self._reconcile()

    @rule(days=st.sampled_from([0.001, 1, 5, 9, 14.5]))
    def let_time_pass(self, days: float) -> None:
        if days >= 1:  # a stream keeps its records for a day: nothing is delivered later than that
            self._append(self.pending)
            self._repair()
            self._read_everything()
            self.pending, self.done = [], []
        self.now += days * DAY

    @rule(oldest_first=st.booleans())
    def remove_what_has_expired(self, oldest_first: bool) -> None:
        self._expire(oldest_first)

    # --- clients ---------------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: len(self.readers) < 3)
    def take_a_cursor(self) -> None:
        self.readers.append(Reader(self.log.head(ACCOUNT)[0]))

    @rule(data=st.data(), size=st.integers(1, 3))
    @precondition(lambda self: any(reader.listed is not None for reader in self.readers))
    def list_a_page(self, data: st.DataObject, size: int) -> None:
        reader = data.draw(st.sampled_from([r for r in self.readers if r.listed is not None]))
        self._list(reader, size)

    @rule(data=st.data(), limit=st.integers(1, 7))
    @precondition(lambda self: any(reader.listed is None for reader in self.readers))
    def follow(self, data: st.DataObject, limit: int) -> None:
        self._follow(data.draw(st.sampled_from([r for r in self.readers if r.listed is None])), limit)

    @rule(data=st.data(), limit=st.integers(1, 9))
    def read_from_any_cursor(self, data: st.DataObject, limit: int) -> None:
        head, _ = self.log.head(ACCOUNT)
        seq = data.draw(st.integers(0, head))
        try:
            entries = self.log.since(ACCOUNT, seq, limit)
        except CursorTooOld:
            assert self._may_be_forgotten(seq + 1), f"a cursor at {seq} is refused too early"
            return
        self._check(entries, seq, min(head, seq + limit))

    @rule(ago=st.sampled_from([1, 100, DAY, 6 * DAY, 13 * DAY, 15 * DAY]))
    def take_the_cursor_of_a_second(self, ago: int) -> None:
        moment = int(self.now) - ago
        try:
            seq, at = self.log.before(ACCOUNT, moment)
        except CursorTooOld:
            assert self._may_be_forgotten(1), "a second is refused though the log is complete"
            return
        assert at <= moment
        assert all((delta.seq <= seq) == (delta.at <= moment) for delta in self.told.values())

    @invariant()
    def the_promises_hold(self) -> None:
        self._read_everything()
        self._compare_objects()

    def _read_everything(self) -> None:
        """Gapless, commit order: all that is kept reads on without a hole, and stays what it was."""
        head, _ = self.log.head(ACCOUNT)
        start = max((delta.seq for delta in self.told.values() if self._forgotten(delta)), default=0)
        try:
            entries = self.log.since(ACCOUNT, start, 10_000)
        except CursorTooOld:
            assert self._may_be_forgotten(start + 1), f"gapless: entry {start + 1} is missing"
            return
        self._check(entries, start, head)

    def _compare_objects(self) -> None:
        """Monotone, complete: every object moves forward, up to what was handled."""
        last: dict[str, int] = {}
        for seq in sorted(self.told):
            change = self.told[seq].change
            assert change.rev > last.get(change.id, 0), "monotone: an object moved back"
            last[change.id] = change.rev
        for id, rev in self.handled.items():
            assert last.get(id, 0) >= rev, "complete: a change that was handled is not in the log"

    # --- the model -------------------------------------------------------------------------------

    def _write(self, id: str, delete: bool) -> None:
        self.now += 0.001
        rev = max(self.last_rev.get(id, 0) + 1, int(self.now * 1000))
        event = (
            Operation.CREATE if id not in self.revisions else Operation.DELETE if delete else Operation.MODIFY
        )
        self.last_rev[id] = rev
        if event is Operation.DELETE:
            del self.revisions[id]
        else:
            self.revisions[id] = rev
        self.pending.append(Change(account_id=ACCOUNT, kind="message", id=id, event=event, rev=rev))

    def _batch(self, data: st.DataObject) -> list[Change]:
        return self.pending[: data.draw(st.integers(1, len(self.pending)))]

    def _handled(self, batch: list[Change]) -> None:
        self.pending = self.pending[len(batch) :]
        self.done += batch
        self.handled |= {change.id: change.rev for change in batch}

    def _append(self, changes: list[Change], log: LogTable | None = None) -> None:
        (log or self.log).append(ACCOUNT, changes, int(self.now))

    def _reconcile(self) -> None:
        desk = reconcile.Reconciling(log=self.log, objects=Store(self), accounts=MemoryAccounts())
        place = desk.step(ACCOUNT, "", self.now)
        while place:
            place = desk.step(ACCOUNT, place, self.now)

    def _repair(self) -> None:
        """The daily reconciliation: the log is complete, and a second one finds nothing to do."""
        if not self.damaged:
            return
        self.now += reconcile.STREAM_SECONDS + reconcile.MARGIN_SECONDS + 1
        self._reconcile()
        head = self.log.head(ACCOUNT)
        self._reconcile()
        assert self.log.head(ACCOUNT) == head, "idempotent: a second reconciliation logged again"
        self.damaged = False

    def _expire(self, oldest_first: bool) -> None:
        if isinstance(self.fuse.real, MemoryDynamo):
            for _, rows in self.fuse.real.rows.items():
                gone = [r for r in rows.values() if "ttl" in r and int(r["ttl"]["N"]) <= self.now]
                # DynamoDB removes in any order and whenever it likes: let half of it stay.
                for row in gone[: len(gone) // 2 + 1] if oldest_first else gone[len(gone) // 2 :]:
                    self.fuse.real._delete("t-log", row)

    def _list(self, reader: Reader, size: int) -> None:
        page = sorted(id for id in self.revisions if id > (reader.listed or ""))[:size]
        reader.cache |= {id: self.revisions[id] for id in page}
        reader.listed = page[-1] if page else None

    def _follow(self, reader: Reader, limit: int) -> bool:
        """Take a page; tell whether there may be more."""
        if reader.lost:
            return False
        try:
            page = feed.page(self.log, ACCOUNT, reader.seq, limit)
        except CursorTooOld:
            assert self._may_be_forgotten(reader.seq + 1), "a cursor is refused too early"
            reader.lost = True
            return False
        for delta in page.deltas:
            if delta.change.event is Operation.DELETE:
                reader.cache.pop(delta.change.id, None)
            elif delta.change.id in self.revisions:  # what has vanished is not shown; its deletion follows
                reader.cache[delta.change.id] = self.revisions[delta.change.id]
        more, reader.seq = page.end_seq > reader.seq, page.end_seq
        return more

    def _finish(self) -> None:
        """Everybody reads to the end: each holds what the store holds, unless told to begin again."""
        for reader in self.readers:
            while reader.listed is not None:
                self._list(reader, 3)
            while self._follow(reader, 3):
                pass
            held = {id: rev for id, rev in reader.cache.items() if id not in self._never_heard_of()}
            assert reader.lost or held == self.revisions, "misses nothing: a client is out of date"

    def _never_heard_of(self) -> set[str]:
        """Objects whose creation and deletion were both lost for good: nothing is left to repair from."""
        gone = self.born_unheard - set(self.revisions)
        heads = self.log.heads(ACCOUNT, [("message", id) for id in gone])
        return {id for id in gone if ("message", id) not in heads or _is_deletion(heads["message", id])}

    def _check(self, entries: list[Delta], start: int, end: int) -> None:
        assert [delta.seq for delta in entries] == list(range(start + 1, end + 1)), "gapless: a hole"
        for delta in entries:
            before = self.told.setdefault(delta.seq, delta)
            assert before == delta, "commit order: an entry that was told has changed"

    def _forgotten(self, delta: Delta) -> bool:
        return delta.at < self.now - KEPT_DAYS * DAY

    def _may_be_forgotten(self, seq: int) -> bool:
        """Whether an entry is older than the log promises to keep."""
        return seq in self.told and self._forgotten(self.told[seq])


def _is_deletion(change: Change) -> bool:
    return change.event is Operation.DELETE


class LogMachineOnMoto(LogMachine):
    """The same stories on another's DynamoDB, fewer of them."""

    moto = True


_PLAY = settings(
    max_examples=STORIES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLog = LogMachine.TestCase
TestLog.settings = _PLAY
TestLogOnMoto = LogMachineOnMoto.TestCase
TestLogOnMoto.settings = settings(_PLAY, max_examples=STORIES_ON_MOTO)
