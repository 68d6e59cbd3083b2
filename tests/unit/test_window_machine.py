"""Windows that change, searches and time that passes, over a mailbox that never rests; played by hypothesis.

After each sync every mail that the window wants is here, none that it does not want is, except what a
search has brought less than a day ago; all rows of a message end together; a quiet sync writes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chalicelib.clock import Deadline
from chalicelib.domain.mail.retention import SLACK_DAYS, STAY_SECONDS, is_over
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.mail import retention_change
from chalicelib.sync.requests import searching
from chalicelib.sync.safety.comparison import repair
from tests.fakes.mail import mail
from tests.worlds.windows import DAY, Windowed

FOLDERS = st.sampled_from(["INBOX", "Junk", "Sent"])
DAYS = st.sampled_from([0, 5, 10, 30, 60, 100])
EXAMPLES = int(os.environ.get("POSTERN_WINDOW_EXAMPLES", "60"))


class WindowMachine(RuleBasedStateMachine):
    """Settings, searches and clocks move; the store follows."""

    @initialize(counts=st.booleans(), patient=st.booleans())
    def begin(self, counts: bool, patient: bool) -> None:
        self.world = Windowed()
        self.world.server.counts = counts
        self.seconds = retention_change.SECONDS if patient else -1.0
        self.number = 1000

    @rule(folder=FOLDERS, age=st.integers(0, 120), copies=st.integers(1, 5))
    def deliver(self, folder: str, age: int, copies: int) -> None:
        for _ in range(copies):
            self.number += 1
            at = self.world.date(age) - self.number % 50
            self.world.server.deliver(folder, mail(f"m{self.number % 9}", self.number), at=at)

    @rule(folder=FOLDERS, pick=st.integers(0, 20), into=FOLDERS)
    def move(self, folder: str, pick: int, into: str) -> None:
        for id in sorted(self.world.server.boxes[folder].messages)[pick : pick + 1]:
            self.world.server.move(folder, id, into)

    @rule(folder=FOLDERS, pick=st.integers(0, 20), into=FOLDERS)
    def copy(self, folder: str, pick: int, into: str) -> None:
        boxes = self.world.server.boxes
        for id in sorted(boxes[folder].messages)[pick : pick + 1]:
            boxes[into].add(boxes[folder].messages[id])

    @rule(folder=FOLDERS, pick=st.integers(0, 20))
    def expunge(self, folder: str, pick: int) -> None:
        for id in sorted(self.world.server.boxes[folder].messages)[pick : pick + 1]:
            self.world.server.expunge(folder, id)

    @rule(days=DAYS, folders=st.dictionaries(st.sampled_from(["inbox", "spam"]), st.none() | DAYS))
    def change_the_window(self, days: int, folders: dict[str, int | None]) -> None:
        account = self.world.accounts.account
        self.world.accounts.account = replace(account, history_days=days, folder_days=folders)

    @rule(word=st.integers(0, 9))
    def search(self, word: int) -> None:
        account = self.world.accounts.account
        searching.search(self.world.workspace(), account, f"Subject: m{word}", 50, Deadline.after(60))

    @rule(hours=st.sampled_from([1, 13, 30, 24 * 8, 24 * 40]))
    def let_time_pass(self, hours: int) -> None:
        self.world.now += 3600 * hours
        self.world.expire()

    @rule(at=st.integers(1, 120))
    def sync_with_a_crash(self, at: int) -> None:
        with self._impatient():
            self.world.sync_with_a_crash(at)

    @precondition(lambda self: self.number)
    @rule()
    def sync(self) -> None:
        for _ in range(2):
            assert self._sync() in (Outcome.CURRENT, Outcome.QUIET)
        self.world.let_in_what_was_set_aside()
        self.check()
        writes = self.world.fuse.count
        assert self._sync() is Outcome.QUIET
        assert self.world.fuse.count == writes, "a quiet sync wrote something"
        repair(self.world.workspace(), self.world.accounts.account, Deadline.after(60))
        self.check()

    def _sync(self) -> Outcome:
        with self._impatient():
            return self.world.sync()

    @contextlib.contextmanager
    def _impatient(self) -> Iterator[None]:
        before, retention_change.SECONDS = retention_change.SECONDS, self.seconds
        try:
            yield
        finally:
            retention_change.SECONDS = before

    def check(self) -> None:
        world = self.world
        folders = world.mail.folders("a")
        window = world.workspace().window(world.accounts.account).fixed(folders)
        names = {folder.collection: folder.id for folder in folders}
        known = {(p.folder_id, p.remote_id) for m in world.mail.all_messages.values() for p in m.places}
        for collection, box in world.server.boxes.items():
            folder = names[collection]
            for id, message in box.messages.items():
                inside = message.received_at >= window.since(folder, world.now)
                if inside and not window.excludes(folder):
                    assert (folder, id) in known, "wanted mail is missing"
        for key, location in world.mail.all_locations.items():
            if location.message_id not in world.mail.all_messages:
                continue  # left by a crash, of mail that nobody wants now
            held = world.mail.all_messages[location.message_id]
            assert location.expires_at == held.expires_at, "a row ends before its message"
            visiting = world.now < held.expires_at <= world.now + STAY_SECONDS
            outside = is_over(window.expiry(held.date, [key[0]]), world.now - SLACK_DAYS * DAY)
            assert not outside or visiting or len(held.places) > 1, "mail nobody wants is here"
        in_threads = {id: t.id for t in world.mail.all_threads.values() for id in t.entries}
        for message_id, one in world.mail.all_messages.items():
            assert in_threads[message_id] == one.thread_id

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.sync()


TestWindows = WindowMachine.TestCase
TestWindows.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
