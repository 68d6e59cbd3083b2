"""What a handful of addresses can do, without any secret, to those who connect from elsewhere: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from chalice.app import Request
from chalice.local import LambdaEventConverter

from chalicelib.errors import ConnectFailed, TooMany
from chalicelib.http import limits, quotas
from tests.fakes.connections import WANTED, body
from tests.fakes.services import MemoryServices
from tests.worlds.api import Call, basic
from tests.worlds.api import call as call  # a fixture
from tests.worlds.strangers import MINE, connected, kept, redeem
from tests.worlds.strangers import here as here  # a fixture

From = Callable[[int], None]
WRONG = {"imap_password": "guess"}
HANDFUL = range(1, 6)
OWNER = 99


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> From:
    """Make requests come from another address."""

    def becomes(number: int) -> None:
        monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", f"192.0.2.{number}")

    return becomes


def authorize(call: Call, **wanted: Any) -> int:
    return call("POST", "/connect/authorize", body(**wanted))[0]


class TestFailedLogins:
    def test_of_a_handful_of_sources_lock_no_owner_out(
        self, call: Call, here: MemoryServices, source: From
    ) -> None:
        for number in HANDFUL:
            source(number)
            assert [authorize(call, settings=WRONG) for _ in range(7)] == [403] * 5 + [429] * 2
        source(OWNER)
        assert authorize(call) == 200

    def test_of_very_many_sources_end_as_well(self, call: Call, here: MemoryServices, source: From) -> None:
        statuses = []
        for number in range(1, 26):
            source(number)
            statuses += [authorize(call, settings=WRONG) for _ in range(5)]
        assert statuses == [403] * 100 + [429] * 25
        assert call("POST", "/connect/authorize", body(), auth=basic("secret-of-app"))[0] == 200

    def test_that_are_refused_cost_the_mailbox_nothing(
        self, call: Call, here: MemoryServices, source: From
    ) -> None:
        source(1)
        for _ in range(30):
            authorize(call, settings=WRONG)
        assert max(spent for name, spent in here.quotas.spent.items() if name.startswith("login#")) == 5


@pytest.mark.parametrize(
    ("step", "counted"), [("dns", False), ("tcp", False), ("tls", False), ("mailbox", False), ("login", True)]
)
def test_only_a_login_that_is_refused_counts_as_one(here: MemoryServices, step: str, counted: bool) -> None:
    request = cast(Request, SimpleNamespace(context={"identity": {"sourceIp": "192.0.2.1"}}))
    refused: list[type[Exception]] = []
    for _ in range(7):
        try:
            with quotas.login(WANTED.settings, request, "app", trusted=False):
                raise ConnectFailed("No.", error=step)
        except (ConnectFailed, TooMany) as error:
            refused.append(type(error))
    assert refused == [ConnectFailed] * 5 + [TooMany if counted else ConnectFailed] * 2


def test_a_handful_of_sources_uses_up_no_applications_quota(
    call: Call, here: MemoryServices, source: From
) -> None:
    for number in HANDFUL:
        source(number)
        assert [authorize(call) for _ in range(61)] == [200] * 60 + [429]
    source(OWNER)
    assert authorize(call) == 200


class TestPlaces:
    @pytest.fixture
    def held(self, here: MemoryServices) -> Iterator[ExitStack]:
        here.settings = replace(here.settings, connects=6)
        with ExitStack() as stack:
            yield stack

    def hold(self, held: ExitStack, number: int) -> bool:
        """Begin a login that never ends; return whether it found a place."""
        request = SimpleNamespace(context={"identity": {"sourceIp": f"192.0.2.{number}"}})
        try:
            held.enter_context(limits.connecting(cast(Request, request), trusted=False))
        except TooMany:
            return False
        return True

    def test_a_source_without_any_finds_one(self, held: ExitStack) -> None:
        assert sum(self.hold(held, 1) for _ in range(9)) == 3, "as many as it leaves free"
        for number in (2, 3):
            assert [self.hold(held, number) for _ in range(4)] == [True, False, False, False]
        assert self.hold(held, OWNER)

    def test_sources_that_come_at_once_leave_some_to_others(
        self, held: ExitStack, here: MemoryServices
    ) -> None:
        here.settings = replace(here.settings, connects=32)
        taken = [self.hold(held, number) for _ in range(9) for number in HANDFUL]
        assert sum(taken) == 5 + 10
        assert all(self.hold(held, number) for number in range(10, 27))
        assert not self.hold(held, OWNER), "32 are held"

    def test_a_deployment_with_one_place_has_one(self, held: ExitStack, here: MemoryServices) -> None:
        here.settings = replace(here.settings, connects=1)
        assert [self.hold(held, 1), self.hold(held, 1), self.hold(held, 2)] == [True, False, False]

    def test_all_are_given_back(self, held: ExitStack, here: MemoryServices) -> None:
        for number in (1, 1, 1, 1, 2, 2, 3):
            self.hold(held, number)
        held.close()
        assert not any(here.slots.held.values())


class TestLoginsUnderWay:
    def test_a_source_has_few_and_gives_each_back(self, call: Call, here: MemoryServices) -> None:
        assert connected(call)
        assert not any(here.slots.held.values())

    def test_a_stranger_may_not_have_all(self, call: Call, here: MemoryServices) -> None:
        here.settings = replace(here.settings, connects=6)
        here.slots.held["connect"] = set(range(4))
        assert call("POST", "/connect/authorize", body())[0] == 429
        assert call("POST", "/connect/authorize", body(), auth=basic("secret-of-app"))[0] == 200
        assert not here.accounts.rows

    def test_nor_one_source(self, call: Call, here: MemoryServices) -> None:
        here.slots.held["connect-first#127.0.0.1/32"] = {0}
        here.slots.held["connect#127.0.0.1/32"] = set(range(3))
        assert call("POST", "/connect/authorize", body())[0] == 429
        assert not here.logins and not here.slots.held.get("connect")


def test_an_address_that_is_connected_is_told_by_the_exchange_only(call: Call, here: MemoryServices) -> None:
    connected(call)
    before = kept(here)
    for address in ("mira@kestrel.example", "mallory@evil.example"):
        assert authorize(call, email_address=address, settings=MINE) == 200
    code = call("POST", "/connect/authorize", body(settings=MINE))[1]["code"]
    status, answer = redeem(call, code)
    assert (status, answer["error"]) == (403, "Another login")
    asked = body(settings=MINE)
    status, answer = call("POST", "/connect/authorize", asked, auth=basic("secret-of-app"))
    assert (status, answer["error"]) == (403, "Another login"), "the application is told at once"
    assert kept(here) == before
