"""A mailbox that never rests and a worker that dies, for hypothesis to play."""

from __future__ import annotations

import os

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chalicelib.domain.log.delta import Operation
from chalicelib.domain.remote import RemoteId
from chalicelib.sync.engine.run import Outcome
from tests.fakes.mail import LARGE, mail
from tests.fakes.provider import Box
from tests.worlds.sync import World

FOLDERS = st.sampled_from(["INBOX", "Sent", "Trash", "Old"])
FLAGS = st.sampled_from(["", "s", "f", "fs"])
PICK = st.integers(0, 30)
DAYS = st.integers(0, 40)
EXAMPLES = int(os.environ.get("POSTERN_SYNC_EXAMPLES", "150"))


class SyncMachine(RuleBasedStateMachine):
    """Another program changes the mailbox, also while we read it; after each sync the store is equal."""

    @initialize(counts=st.booleans(), large=st.sampled_from([0, LARGE]))
    def begin(self, counts: bool, large: int) -> None:
        self.world = World()
        self.server = self.world.server
        self.server.counts, self.server.large = counts, large
        self.number = 0

    @rule(folder=FOLDERS, flags=FLAGS, reply=st.booleans(), copies=st.integers(1, 60))
    def deliver(self, folder: str, flags: str, reply: bool, copies: int) -> None:
        for _ in range(copies if folder in self.server.boxes else 0):
            self.number += 1
            reference = f"<{self.number - 1}@harbour.example>" if reply else ""
            raw = mail(f"m{self.number % 7}", self.number, reference)
            self.server.deliver(folder, raw, flags, at=self.number)

    @rule(
        folder=FOLDERS,
        prefix=st.sampled_from(["", "Re: "]),
        to=st.sampled_from([None, -9, -2, 1, 2, 5]),
        days=DAYS,
    )
    def converse(self, folder: str, prefix: str, to: int | None, days: int) -> None:
        """Deliver mail that answers older or later mail, or some by its subject alone, on any day."""
        if folder in self.server.boxes:
            self.number += 1
            reference = f"<{self.number + to}@harbour.example>" if to else ""
            raw = mail(f"{prefix}m{self.number % 3}", self.number, reference)
            self.server.deliver(folder, raw, at=self.number + days * 86_400)

    @rule(folder=FOLDERS, pick=PICK, flags=FLAGS)
    def flag(self, folder: str, pick: int, flags: str) -> None:
        for id in self._picked(folder, pick):
            self.server.flag(folder, id, flags)

    @rule(folder=FOLDERS, pick=PICK)
    def expunge(self, folder: str, pick: int) -> None:
        for id in self._picked(folder, pick):
            self.server.expunge(folder, id)

    @rule(folder=FOLDERS, pick=PICK, into=FOLDERS)
    def move(self, folder: str, pick: int, into: str) -> None:
        for id in self._picked(folder, pick):
            if into in self.server.boxes:
                self.server.move(folder, id, into)

    @rule(folder=FOLDERS)
    def renumber(self, folder: str) -> None:
        if folder in self.server.boxes:
            self.server.renumber(folder)

    @rule()
    def create_or_delete_a_folder(self) -> None:
        if self.server.boxes.pop("Old", None) is None:
            self.number += 1
            self.server.boxes["Old"] = Box(uidvalidity=self.number)

    @rule(step=st.integers(1, 6), what=st.sampled_from(["expunge", "move", "flag", "deliver"]), pick=PICK)
    def meanwhile(self, step: int, what: str, pick: int) -> None:
        """Let something happen on the server in the middle of the next sync."""

        def happen(folder: str) -> None:
            if len(self.server.steps) >= step:
                self.server.meanwhile = lambda folder: None
                arguments = {"expunge": (), "move": ("Trash",), "flag": ("f",)}.get(what)
                if arguments is None:
                    self.deliver("INBOX", "", False, 2)
                else:
                    getattr(self, what)("INBOX", pick, *arguments)

        self.server.steps = []
        self.server.meanwhile = happen

    @rule(at=st.integers(1, 160))
    def sync_with_a_crash(self, at: int) -> None:
        self.world.sync_with_a_crash(at)

    @precondition(lambda self: self.number)
    @rule()
    def sync(self) -> None:
        for _ in range(2):  # what happened in the middle of the first may need the second
            assert self.world.sync() in (Outcome.CURRENT, Outcome.QUIET)
        self.settle()
        self.world.check()
        writes = self.world.fuse.count
        assert self.world.sync() is Outcome.QUIET
        assert self.world.fuse.count == writes, "a quiet sync wrote something"

    def settle(self) -> None:
        """Let time pass until nothing waits any more."""
        self.world.let_in_what_was_set_aside()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.server.meanwhile = lambda folder: None
        self.sync()
        alive: set[str] = set()
        for change in self.world.mail.changes:
            if change.kind == "message":
                assert (change.id in alive) == (change.event is not Operation.CREATE), "doubled or lost"
                (alive.discard if change.event is Operation.DELETE else alive.add)(change.id)
        assert alive == set(self.world.mail.all_messages)

    def _picked(self, folder: str, pick: int) -> list[RemoteId]:
        box = self.server.boxes.get(folder)
        ids = sorted(box.messages) if box else []
        return ids[pick : pick + 1 + pick % 3]
