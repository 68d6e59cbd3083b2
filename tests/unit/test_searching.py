"""Search asks the mail server; what is found is here afterwards, and sync never minds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib import bounds
from chalicelib.clock import Deadline
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.mail.message import Message
from chalicelib.domain.sync.quarantine import QuarantineState
from chalicelib.errors import InvalidRequest, ProviderError
from chalicelib.formats.mime import mime
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.requests import searching
from chalicelib.sync.safety.comparison import repair
from chalicelib.sync.safety.poison import OUR_FAULT
from tests.fakes.mail import mail
from tests.fakes.provider import Box
from tests.fakes.services import MemoryServer
from tests.worlds.windows import DAY, Windowed


class Searched(Windowed):
    """The same mailbox, asked for words."""

    def find(self, query: str, most: int = 100, seconds: float = 60) -> list[Message]:
        deadline = Deadline.after(seconds)
        return searching.search(self.workspace(), self.accounts.account, query, most, deadline)

    def subjects(self, query: str, most: int = 100) -> list[str]:
        return [message.subject for message in self.find(query, most)]


@pytest.fixture
def world() -> Searched:
    world = Searched()
    world.keep(30)
    return world


def test_what_is_here_is_found_newest_first_and_nothing_is_written(world: Searched) -> None:
    world.keep(0)
    writes = world.fuse.count
    assert world.subjects("Subject: INBOX") == [f"INBOX {age}" for age in (1, 20, 40, 80, 200, 900)]
    assert [subject.split()[1] for subject in world.subjects("Subject:", most=3)] == ["1", "1", "20"]
    assert world.fuse.count == writes


def test_older_mail_is_fetched_and_stays_for_a_day(world: Searched) -> None:
    [found] = world.find("INBOX 200")
    assert world.mail.all_messages[found.id] == found
    assert found.expires_at == int(world.now) + DAY
    assert world.mail.all_bodies[found.id] and found.thread_id in world.mail.all_threads
    world.check_lives()
    world.now += DAY
    world.expire()
    assert found.id not in world.mail.all_messages and world.ages() == [1, 20]


def test_what_a_search_brought_survives_sync_repair_and_a_restless_mailbox(world: Searched) -> None:
    [found] = world.find("INBOX 200")
    cursors = dict(world.checkpoints.saved)
    assert world.sync() is Outcome.QUIET
    assert world.checkpoints.saved == cursors
    for number in range(3):
        world.server.deliver("INBOX", mail(f"INBOX {number}", 700 + number), at=world.date(0))
        world.server.expunge("INBOX", min(world.server.boxes["INBOX"].messages))
        world.sync()
    repair(world.workspace(), world.accounts.account, Deadline.after(60))
    assert found.id in world.mail.all_messages
    world.server.expunge("INBOX", found.places[0].remote_id)
    world.sync()
    assert found.id not in world.mail.all_messages, "what has gone from the server goes here, too"


@pytest.mark.parametrize("counts", [True, False])
def test_a_wider_window_recognises_what_a_search_brought(counts: bool) -> None:
    world = Searched()
    world.server.counts = counts
    world.keep(30)
    [found] = world.find("INBOX 80")
    world.mail.changes.clear()
    world.keep(100)
    assert world.mail.all_messages[found.id].expires_at == found.date + 102 * DAY
    told = [change.event for change in world.mail.changes if change.id == found.id]
    assert Operation.CREATE not in told and Operation.DELETE not in told
    world.check_lives()


def test_a_changed_window_leaves_alone_what_neither_wanted(world: Searched) -> None:
    [found] = world.find("INBOX 900")
    world.keep(60)
    world.keep(10)
    assert world.mail.all_messages[found.id].expires_at == found.expires_at


def test_mail_that_sync_wants_stays_as_long_as_it_would_have(world: Searched) -> None:
    world.server.deliver("INBOX", mail("INBOX 5", 800), at=world.date(5))
    [found] = world.find("INBOX 5")
    assert found.expires_at == found.date + 32 * DAY
    world.mail.changes.clear()
    world.sync()
    assert [c for c in world.mail.changes if c.id == found.id and c.event is Operation.CREATE] == []


def test_what_is_searched_again_stays_on(world: Searched) -> None:
    [found] = world.find("INBOX 200")
    world.now += DAY // 4
    writes = world.fuse.count
    assert world.find("INBOX 200") == [found] and world.fuse.count == writes
    world.now += DAY // 2
    [again] = world.find("INBOX 200")
    assert (again.id, again.expires_at) == (found.id, int(world.now) + DAY)
    world.check_lives()


def test_a_fetched_message_joins_its_thread(world: Searched) -> None:
    world.server.deliver("INBOX", mail("INBOX 3", 900, "<4@harbour.example>"), at=world.date(3))
    world.sync()
    [old] = world.find("INBOX 200")
    assert len(world.mail.all_threads[old.thread_id].entries) == 2
    world.check_lives()


def test_folders_are_searched_in_turn_and_what_is_excluded_is_not(world: Searched) -> None:
    world.server.boxes["Archive"] = Box()
    world.sync()
    world.server.searched.clear()
    world.find("nothing")
    assert world.server.searched[:2] == ["INBOX", "Sent"]
    assert sorted(world.server.searched) == sorted(world.server.boxes)
    world.keep(30, spam=None)
    world.server.searched.clear()
    assert world.subjects("Junk") == [] and "Junk" not in world.server.searched


def test_a_folder_that_has_gone_is_passed_over(world: Searched) -> None:
    del world.server.boxes["Sent"]
    assert world.subjects("INBOX 1") == ["INBOX 1"]


def test_out_of_time_the_other_folders_are_left_out(world: Searched) -> None:
    assert world.find("INBOX", seconds=-1) == [] and world.server.searched == []


def test_no_more_is_fetched_than_may_be(world: Searched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SEARCH_FETCHED_MESSAGES", 3)
    assert world.subjects("INBOX") == ["INBOX 1", "INBOX 20", "INBOX 40", "INBOX 80", "INBOX 200"]
    monkeypatch.setattr(bounds, "SEARCH_FETCHED_BYTES", 10)
    assert len(world.subjects("INBOX")) == 5, "bytes were not counted"


def test_the_folders_share_what_may_be_fetched(world: Searched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SEARCH_FETCHED_MESSAGES", 2)
    world.find("Subject:")
    assert 40 in world.ages() and 40 in world.ages("Junk")


class Poisoned:
    """The real parser, but for mail with these words in it."""

    def __init__(self, words: bytes, failure: Exception) -> None:
        self.words, self.failure, self.parsed = words, failure, 0

    def __call__(self, raw: bytes) -> Any:
        if self.words in raw:
            self.parsed += 1
            raise self.failure
        return mime.parse(raw)


@pytest.mark.parametrize(
    "failure", [UnicodeError("idna"), RecursionError(), ValueError("x"), IndexError(), MemoryError()]
)
def test_a_message_that_cannot_be_read_is_set_aside_and_the_others_are_found(
    world: Searched, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    poison = Poisoned(b"INBOX 80", failure)
    monkeypatch.setattr("chalicelib.sync.mail.ingest.parse", poison)
    ages = [subject.split()[1] for subject in world.subjects("INBOX")]
    assert ages == ["1", "20", "40", "200", "900"]
    [entry] = world.quarantine.entries("a")
    assert (entry.state, entry.attempts) == (QuarantineState.HELD, 3)
    before = poison.parsed
    assert len(world.find("INBOX")) == 5 and poison.parsed == before, "it is not tried again"


@pytest.mark.parametrize("state", list(QuarantineState))
def test_what_is_set_aside_is_neither_fetched_nor_parsed(
    world: Searched, monkeypatch: pytest.MonkeyPatch, state: QuarantineState
) -> None:
    poison = Poisoned(b"INBOX 80", ValueError())
    monkeypatch.setattr("chalicelib.sync.mail.ingest.parse", poison)
    world.find("INBOX")
    [entry] = world.quarantine.entries("a")
    world.quarantine.change(entry, replace(entry, state=state))
    poison.parsed = 0
    assert len(world.find("INBOX")) == 5 and poison.parsed == 0


def test_a_message_during_which_a_worker_may_have_died_is_left_to_sync(
    world: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = Poisoned(b"INBOX 80", ValueError())
    monkeypatch.setattr("chalicelib.sync.mail.ingest.parse", poison)
    [id] = [id for id, one in world.server.boxes["INBOX"].messages.items() if b"INBOX 80" in one.raw]
    inbox = next(one for one in world.mail.all_folders.values() if one.role == "inbox")
    world.quarantine.suspect("a", [(inbox.id, id)])
    assert len(world.find("INBOX")) == 5 and poison.parsed == 0 and not world.quarantine.rows


def test_a_storm_of_failures_is_no_failure_of_the_search_and_sets_nothing_aside(
    world: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(OUR_FAULT + 5):
        world.server.deliver("INBOX", mail(f"storm {number}", 2_000 + number), at=world.date(90))
    monkeypatch.setattr("chalicelib.sync.mail.ingest.parse", Poisoned(b"storm", ValueError()))
    assert world.find("storm") == [] and not world.quarantine.rows


def test_a_server_that_stumbles_over_one_folder_gives_out_the_others(
    world: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring = world.server.bring

    def stumbling(collection_id: str, *rest: Any) -> Any:
        if collection_id == "INBOX":
            raise ProviderError("it hung up")
        return bring(collection_id, *rest)

    monkeypatch.setattr(world.server, "bring", stumbling)
    assert world.subjects("Junk 200") == ["Junk 200"]
    assert world.subjects("INBOX") == ["INBOX 1", "INBOX 20"]


def test_mail_is_taken_in_step_by_step_until_the_time_is_up(
    world: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        world.server.deliver("INBOX", mail(f"old {number}", 2_000 + number), at=world.date(90))
    monkeypatch.setattr(bounds, "SEARCHED_IN_A_STEP", 10)
    steps: list[int] = []
    bring = world.server.bring

    def counting(collection_id: str, ids: Any, budget: Any) -> Any:
        steps.append(len(ids))
        return bring(collection_id, ids, budget)

    monkeypatch.setattr(world.server, "bring", counting)
    deadline = Deadline(at=3, now=lambda: len(steps))
    found = searching.search(world.workspace(), world.accounts.account, "old", 60, deadline)
    assert steps == [10, 10, 10] and len(found) == 30


def test_a_search_that_brings_nothing_does_not_read_the_quarantine(
    world: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.quarantine, "entries", lambda account_id: 1 / 0)
    assert world.subjects("INBOX 1") == ["INBOX 1"]


def test_a_provider_that_cannot_search_is_told_so(world: Searched) -> None:
    work = replace(world.workspace(), provider=lambda account: _any(MemoryServer()))
    with pytest.raises(InvalidRequest):
        searching.search(work, world.accounts.account, "x", 1, Deadline.after(9))


def _any(server: Any) -> Any:
    return server
