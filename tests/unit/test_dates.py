"""A date means the same second, however a program writes it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.formats.header.dates import seconds


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Tue, 05 Mar 2024 10:00:00 -0800 (PST)", at(2024, 3, 5, 18)),
        ("Thu, 1 Oct 2015 14:40:57 +0200 (CEST)", at(2015, 10, 1, 12, 40, 57)),
        ("5 Mar 24 10:00 EST", at(2024, 3, 5, 15)),
        ("05-Mar-2024 10:00:00 +0000", at(2024, 3, 5, 10)),
        ("Tue, 05 Mar 2024 10:00:00", at(2024, 3, 5, 10)),
        ("Tuesday, March 5, 2024 10:00", at(2024, 3, 5, 10)),
        ("Thu Aug 30 13:55:12 2007", at(2007, 8, 30, 13, 55, 12)),
        ("Thu Aug 30 13:55:12 PDT 2007", at(2007, 8, 30, 20, 55, 12)),
        ("Thu Aug 30 13:55:12 +0200 2007", at(2007, 8, 30, 11, 55, 12)),
        ("jue ago 30 13:55:12 2007", at(2007, 8, 30, 13, 55, 12)),
        ("Mi., 23 Apr. 2025 09:48:37 +0200 (MESZ)", at(2025, 4, 23, 7, 48, 37)),
        ("lun. 5 mars 2024 10:00:00 +0100", at(2024, 3, 5, 9)),
        ("Fr, 5 Dez 2024 10:00:00 +0100", at(2024, 12, 5, 9)),
        ("mer., 14 août 2024 10:00:00 +0200", at(2024, 8, 14, 8)),
        ("dom, 7 lug 2024 10:00:00 +0200", at(2024, 7, 7, 8)),
        ("18 Nov 2013 09:26:24 GMT +0100", at(2013, 11, 18, 8, 26, 24)),
        ("Tue, 5 Mar 2024 10:00:00 UTC+02:00", at(2024, 3, 5, 8)),
        ("Tue, 5 Mar 2024 10:00:00 GMT+0200", at(2024, 3, 5, 8)),
        ("Mon, 1 Jan 2018 20:36:59 -0-100 -0700", at(2018, 1, 2, 3, 36, 59)),
        ("Mon, 1 Jan 2018 10:00:00 MEZ", at(2018, 1, 1, 9)),
        ("Mon, 1 Jan 2018 10:00:00 EST5EDT", at(2018, 1, 1, 15)),
        ("2024-03-05T10:00:00+02:00", at(2024, 3, 5, 8)),
        ("2024-03-05 10:00:00.123Z", at(2024, 3, 5, 10)),
        ("2024-03-05 10:00", at(2024, 3, 5, 10)),
    ],
)
def test_a_date_is_read(text: str, meant: int) -> None:
    assert seconds(text) == meant


@pytest.mark.parametrize("text", ["", "x", "10:00", "2024-13-05 10:00", "5 Foo 2024 10:00:00", "5" * 5_000])
def test_what_is_no_date_is_none(text: str) -> None:
    assert seconds(text) is None


@given(st.text(max_size=200) | st.text("0123456789:+-TZ ,.JanfebMrz()", max_size=60))
def test_reading_never_raises(text: str) -> None:
    assert seconds(text) is None or isinstance(seconds(text), int)
