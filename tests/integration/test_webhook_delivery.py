"""The delivery code over the real tables: what the simulations in memory show holds over DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.webhooks.ledger import Replay
from chalicelib.store.aws.connection import client
from chalicelib.store.log.log import LogTable
from chalicelib.store.work.circuits import CircuitTable
from chalicelib.store.work.deliveries import DeliveryTable
from chalicelib.webhooks.manage import replay
from tests.fakes.services import MemoryAccounts
from tests.integration.aws import deployment, rows
from tests.worlds.webhooks import START, World, answers, dead, down_until, hook, message


@pytest.fixture
def world() -> Iterator[World]:
    with deployment() as settings:
        made = World(tick=30)
        dynamodb = client(settings, "dynamodb")
        made.log = LogTable(dynamodb, settings, now=lambda: float(made.now))
        made.deliveries = DeliveryTable(dynamodb, settings, now=lambda: float(made.now))
        made.circuits = CircuitTable(dynamodb, settings)
        made.settings = settings  # type: ignore[attr-defined]
        yield made


def logged(world: World, first: int, count: int, account: str = "a") -> None:
    world.append(account, [message(f"{account}{n}", account=account) for n in range(first, first + count)])


def numbered(account: str, count: int) -> list[str]:
    return [f"{account}{n}" for n in range(count)]


def test_everything_is_told_in_order_and_nothing_is_left_to_do(world: World) -> None:
    world.add(hook("w"))
    for n in range(0, 240, 60):
        logged(world, n, 60)
    world.run()
    assert world.ids("w") == numbered("a", 240)
    kinds = sorted(row["pk"]["S"].partition("#")[0] for row in rows(world.settings, "work"))  # type: ignore[attr-defined]
    assert kinds == ["CIRCUIT", "LANE", "WH", "WH", "WH"]
    assert {d.state for d in world.deliveries.ledger("w", 0, world.now)} == {"delivered"}
    assert world.circuits.get("w").slots == {}


def test_an_endpoint_that_was_down_goes_on_where_it_stopped(world: World) -> None:
    world.add(hook("w"), down_until(START + 3600))
    for n in range(40):
        logged(world, n, 1)
        logged(world, n, 1, account="b")
        world.run(90)
    world.run(120)
    told = list(dict.fromkeys(world.ids("w")))
    assert sorted(told) == sorted([*numbered("a", 40), *numbered("b", 40)])
    assert [id for id in told if id[0] == "a"] == numbered("a", 40)
    assert world.state("w") == "active"
    assert len(world.times("w")) < 100


def test_a_dead_endpoint_leaves_a_position_and_no_backlog(world: World) -> None:
    world.add(hook("w"), dead)
    for n in range(30):
        for account in "abcdefgh":
            logged(world, n, 1, account=account)
        world.run(60)
    found = [row["pk"]["S"].partition("#")[0] for row in rows(world.settings, "work")]  # type: ignore[attr-defined]
    assert found.count("WH") == 5 and found.count("LANE") == 8 and found.count("DUE") <= 3
    assert "WAIT" not in found
    assert {lane.told for lane in world.deliveries.lanes("w")} == {0}


def test_an_endpoint_that_is_switched_on_again_begins_with_what_is_new(world: World) -> None:
    world.add(hook("w"), answers(410))
    logged(world, 0, 3)
    world.run()
    assert world.state("w") == "inactive"
    logged(world, 3, 3)
    world.run(600)
    world.behaviours["https://w.example/"] = down_until(0)
    world.owner().switch(world.webhooks.rows["w"], "active", world.now)
    logged(world, 6, 1)  # before the round that follows the activation
    world.posted.clear()
    world.run(60)
    assert world.ids("w") == ["a6"]
    account = Account(
        id="a", application_id="app", email_address="a@x.example", name="", provider="imap",
        state=SyncState.RUNNING, linked_at=1, scopes="email", history_days=0,
    )  # fmt: skip
    asked = Replay(since=START, until=world.now)
    again = replay.Replaying(deliveries=world.deliveries, accounts=MemoryAccounts({"a": account}))
    assert again.span(world.webhooks.rows["w"], asked, "r1", world.now) == {"accounts": 1}
    world.run(60)
    assert world.ids("w") == ["a6", *numbered("a", 7)]
    assert [lane.key for lane in world.deliveries.lanes("w")] == ["a"]
