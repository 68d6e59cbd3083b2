"""Sync of a Gmail account that never rests and of a worker that dies, played by hypothesis."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chalicelib.domain.log.delta import Operation
from chalicelib.domain.remote import BatchLimits, ChangeBatch, Collection, Cursor, Known
from chalicelib.providers.imap.gmail.gmail import GmailProvider
from chalicelib.sync.engine.run import Outcome
from tests.fakes.gmail_server import GmailServer
from tests.fakes.gmail_store import ENGLISH, Mail
from tests.fakes.mail import mail
from tests.fakes.store import Crash
from tests.worlds.gmail import World

LABELS = st.sets(st.sampled_from(["\\Inbox", "\\Important", "Taxes", "Kestrel/Deep", "Old"]), max_size=3)
PLACES = st.sampled_from([ENGLISH["all"], ENGLISH["spam"], ENGLISH["trash"], "INBOX"])
PICK = st.integers(0, 20)
EXAMPLES = int(os.environ.get("POSTERN_SYNC_EXAMPLES", "150")) // 5


class GmailMachine(RuleBasedStateMachine):
    """The user works at the web page, also while we read; after each sync the store is equal."""

    @initialize()
    def begin(self) -> None:
        self.server = GmailServer().__enter__()
        self.world = World(self.server)
        self.store = self.world.store
        self.number = 0
        self.happen: Callable[[], None] = lambda: None

    @rule(labels=LABELS, reply=st.booleans(), copies=st.integers(1, 30), to=PLACES)
    def deliver(self, labels: set[str], reply: bool, copies: int, to: str) -> None:
        for _ in range(copies):
            self.number += 1
            reference = f"<{self.number - 1}@harbour.example>" if reply else ""
            raw = mail(f"m{self.number % 7}", self.number, reference)
            one = self.store.deliver(raw, labels, at=self.number)
            if self.store.role(to) in ("spam", "trash"):
                self.store.put(one, to)

    @rule(pick=PICK, labels=LABELS)
    def label(self, pick: int, labels: set[str]) -> None:
        for one in self._picked(pick):
            self.store.add_labels(one, labels)

    @rule(pick=PICK, labels=LABELS)
    def unlabel(self, pick: int, labels: set[str]) -> None:
        for one in self._picked(pick):
            self.store.remove_labels(one, labels)

    @rule(pick=PICK, to=PLACES)
    def move(self, pick: int, to: str) -> None:
        for one in self._picked(pick):
            self.store.put(one, to)

    @rule(pick=PICK)
    def purge(self, pick: int) -> None:
        for one in self._picked(pick):
            self.store.purge(one)

    @rule(pick=PICK)
    def read(self, pick: int) -> None:
        for one in self._picked(pick):
            self.store.set_flags(one, {"\\Seen"})

    @rule(touch=st.booleans())
    def delete_a_label(self, touch: bool) -> None:
        if "Old" in self.store.boxes:
            self.store.delete("Old", touch)

    @rule(touch=st.booleans())
    def rename_a_label(self, touch: bool) -> None:
        if "Taxes" in self.store.boxes:
            self.number += 1
            self.store.rename("Taxes", f"Taxes {self.number}", touch)

    @rule(box=PLACES)
    def renumber(self, box: str) -> None:
        self.store.renumber(box)

    @rule(what=st.sampled_from(["label", "move", "purge", "deliver", "rename_a_label"]), pick=PICK)
    def meanwhile(self, what: str, pick: int) -> None:
        """Let something happen in the middle of the next sync."""
        arguments: dict[str, tuple[object, ...]] = {
            "label": (pick, {"new while we look"}), "move": (pick, ENGLISH["trash"]), "purge": (pick,),
            "deliver": ({"Taxes"}, False, 3, "INBOX"), "rename_a_label": (True,),
        }  # fmt: skip

        def happen() -> None:
            self.happen = lambda: None
            getattr(self, what)(*arguments[what])

        self.happen = happen

    @rule(at=st.integers(1, 120))
    def sync_with_a_crash(self, at: int) -> None:
        self.world.fuse.at = len(self.world.fuse.points) + at
        with contextlib.suppress(Crash):
            self.world.sync(self._provider())
        self.world.fuse.at = None

    @precondition(lambda self: self.number)
    @rule()
    def sync(self) -> None:
        for _ in range(3):  # what happened in the middle of the first may need the others
            assert self.world.sync(self._provider()) in (Outcome.CURRENT, Outcome.QUIET)
        self.world.check()
        writes = self.world.fuse.count
        assert self.world.sync(self._provider()) is Outcome.QUIET
        assert self.world.fuse.count == writes, "a quiet sync wrote something"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.happen = lambda: None
        self.sync()
        self.server.__exit__()
        alive: set[str] = set()
        for change in self.world.mail.changes:
            if change.kind == "message":
                assert (change.id in alive) == (change.event is not Operation.CREATE), "doubled or lost"
                (alive.discard if change.event is Operation.DELETE else alive.add)(change.id)
        assert alive == set(self.world.mail.all_messages)

    def _provider(self) -> GmailProvider:
        machine = self

        class Meanwhile(GmailProvider):
            def changes(
                self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
            ) -> ChangeBatch:
                machine.happen()
                return super().changes(collection, cursor, known, budget)

        return Meanwhile(self.world.provider()._session)

    def _picked(self, pick: int) -> list[Mail]:
        return self.store.mails[pick : pick + 1 + pick % 3]


TestGmail = GmailMachine.TestCase
TestGmail.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
