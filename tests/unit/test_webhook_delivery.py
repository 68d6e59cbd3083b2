"""What endpoints hear and when, in virtual time."""

from dataclasses import replace

import pytest

from chalicelib.domain.jobs import Wake
from chalicelib.domain.log.delta import Operation
from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.domain.webhooks.webhook import outages
from chalicelib.errors import ProviderError, Refused
from chalicelib.webhooks.delivery import deliver, health
from tests.worlds.webhooks import START, World, answers, dead, down_until, hook, message


def many(count: int, start: int = 0) -> list[str]:
    return [f"m{number}" for number in range(start, start + count)]


def logged(world: World, ids: list[str], account: str = "a") -> None:
    for n in range(0, len(ids), 90):
        world.append(account, [message(id, account=account) for id in ids[n : n + 90]])


@pytest.fixture
def world() -> World:
    return World()


def test_a_change_is_told_once_and_stays_in_the_ledger(world: World) -> None:
    world.add(hook("w"))
    logged(world, many(3))
    world.run()
    assert world.ids("w") == many(3)
    [delivery] = world.deliveries.rows.values()
    assert (delivery.state, delivery.count, delivery.attempt) == ("delivered", 3, 1)
    assert [(a.status, a.excerpt) for a in delivery.attempts] == [(200, "ok")]


def test_a_new_endpoint_hears_from_its_first_wake_up_on(world: World) -> None:
    world.log.append("a", [message(id) for id in many(2)], START)
    world.add(hook("w"))
    logged(world, many(1, start=2))
    world.run()
    assert world.ids("w") == ["m2"]


def test_repeated_wake_ups_tell_nothing_twice(world: World) -> None:
    world.add(hook("w"))
    logged(world, many(3))
    for _ in range(3):
        world.tell("a", 1)
    world.run()
    world.tell("a", 1)
    world.run()
    assert world.ids("w") == many(3)


def test_a_lost_wake_up_is_made_good_by_the_next(world: World) -> None:
    world.add(hook("w"))
    logged(world, many(1))
    world.run()
    world.log.append("a", [message(id) for id in many(3, start=1)], START)  # nobody is woken
    logged(world, many(2, start=4))
    world.run()
    assert world.ids("w") == many(6)


def test_a_notification_holds_at_most_a_hundred_changes_and_one_is_under_way_at_a_time(world: World) -> None:
    world.add(hook("w"))
    logged(world, many(250))
    world.run()
    assert [len(post.ids) for post in world.posted["https://w.example/"]] == [100, 100, 50]
    assert world.ids("w") == many(250)


def test_what_nobody_asked_for_only_moves_the_lane(world: World) -> None:
    world.add(hook("w", triggers=frozenset({"account.stopped"})))
    logged(world, many(250))
    world.run()
    assert world.posted == {} and world.deliveries.rows == {}
    assert world.messages == 0
    assert world.deliveries.lane("w", "a").told == 250


def test_wanted_changes_far_apart_share_a_notification(world: World) -> None:
    world.add(hook("w"))
    for n in range(5):
        world.append("a", [message(f"new{n}")] + [message(f"x{n}{i}", Operation.MODIFY) for i in range(60)])
    world.run()
    assert [post.ids for post in world.posted["https://w.example/"]] == [[f"new{n}" for n in range(5)]]


def test_five_attempts_in_twenty_minutes(world: World) -> None:
    world.tick = 1
    world.add(hook("w"), answers(500))
    logged(world, many(1))
    world.run(1250)
    assert world.times("w")[:5] == [0, 20, 100, 420, 1200]


@pytest.mark.parametrize(("jitter", "second"), [(0.8, 16), (1.2, 24)])
def test_waits_are_jittered_by_a_fifth(world: World, jitter: float, second: int) -> None:
    world.tick, world.jitter = 1, jitter
    world.add(hook("w"), dead)
    logged(world, many(1))
    world.run(30)
    assert world.times("w") == [0, second]


@pytest.mark.parametrize(("asked", "second"), [(5, 20), (60, 60), (90_000, 1200)])
def test_retry_after_is_honoured_up_to_twenty_minutes(world: World, asked: int, second: int) -> None:
    world.tick = 1
    world.add(hook("w"), answers(503, asked))
    logged(world, many(1))
    world.run(1300)
    assert world.times("w")[1] == second


