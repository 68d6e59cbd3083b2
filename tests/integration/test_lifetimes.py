"""The engine on the real tables: what a window keeps is there, what it does not is not, in every row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.store.aws.connection import client
from chalicelib.store.core.checkpoints import CheckpointTable
from chalicelib.store.objects.mail import MailTable
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.engine.run import Outcome, sync_account
from chalicelib.sync.requests import searching
from tests.fakes.mail import mail
from tests.fakes.provider import MemoryProvider
from tests.fakes.store import MemoryAccounts, MemoryBlobs
from tests.integration.aws import deployment, rows
from tests.worlds.sync import ACCOUNT

DAY = 86_400
AGES = (1, 20, 40, 80, 200)


@dataclass
class World:
    """A mailbox of many ages, synced into tables."""

    settings: Any
    now: float = 1_750_000_000.0
    server: MemoryProvider = field(default_factory=MemoryProvider)

    def __post_init__(self) -> None:
        self.mail = MailTable(client(self.settings, "dynamodb"), self.settings, now=lambda: self.now)
        self.checkpoints = CheckpointTable(self.settings, now=lambda: self.now)
        self.accounts = MemoryAccounts(ACCOUNT)
        for number, age in enumerate(AGES):
            reference = f"<{number - 1}@harbour.example>" if number == 3 else ""
            self.server.deliver("INBOX", mail(f"m{age}", number, reference), at=int(self.now) - age * DAY)

    @property
    def work(self) -> SyncStores:
        return SyncStores(
            mail=self.mail,
            checkpoints=self.checkpoints,
            blobs=MemoryBlobs(),
            accounts=self.accounts,  # type: ignore[arg-type]  # the two calls the engine makes
            provider=lambda account: self.server,
            now=lambda: self.now,
        )

    def keep(self, days: int) -> None:
        account: Account = replace(self.accounts.account, history_days=days)
        self.accounts.account = account
        assert sync_account(self.work, account, Deadline.after(60)) is Outcome.CURRENT
        assert sync_account(self.work, account, Deadline.after(60)) is Outcome.QUIET

    def subjects(self) -> list[str]:
        return [message.subject for message in self.mail.newest_messages("a")]

    def lives(self) -> set[int]:
        """Ends of life, in days from the mail's date, over all rows that tell of a mail."""
        found = set()
        for message in self.mail.newest_messages("a"):
            found.add((message.expires_at - message.date) // DAY if message.expires_at else 0)
        return found


@pytest.fixture
def world() -> Iterator[World]:
    with deployment() as settings:
        yield World(settings)


def test_what_is_widened_outlives_its_first_end(world: World) -> None:
    world.keep(30)
    assert (world.subjects(), world.lives()) == (["m1", "m20"], {32})
    world.keep(100)
    assert (world.subjects(), world.lives()) == (["m1", "m20", "m40", "m80"], {102})
    world.now += 60 * DAY
    assert world.subjects() == ["m1", "m20", "m40"]
    kept = list(world.mail.newest_messages("a"))
    assert len(world.mail.bodies("a", [message.id for message in kept])) == 3
    assert len(list(world.mail.newest_threads("a"))) == 3
    assert len(world.mail.known("a", kept[0].places[0].folder_id)) == 3
    world.keep(0)
    assert (world.subjects(), world.lives()) == (["m1", "m20", "m40", "m80", "m200"], {0})
    assert [row for table in ("mail", "body") for row in rows(world.settings, table) if "ttl" in row] == []


def test_what_is_narrowed_is_gone_with_all_its_rows(world: World) -> None:
    world.keep(0)
    world.keep(60)
    assert world.subjects() == ["m1", "m20", "m40"]
    threads = list(world.mail.newest_threads("a"))
    assert sorted(len(thread.entries) for thread in threads) == [1, 1, 1]
    kinds = [row["kind"]["S"] for row in rows(world.settings, "mail") if "kind" in row]
    assert (kinds.count("message"), kinds.count("thread")) == (3, 3)
    assert len(rows(world.settings, "body")) == 3


def test_what_a_search_brings_is_there_for_a_day(world: World) -> None:
    world.keep(30)
    deadline = Deadline.after(60)
    [found] = searching.search(world.work, world.accounts.account, "m200", 10, deadline)
    assert world.subjects() == ["m1", "m20", "m200"]
    assert world.mail.messages("a", [found.id])[found.id] == found
    assert sync_account(world.work, world.accounts.account, Deadline.after(60)) is Outcome.QUIET
    world.now += DAY
    assert world.subjects() == ["m1", "m20"]
    assert searching.search(world.work, world.accounts.account, "m200", 10, deadline)[0].id == found.id
