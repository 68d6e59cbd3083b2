"""Lanes, ledger, wake-ups and circuits: the same promises in memory and over DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.domain.jobs import Wake
from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.delivery import Attempt, Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.webhook import StateChange, Webhook
from chalicelib.ids import dated_id
from chalicelib.store.aws.connection import client
from chalicelib.store.core.webhooks import WebhookTable
from chalicelib.store.ports.webhooks import Circuits, Deliveries
from chalicelib.store.work.circuits import CircuitTable
from chalicelib.store.work.deliveries import DeliveryTable
from tests.fakes.deliveries import MemoryCircuits, MemoryDeliveries
from tests.integration.aws import deployment, rows

NOW = 1_700_000_000
DAY = 86400
LANE = Lane(webhook_id="w", application_id="p", account_id="acc1", told=4, epoch=7)


def delivery(n: int = 1, at: int = NOW, **facts: object) -> Delivery:
    made = Delivery(
        id=dated_id(at, "w", str(n)), webhook_id="w", application_id="p", account_id="acc1", lane="acc1",
        first_seq=5, last_seq=8, count=3, created_at=at, due_at=at + 30, attempt=1,
    )  # fmt: skip
    return replace(made, **facts)  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[Deliveries]:
    if request.param == "memory":
        yield MemoryDeliveries()
        return
    with deployment() as settings:
        yield DeliveryTable(client(settings, "dynamodb"), settings, now=lambda: float(NOW))


@pytest.fixture(params=["memory", "dynamodb"])
def circuits(request: pytest.FixtureRequest) -> Iterator[Circuits]:
    if request.param == "memory":
        yield MemoryCircuits()
        return
    with deployment() as settings:
        yield CircuitTable(client(settings, "dynamodb"), settings)


def test_a_lane_is_changed_only_as_it_was_read(table: Deliveries) -> None:
    assert table.lane("w", "acc1") is None
    assert table.change_lane(None, LANE)
    assert not table.change_lane(None, replace(LANE, told=9))
    assert not table.change_lane(replace(LANE, told=3), replace(LANE, told=9))
    assert not table.change_lane(replace(LANE, epoch=8), replace(LANE, told=9))
    assert table.change_lane(LANE, replace(LANE, told=9))
    assert table.lane("w", "acc1") == replace(LANE, told=9)


def test_a_replay_has_a_lane_of_its_own_with_all_its_bounds(table: Deliveries) -> None:
    bounded = replace(LANE, replay="r1", upto=8)
    timed = replace(LANE, replay="r2", told=0, since=NOW - 9, until=NOW)
    table.add_lanes([LANE, bounded, timed])
    assert list(table.lanes("w")) == [LANE, bounded, timed]
    assert table.lane("w", "acc1#r1") == bounded
    table.close_lane(bounded)
    assert table.lane("w", "acc1#r1") is None


def test_a_round_may_begin_anywhere_and_sees_every_lane_once(table: Deliveries) -> None:
    lanes = [replace(LANE, account_id=f"{n:03d}") for n in range(220)]
    table.add_lanes([*lanes, replace(LANE, webhook_id="other")])
    seen = [lane.account_id for lane in table.lanes("w", "1z")]
    assert seen[0] == "200" and seen[-1] == "199"
    assert sorted(seen) == [lane.account_id for lane in lanes]
    table.forget("w")
    assert list(table.lanes("w")) == [] and table.lane("other", "acc1") is not None


def test_a_delivery_is_begun_once(table: Deliveries) -> None:
    table.change_lane(None, LANE)
    begun = replace(LANE, open=delivery().id)
    assert table.begin(LANE, begun, delivery())
    assert not table.begin(LANE, replace(LANE, open=delivery(2).id), delivery(2))
    assert table.get("w", delivery().id) == delivery()
    assert table.get("w", delivery(2).id) is None
    assert table.lane("w", "acc1") == begun


def test_a_delivery_is_claimed_by_one(table: Deliveries) -> None:
    table.record(delivery())
    claimed = delivery(attempt=2, due_at=NOW + 60)
    assert table.claim(delivery(), claimed)
    assert not table.claim(delivery(), claimed)
    table.record(delivery(state="failed"))  # the one who held it before comes too late
    assert table.get("w", delivery().id) == claimed


def test_what_is_settled_moves_the_lane_and_keeps_its_attempts(table: Deliveries) -> None:
    begun = replace(LANE, open=delivery().id)
    table.change_lane(None, LANE)
    table.begin(LANE, begun, delivery())
    tries = (
        Attempt(at=NOW, status=0, ms=9, error="no answer"),
        Attempt(at=NOW, status=500, ms=3, excerpt="né"),
    )
    done = delivery(state="failed", attempts=tries)
    table.settle(begun, replace(LANE, told=8), done)
    assert table.lane("w", "acc1") == replace(LANE, told=8)
    assert table.get("w", done.id) == done


def test_a_lane_that_began_anew_is_not_moved_by_an_old_worker(table: Deliveries) -> None:
    begun, anew = replace(LANE, open=delivery().id), replace(LANE, told=20, epoch=9)
    table.change_lane(None, LANE)
    table.begin(LANE, begun, delivery())
    table.change_lane(begun, anew)
    table.settle(begun, replace(LANE, told=8), delivery(state="delivered"))
    assert table.lane("w", "acc1") == anew
    found = table.get("w", delivery().id)
    assert found and found.state == "delivered"


def test_the_ledger_shows_a_span_newest_first_over_days(table: Deliveries) -> None:
    every = [delivery(n, NOW - n * DAY // 2) for n in range(12)]
    for one in every:
        table.record(one)
    assert list(table.ledger("w", 0, NOW)) == every
    assert list(table.ledger("w", NOW - 2 * DAY, NOW - DAY)) == every[2:5]
    assert list(table.ledger("other", 0, NOW)) == []


def test_what_failed_is_found_without_the_others(table: Deliveries) -> None:
    every = [
        delivery(n, NOW - n * DAY // 2, state="failed" if n % 3 == 0 else "delivered") for n in range(12)
    ]
    table.change_lane(None, LANE)
    table.begin(LANE, replace(LANE, open=every[0].id), replace(every[0], state="pending"))
    table.settle(replace(LANE, open=every[0].id), LANE, every[0])
    for one in every[1:]:
        table.record(one)
    assert list(table.failed("w", 0, NOW)) == every[::3]
    assert list(table.failed("w", NOW - 2 * DAY, NOW - DAY)) == [every[3]]
    assert list(table.failed("other", 0, NOW)) == []


def test_wake_ups_come_at_their_time_and_the_same_one_once(table: Deliveries) -> None:
    wakes = [Wake(webhook_id=f"w{n}", application_id="p", lane="acc1#r" if n else "") for n in range(20)]
    for n, wake in enumerate(wakes):
        table.schedule(wake, NOW + n)
        table.schedule(wake, NOW + n)
    due = table.due(NOW + 9)
    assert sorted(due, key=lambda pair: pair[0]) == [(NOW + n, wakes[n]) for n in range(10)]
    table.queued(due)
    assert table.due(NOW + 9) == []
    assert len(table.due(NOW + 19)) == 10


def test_lanes_that_wait_are_taken_one_by_one(table: Deliveries) -> None:
    for lane in ("acc1", "acc2", "acc1", "acc1#r"):
        table.wait(Wake(webhook_id="w", application_id="p", lane=lane))
    assert sorted(str(table.next_waiting("w")) for _ in range(2)) in (["acc1", "acc1#r"], ["acc1", "acc2"])
    table.stop_waiting("other")
    assert table.next_waiting("w") and table.next_waiting("w") is None
    table.wait(Wake(webhook_id="w", application_id="p", lane="acc1"))
    table.stop_waiting("w")
    assert table.next_waiting("w") is None


def test_the_ledger_ends_after_14_days_and_ids_of_others_are_unknown() -> None:
    with deployment() as settings:
        clock = [float(NOW)]
        table = DeliveryTable(client(settings, "dynamodb"), settings, now=lambda: clock[0])
        table.record(delivery())
        [row] = rows(settings, "work")
        assert int(row["ttl"]["N"]) == NOW + 14 * DAY
        clock[0] += 14 * DAY
        assert table.get("w", delivery().id) is None
        assert list(table.ledger("w", 0, NOW + 15 * DAY)) == []
        assert table.get("w", "nonsense#1") is None


def test_an_endpoint_has_four_slots_and_after_a_failure_one(circuits: Circuits) -> None:
    def enter(now: int) -> int | None:
        return circuits.enter("w", circuits.get("w"), now, now + 30)

    assert [enter(NOW) for _ in range(5)] == [0, 1, 2, 3, None]
    circuits.leave("w", 2)
    assert enter(NOW) == 2
    circuits.refused("w", 2, NOW, NOW + 30, 0, "acc")
    for slot in (0, 1, 3):
        circuits.leave("w", slot)
    assert enter(NOW + 1) is None
    assert enter(NOW + 31) == 0  # the call that was never ended is given up


def test_a_slot_seen_free_but_taken_meanwhile_is_not_taken_twice(circuits: Circuits) -> None:
    seen = Circuit()
    assert [circuits.enter("w", seen, NOW, NOW + 30) for _ in range(5)] == [0, 1, 2, 3, None]


def test_answers_are_counted_by_the_minute(circuits: Circuits) -> None:
    circuits.accepted("w", 0, NOW, NOW + 90)
    circuits.refused("w", 0, NOW + 60, NOW + 90, 0, "acc1")
    noted = circuits.refused("w", 0, NOW + 120, NOW + 90, 0, "acc2")
    assert noted.recent(NOW + 120) == (3, 2)
    assert (noted.streak, noted.failing_since, noted.broken, noted.probe) == (2, NOW + 60, False, "acc2")
    assert noted.recent(NOW + 60 * 16) == (1, 1)
    well = circuits.accepted("w", 0, NOW + 130, NOW + 160)
    assert (well.streak, well.failing_since, well.probe) == (0, 0, "")
    assert circuits.get("w") == well


def test_an_endpoint_rests_until_its_probe_and_a_success_ends_the_rest(circuits: Circuits) -> None:
    noted = circuits.refused("w", 0, NOW, NOW + 30, NOW + 60, "acc")
    assert noted.resting(NOW + 59) and not noted.resting(NOW + 60)
    circuits.leave("w", 0)
    assert circuits.enter("w", noted, NOW + 1, NOW + 31) is None
    assert not circuits.accepted("w", 0, NOW + 61, NOW + 90).resting(NOW + 61)
    circuits.reset("w")
    assert circuits.get("w") == Circuit()


def test_minutes_that_nobody_counts_any_more_are_removed() -> None:
    with deployment() as settings:
        table = CircuitTable(client(settings, "dynamodb"), settings)
        for n in range(0, 20, 2):
            table.accepted("w", 0, NOW + 60 * n, 0)
            table.refused("w", 0, NOW + 60 * n, 0, 0, "acc")
        table.enter("w", table.get("w"), NOW + 3600 * 5, NOW + 3600 * 6)
        [row] = rows(settings, "work")
        assert [name for name in row if name[0] in "af" and name[1:].isdecimal()] == []


def test_a_webhooks_state_changes_only_from_the_one_that_was_read() -> None:
    with deployment() as settings:
        table = WebhookTable(settings)
        webhook = Webhook(
            id="w", application_id="p", callback_url="https://d.example/",
            triggers=frozenset({"message.created"}), state="active", activated_at=NOW,
        )  # fmt: skip
        table.put(webhook)
        history = (StateChange(at=NOW + 9, state="failing", reason="20 of 20 failed", since=NOW),)
        failing = replace(webhook, state="failing", history=history)
        assert table.change(webhook, failing)
        assert not table.change(webhook, failing)
        assert table.get("p", "w") == failing
        table.delete("p", "w")
        assert not table.change(failing, replace(failing, state="failed"))
        assert table.get("p", "w") is None