def test_a_notification_is_given_up_if_the_endpoint_takes_others(world: World) -> None:
    def picky(now: int) -> HttpResponse:
        return HttpResponse(500 if "bad" in world.posted["https://w.example/"][-1].ids else 200, b"")

    world.add(hook("w"), picky)
    logged(world, ["bad"], account="a")
    for minute in range(22):
        logged(world, [f"good{minute}"], account="b")
        world.run(60)
    [failed] = [d for d in world.deliveries.rows.values() if d.state == "failed"]
    assert (failed.account_id, failed.attempt) == ("a", 5)
    assert world.state("w") == "active"
    logged(world, ["next"], account="a")
    world.run(60)
    assert "next" in world.ids("w")


def test_an_endpoint_that_accepts_nothing_keeps_its_place_and_goes_on_from_there(world: World) -> None:
    world.add(hook("w"), down_until(START + 7200))
    for minute in range(150):
        logged(world, [f"m{minute}"])
        world.run(60)
    told = world.ids("w")
    assert list(dict.fromkeys(told)) == many(150)
    failures = [told for told in world.times("w") if told < 7200]
    assert len(failures) <= 5 + (7200 - 1200) // 60
    assert world.state("w") == "active"
    assert [change.state for change in world.webhooks.rows["w"].history] == ["failing", "active"]


def test_a_dead_endpoint_has_no_backlog_and_few_attempts(world: World) -> None:
    world.add(hook("w"), dead)
    for n in range(200):
        for account in ("a", "b", "c"):
            logged(world, many(10, start=10 * n), account=account)
        world.run(5)
    assert len(world.deliveries.rows) <= 3
    assert len(world.times("w")) <= 20 + 1000 // 60
    assert len(world.deliveries.wakes) <= 4
    assert {lane.told for lane in world.deliveries.lanes("w")} == {0}


def test_a_dead_endpoint_costs_no_queue_messages_while_it_rests(world: World) -> None:
    world.add(hook("w"), dead)
    logged(world, many(1))
    world.run(1300)
    assert world.circuits.get("w").resting(world.now)
    before = world.messages
    for n in range(50):
        logged(world, many(10, start=10 * n), account=f"other{n}")
        world.work()
    assert world.messages == before


def test_a_hanging_endpoint_holds_one_worker_and_delays_nobody(world: World) -> None:
    holding = []

    def hanging(now: int) -> HttpResponse:
        slots = world.circuits.get("slow").slots
        holding.append(len([until for until in slots.values() if until > now]))
        raise ProviderError("no answer in time")

    world.add(hook("slow"), hanging)
    world.add(hook("fine"))
    for n in range(20):
        logged(world, [f"m{n}"], account=f"a{n}")
        world.run(60)
        assert len(world.ids("fine")) == n + 1
    assert max(holding) == 1
    assert len(holding) <= 5 + 20


def test_calls_to_one_endpoint_at_a_time_are_four_and_one_after_a_failure() -> None:
    assert Circuit().free_slot(0) == 0
    assert Circuit(slots={0: 9, 2: 9}).free_slot(0) == 1
    assert Circuit(slots=dict.fromkeys(range(4), 9)).free_slot(0) is None
    assert Circuit(slots={0: 9}, streak=1).free_slot(0) is None
    assert Circuit(slots={0: 9}, streak=1).free_slot(9) == 0


def test_lanes_that_found_no_slot_are_worked_later(world: World) -> None:
    world.add(hook("w"))
    for _ in range(4):
        world.circuits.enter("w", Circuit(), START, START + 8)
    for n in range(30):
        logged(world, [f"m{n}"], account=f"a{n}")
    world.work()
    assert world.ids("w") == []
    assert len(world.deliveries.wakes) == 1
    world.run(30)
    assert sorted(world.ids("w")) == sorted(many(30))


