"""The proxy of the fault tests does what its plan says, however the octets come in."""

from __future__ import annotations

import random

import pytest

from infra.bench.mischief import KINDS, End, Mischief, Plan, plan_of

ANSWERS = b"* OK hi\r\n* 1 FETCH (UID 1 BODY[] {20}\r\n01234567890123456\r\n.)\r\nP1 OK done\r\n"


def carried(plan: Plan, size: int) -> tuple[bytes, End | None]:
    """Return what a client gets if the server's octets come in pieces of a size."""
    mischief, got = Mischief(plan), b""
    for start in range(0, len(ANSWERS), size):
        kept, end = mischief.carry(ANSWERS[start : start + size])
        got += kept
        if end:
            return got, end
    return got, None


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_peace_changes_nothing(size: int) -> None:
    assert carried(Plan(), size) == (ANSWERS, None)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("at", [0, 1, 40, len(ANSWERS) - 1])
def test_a_cut_falls_on_its_octet(at: int, size: int) -> None:
    assert carried(Plan(cut_after=at, reset=True), size) == (ANSWERS[:at], End.RESET)
    assert carried(Plan(silent_after=at), size) == (ANSWERS[:at], End.SILENT)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_literal_is_cut_inside(size: int) -> None:
    got, end = carried(Plan(cut_after=5, in_literal=True), size)
    begin = ANSWERS.index(b"0123")
    assert end is End.CLOSED and begin <= len(got) < begin + 20


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_farewell_comes_between_two_answers_and_never_inside_a_literal(size: int) -> None:
    got, end = carried(Plan(bye_after=30), size)
    assert end is End.CLOSED
    assert got == ANSWERS[: ANSWERS.index(b"P1 OK")] + b"* BYE Server shutting down.\r\n"


def test_the_same_dice_throw_the_same_plans() -> None:
    one, other = ([plan_of(kind, random.Random(7)) for kind in KINDS] for _ in range(2))
    assert one == other and len({plan.kind for plan in one}) == len(KINDS) - 1  # two kinds refuse the login
