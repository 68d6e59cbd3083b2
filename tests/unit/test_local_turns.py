"""The local runtime's workers are shared fairly by application, as SQS does it with message groups."""

from __future__ import annotations

from typing import Any

import pytest

from infra.functions.turns import Turns, group_of

THREADS = 8


def message(body: str, group: str = "a") -> dict[str, Any]:
    return {"Body": body, "MessageAttributes": {"group": {"StringValue": group}}}


def test_a_group_holds_no_more_threads_than_it_leaves_free() -> None:
    turns = Turns(THREADS)
    assert [turns.enter("a", message(str(n))) for n in range(14)] == [True] * 4 + [False] * 10
    assert [turns.enter("b", message(str(n), "b")) for n in range(5)] == [True] * 2 + [False] * 3
    assert turns.enter("c", message("0", "c")), "a newcomer finds a thread"


def test_any_number_of_groups_leave_a_thread_until_each_has_one() -> None:
    turns = Turns(THREADS)
    for group in "abcde":
        while turns.enter(group, message(str(len(turns.waiting())), group)):
            pass
    assert turns.enter("f", message("0", "f"))


def test_what_waits_is_done_by_threads_that_are_given_back_and_groups_take_turns() -> None:
    turns = Turns(2)
    assert turns.enter("a", message("a0"))
    for body in ("a1", "a2"):
        assert not turns.enter("a", message(body))
    assert turns.enter("b", message("b0", "b")) and not turns.enter("b", message("b1", "b"))
    order, group = [], "a"
    while turn := turns.leave(group):
        group, waiting = turn
        order.append(waiting["Body"])
    assert order == ["a1", "a2"] and turns.leave("b") == ("b", message("b1", "b"))


def test_nothing_that_waits_is_forgotten() -> None:
    turns = Turns(3)
    sent = {f"{group}{n}" for group in "abcd" for n in range(7)}
    running, done = [], set()
    for body in sorted(sent):
        if turns.enter(body[0], message(body, body[0])):
            running.append(body)
    while running:
        body = running.pop(0)
        done.add(body)
        turn = turns.leave(body[0])
        if turn:
            running.append(turn[1]["Body"])
    assert done == sent and not turns.waiting()


def test_the_same_body_waits_once() -> None:
    turns = Turns(1)
    assert turns.enter("a", message("x"))
    for _ in range(5):
        assert not turns.enter("a", message("y"))
    assert turns.waiting() == [message("y")]


@pytest.mark.parametrize(("sent", "group"), [(message("x", "app"), "app"), ({"Body": "x"}, "")])
def test_the_group_is_what_the_message_was_sent_with(sent: dict[str, Any], group: str) -> None:
    assert group_of(sent) == group
