"""Live syncs that take long: bounded by application and by mail server, free of charge while all is quick."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.login import Login
from chalicelib.store.values import Place
from chalicelib.sync.accounts.crowd import CROWDED_SECONDS, LONG_SECONDS, Crowd, Crowded
from tests.fakes.places import Hours, MemoryPlaces

PER_APPLICATION, PER_SERVER = 4, 3


class Town:
    """Syncs under way."""

    def __init__(self) -> None:
        self.hours, self.places = Hours(), MemoryPlaces()
        self.desk = Crowd(
            places=self.places,
            per_application=PER_APPLICATION,
            per_server=PER_SERVER,
            seconds=90,
            now=lambda: self.hours.now,
            later=self.hours.later,
        )
        self.under_way: dict[str, ExitStack] = {}

    def begin(self, id: str, application: str = "app", server: str | None = None) -> bool:
        account = Account(
            id=id, application_id=application, email_address=id, name="", provider="imap", linked_at=0,
            state=SyncState.RUNNING, scopes="", host="h",
            login=Login(server=server or f"of-{id}", user=id) if server != "" else None,
        )  # fmt: skip
        self.hours.now += 0.001
        stack = ExitStack()
        try:
            stack.enter_context(self.desk.place(account))
        except Crowded:
            return False
        self.under_way[id] = stack
        return True

    def end(self, *ids: str) -> None:
        for id in ids or tuple(self.under_way):
            self.under_way.pop(id).close()


@pytest.fixture
def town() -> Town:
    return Town()


def test_a_sync_that_is_quick_writes_nothing(town: Town) -> None:
    for number in range(50):
        assert town.begin(f"a{number}")
        town.hours.pass_by(LONG_SECONDS / 100)
    town.end()
    town.hours.pass_by(10)
    assert town.places.writes == 0 and not town.hours.left


def test_a_lonely_sync_that_lasts_crowds_nobody(town: Town) -> None:
    town.begin("a")
    town.hours.pass_by(60)
    assert set(town.places.rows) == {"a"} and not town.places.crowded
    town.end()
    assert not town.places.rows


@pytest.mark.parametrize(
    ("servers", "most"),
    [(None, PER_APPLICATION), ("slow.example", PER_SERVER), ("", PER_SERVER)],
)
def test_many_that_last_leave_room_for_others(town: Town, servers: str | None, most: int) -> None:
    # Syncs that began before anybody knew are not cut short; from then on there are no more than may be.
    first = [f"a{n}" for n in range(8)]
    assert all(town.begin(id, server=servers) for id in first)
    town.hours.pass_by(LONG_SECONDS)
    assert not town.begin("late", server=servers)
    assert town.begin("other", "app2", "quick.example"), "neither its application nor its server is slow"
    town.end(*first)
    held = sum(town.begin(f"b{n}", server=servers) for n in range(14))
    assert held == most
    town.end("b0")
    assert town.begin("c", server=servers) and not town.begin("d", server=servers)


def test_a_slow_server_bounds_all_applications_together(town: Town) -> None:
    for number in range(PER_SERVER):
        assert town.begin(f"a{number}", f"app{number}", "slow.example")
    town.hours.pass_by(LONG_SECONDS)
    assert not town.begin("b", "app9", "slow.example")
    assert town.begin("c", "app9", "quick.example")


def test_who_is_quick_again_is_counted_no_longer(town: Town) -> None:
    for number in range(PER_APPLICATION):
        town.begin(f"a{number}")
    town.hours.pass_by(LONG_SECONDS)
    town.end()
    town.hours.pass_by(CROWDED_SECONDS + 1)
    before = town.places.writes
    for number in range(20):
        assert town.begin(f"b{number}")
    town.end()
    assert town.places.writes == before


def test_a_worker_that_died_holds_its_place_for_a_while_only(town: Town) -> None:
    for number in range(PER_APPLICATION):
        town.begin(f"a{number}")
    town.hours.pass_by(LONG_SECONDS)
    dead = dict(town.under_way)
    town.under_way.clear()
    town.places.crowded = dict.fromkeys(town.places.crowded, 10**10)
    assert not town.begin("b")
    town.hours.pass_by(90 + 61)
    assert town.begin("b") and dead


def test_of_those_who_come_at_once_the_first_stay(town: Town) -> None:
    town.places.crowded = {"application#app": 10**10}
    assert [town.begin(id) for id in "abcdef"] == [True] * PER_APPLICATION + [False] * 2
    assert set(town.places.rows) == set("abcd"), "who is refused leaves nothing"


def test_what_comes_late_from_a_thread_enters_nobody_any_more(town: Town) -> None:
    town.begin("a")
    [(_, lasts)] = town.hours.left
    town.end()
    lasts()
    assert not town.places.rows


def test_a_failure_of_the_store_in_a_thread_stops_no_sync(town: Town) -> None:
    class Broken(MemoryPlaces):
        def all(self) -> list[Place]:
            raise OSError

    town.desk = replace(town.desk, places=Broken())
    town.begin("a")
    town.hours.pass_by(LONG_SECONDS)
    town.end()