def test_lanes_that_found_no_slot_are_worked_by_whoever_leaves_one(world: World) -> None:
    nested: list[str] = []

    def busy(now: int) -> HttpResponse:
        if not nested:  # while this call is under way, the other lanes' messages are handled
            nested.append("once")
            for slot in range(1, 4):
                world.circuits.enter("w", Circuit(slots=dict.fromkeys(range(slot), now + 9)), now, now + 9)
            world.work()
        return HttpResponse(200, b"")

    world.add(hook("w"), busy)
    for n in range(12):
        logged(world, [f"m{n}"], account=f"a{n:02d}")
    world.handle(world.queues.take(Wake))
    assert sorted(world.ids("w")) == sorted(many(12))
    assert world.deliveries.waits == {}


def test_nobody_waits_for_an_endpoint_that_is_out_of_order(world: World) -> None:
    world.add(hook("w"), dead)
    for n in range(12):
        logged(world, [f"m{n}"], account=f"a{n:02d}")
        world.deliveries.wait(Wake(webhook_id="w", application_id="app", lane=f"a{n:02d}"))
    world.run()
    assert world.circuits.get("w").broken
    assert world.deliveries.waits == {} and len(world.deliveries.rows) == 5


def test_a_round_asks_for_a_hundred_lanes_and_comes_again(world: World) -> None:
    world.add(hook("w"))
    for n in range(250):
        world.deliveries.change_lane(None, deliver_lane(f"a{n:03d}"))
        world.log.append(f"a{n:03d}", [message(f"m{n}", account=f"a{n:03d}")], START)
    deliver.wake_endpoint(world.deliveries, hook("w"), START)
    world.run(5)
    assert len(world.ids("w")) == 100
    world.run(60)
    assert sorted(world.ids("w")) == sorted(many(250))


def deliver_lane(account: str) -> Lane:
    return Lane(webhook_id="w", application_id="app", account_id=account, told=0, epoch=START)


def test_failing_after_twenty_failures_within_a_quarter_of_an_hour() -> None:
    webhook, minute = hook("w"), START // 60
    few = Circuit(minutes={minute: (19, 19)}, streak=19, failing_since=START)
    enough = Circuit(minutes={minute: (20, 19)}, streak=19, failing_since=START)
    assert health.verdict(webhook, few, START) == "active"
    assert health.verdict(webhook, enough, START) == "failing"
    assert health.verdict(webhook, replace(enough, minutes={minute: (20, 18)}), START) == "active"


def test_failing_when_nothing_was_accepted_for_a_quarter_of_an_hour(world: World) -> None:
    world.tick = 1
    world.add(hook("w"), dead)
    logged(world, many(1))
    world.run(1199)
    assert world.state("w") == "active"
    world.run(10)
    assert world.state("w") == "failing"
    [change] = world.webhooks.rows["w"].history
    assert change.since == START and "attempts" in change.reason


def test_failed_after_72_hours_and_then_nothing_is_sent(world: World) -> None:
    world.tick = 60
    world.add(hook("w"), dead)
    logged(world, many(1))
    world.run(73 * 3600)
    assert world.state("w") == "failed"
    calls = len(world.times("w"))
    assert calls <= 72 * 60 + 10
    logged(world, many(5, start=1))
    world.run(3600)
    assert len(world.times("w")) == calls
    assert len(world.deliveries.rows) == 1


def test_one_that_is_switched_on_again_hears_of_what_comes_next(world: World) -> None:
    world.tick = 60
    world.add(hook("w"), down_until(START + 80 * 3600))
    logged(world, many(1))
    world.run(80 * 3600)
    webhook = world.webhooks.rows["w"]
    assert webhook.state == "failed"
    world.owner().switch(webhook, "active", world.now)
    world.run(120)
    world.posted.clear()
    logged(world, many(1, start=7))
    world.run(60)
    assert world.ids("w") == ["m7"]
    [delivery] = [d for d in world.deliveries.rows.values() if d.state == "failed"]
    assert delivery.first_seq == 1
    assert outages(world.webhooks.rows["w"], world.now) == [(START, START + 80 * 3600)]


def test_a_failing_one_that_its_owner_switches_on_goes_on_at_once(world: World) -> None:
    world.add(hook("w"), down_until(START + 1500))
    logged(world, many(1))
    world.run(1510)
    logged(world, many(2, start=1))
    world.owner().switch(world.webhooks.rows["w"], "active", world.now)
    world.run(10)
    assert list(dict.fromkeys(world.ids("w"))) == many(3)


