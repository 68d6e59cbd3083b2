"""Public ids keep the form that stored ids have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib import ids


@given(st.integers(0, 2**140), st.integers(1, 30))
def test_base36_is_the_lowest_digits_padded(number: int, width: int) -> None:
    text = ids.base36(number, width)
    assert len(text) == width and int(text, 36) == number % 36**width


def test_ids_are_those_of_earlier_versions() -> None:
    assert ids.derived_id("acc", "thread", "m") == "cn80qeiolmq7z9xd9w8e3pwpt"
    assert ids.dated_id(1_700_000_000, "acc", "m") == "00s44we8bn61nuom9qo5jx20n"
