"""The lines of a server nobody should trust."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import ProviderError
from infra.watcher.lines import LONGEST_LINE, MOST_BYTES, Lines, is_change, is_goodbye

TALK = (
    b"* 3 EXISTS\r\n"
    b"* 1 FETCH (FLAGS (\\Seen) BODY[] {12}\r\n* BYE\r\n{3}\r\n UID 4 X ~{2}\r\n\r\n)\r\n"
    b"* OK a sentence that ends like a literal {4}\r\n"
    b"* 1 FETCH (X {0}\r\n\r\n"
    b"W1 OK {9}\r\n"
    b"+ go on\n"
)
SAID = [
    b"* 3 EXISTS",
    b"* 1 FETCH (FLAGS (\\Seen) BODY[]  UID 4 X )",
    b"* OK a sentence that ends like a literal {4}",
    b"* 1 FETCH (X ",
    b"W1 OK {9}",
    b"+ go on",
]


@given(st.lists(st.integers(0, len(TALK))))
def test_lines_are_the_same_in_whatever_portions_they_come(cuts: list[int]) -> None:
    edges = sorted({0, *cuts, len(TALK)})
    lines = Lines()
    portions = [TALK[first:last] for first, last in itertools.pairwise(edges)]
    assert [line for portion in portions for line in lines.feed(portion)] == SAID


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_lines_or_a_provider_error(noise: bytes, size: int) -> None:
    lines = Lines()
    with contextlib.suppress(ProviderError):
        for start in range(0, len(noise), size):
            for line in lines.feed(noise[start : start + size]):
                assert b"\n" not in line
                is_change(line)
                is_goodbye(line)


@pytest.mark.parametrize("portion", [1_000, 16_384, 10_000_000])
def test_a_line_has_a_longest_length(portion: int) -> None:
    def feed(data: bytes) -> list[bytes]:
        lines = Lines()
        return [line for at in range(0, len(data), portion) for line in lines.feed(data[at : at + portion])]

    assert len(feed(b"x" * LONGEST_LINE + b"\n")) == 1
    with pytest.raises(ProviderError):
        feed(b"x" * (LONGEST_LINE + 1) + b"\n")
    with pytest.raises(ProviderError):
        feed(b"* " + b"{1}\r\nxxxx" * LONGEST_LINE)


def test_a_turn_has_only_so_many_bytes() -> None:
    lines = Lines()
    some = b"* OK\r\n" * 1_000
    for _ in range(MOST_BYTES // len(some)):
        lines.feed(some)
    with pytest.raises(ProviderError):
        lines.feed(some)
    lines.begin_turn()
    assert lines.feed(some)


def test_a_literal_larger_than_a_turn_is_refused_when_it_is_announced() -> None:
    assert Lines().feed(b"* 1 FETCH (B {%d}\r\n" % MOST_BYTES) == []
    with pytest.raises(ProviderError):
        Lines().feed(b"* 1 FETCH (B {%d}\r\n" % (MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        (b"* 12 EXISTS", True),
        (b"* 12 expunge", True),
        (b"* 1 FETCH (FLAGS ())", True),
        (b"* VANISHED 3:5", True),
        (b"* VANISHED (EARLIER) 3", True),
        (b"* 1 RECENT", False),
        (b"* OK 3 EXISTS", False),
        (b"* OK Still here", False),
        (b"* FLAGS (\\Seen)", False),
        (b"* -1 EXISTS", False),
        (b"* 1 EXISTSNOT", False),
        (b" * 1 EXISTS", False),
        (b"", False),
    ],
)
def test_mail_flags_and_expunges_are_changes(line: bytes, changed: bool) -> None:
    assert is_change(line) is changed


def test_goodbye_is_an_untagged_answer() -> None:
    assert is_goodbye(b"* bye now") and is_goodbye(b"* BYE")
    assert not is_goodbye(b"* OK BYE") and not is_goodbye(b"W1 BYE")