def test_an_inactive_endpoint_is_told_nothing_and_costs_nothing(world: World) -> None:
    world.add(hook("w", state="inactive"))
    logged(world, many(3))
    world.run(60)
    assert world.posted == {} and world.deliveries.all_lanes == {} and world.messages == 0


def test_gone_switches_the_endpoint_off(world: World) -> None:
    world.add(hook("w"), answers(410))
    logged(world, many(1))
    world.run(3600)
    assert world.state("w") == "inactive"
    assert world.times("w") == [0]
    assert [d.state for d in world.deliveries.rows.values()] == ["failed"]


def test_a_refused_address_is_final(world: World) -> None:
    def internal(now: int) -> HttpResponse:
        raise Refused("The host w.example has an address that is not public.")

    world.add(hook("w"), internal)
    logged(world, many(1))
    logged(world, many(1), account="b")
    world.run(7200)
    assert world.state("w") == "failed"
    assert world.times("w") == [0]
    assert "not public" in world.webhooks.rows["w"].history[-1].reason


def test_an_endless_refusal_of_one_notification_does_not_block_its_account_for_ever(world: World) -> None:
    def picky(now: int) -> HttpResponse:
        return HttpResponse(500 if "bad" in world.posted["https://w.example/"][-1].ids else 200, b"")

    world.add(hook("w"), picky)
    logged(world, ["bad"])
    world.run(1)
    logged(world, ["good"])
    world.run(3 * 3600)
    assert world.ids("w").count("bad") == 60
    assert world.ids("w")[-1] == "good"
    assert world.state("w") == "active"


def test_a_deleted_endpoint_is_told_nothing(world: World) -> None:
    webhook = world.add(hook("w"))
    logged(world, many(1))
    world.owner().remove(webhook)
    world.run(60)
    assert world.posted == {} and world.deliveries.all_lanes == {}


def test_a_worker_that_dies_after_the_call_leads_to_one_repetition(world: World) -> None:
    class Dies(Exception):
        pass

    def dying(now: int) -> HttpResponse:
        if len(world.times("w")) == 1:
            raise Dies
        return HttpResponse(200, b"")

    world.add(hook("w"), dying)
    logged(world, many(1))
    [wake] = world.queues.of(Wake)
    with pytest.raises(Dies):
        world.handle(wake)
    world.handle(wake)  # a second message, while the first worker may still live
    assert len(world.times("w")) == 1
    world.now += 31
    world.handle(wake)  # the queue shows the first message again
    assert [post.ids for post in world.posted["https://w.example/"]] == [["m0"], ["m0"]]
    assert (
        world.posted["https://w.example/"][0].headers["webhook-id"]
        == (world.posted["https://w.example/"][1].headers["webhook-id"])
    )


def test_a_delivery_whose_wake_up_was_lost_is_taken_up_by_the_next_change(world: World) -> None:
    class Dies(Exception):
        pass

    def dying(now: int) -> HttpResponse:
        raise Dies

    webhook = world.add(hook("w"), dying)
    logged(world, many(1))
    [wake] = world.queues.of(Wake)
    with pytest.raises(Dies):
        world.handle(wake)
    world.queues.sent.clear()  # among the dead letters
    world.add(webhook)  # the trouble is over
    logged(world, many(1, start=1))
    world.run()
    assert world.times("w")[1:] == [], "it may still be under way"
    world.now += 1_000
    logged(world, many(1, start=2))
    world.run()
    assert sorted(set(world.ids("w"))) == many(3)


def test_an_endpoint_reads_on_where_the_log_still_reaches(world: World) -> None:
    world.add(hook("w"))
    logged(world, many(1))
    world.run()
    logged(world, many(9, start=1))
    world.log.dropped["a"] = 5
    world.run()
    assert world.ids("w") == ["m0", *many(5, start=5)]


def test_a_message_out_of_time_leaves_the_rest_to_the_next(world: World) -> None:
    world.add(hook("w"))
    logged(world, many(250))
    [*_, wake] = world.queues.of(Wake)
    world.queues.sent.clear()
    world.handle(wake, seconds=-1)
    assert world.ids("w") == []
    world.run(5)
    assert world.ids("w") == many(250)
