"""A message keeps as many people, files and references as its row has room for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import bounds
from chalicelib.domain.mail.message import Address, Message, RawRef
from chalicelib.formats.mime.mime import parse
from chalicelib.store.objects.rows import file_items, message_item
from chalicelib.sync.mail.extent import within_a_row
from chalicelib.sync.mail.reading import completed, message_of
from tests.fakes.large_mail import LARGE, arrived, small

ROOM = 330_000
"""DynamoDB takes 409,600; the rest is for places and labels."""

large = pytest.mark.parametrize("raw", LARGE.values(), ids=LARGE.keys())


def octets(row: dict[str, dict[str, str]]) -> int:
    return sum(len(name) + len(next(iter(value.values())).encode()) for name, value in row.items())


def seen(raw: bytes) -> Message:
    return message_of("a", arrived(raw), parse(raw))


@large
def test_the_rows_of_a_large_mail_fit_into_the_store(raw: bytes) -> None:
    message = seen(raw)
    assert max(map(octets, [message_item(message), *file_items(message)])) < ROOM


@large
def test_a_message_is_cut_only_once_and_always_alike(raw: bytes) -> None:
    message = seen(raw)
    assert message == seen(raw) == within_a_row(message)


@large
def test_a_mail_whose_beginning_came_first_ends_up_the_same(raw: bytes) -> None:
    beginning = message_of("a", replace(arrived(raw), whole=False, size=len(raw)), parse(raw))
    message, ref = seen(raw), RawRef("raw", 0, 1, 1)
    whole = completed(beginning, parse(raw), ref, message.fingerprint)
    assert replace(whole, id="", files=()) == replace(message, id="", files=(), raw=ref)
    assert [file.part for file in whole.files] == [file.part for file in message.files]


@pytest.mark.parametrize("raw", list(small()))
def test_usual_mail_keeps_everything(raw: bytes) -> None:
    mail, message = parse(raw), seen(raw)
    for name in ("sender", "to", "cc", "bcc", "reply_to", "references"):
        assert getattr(message, name) == getattr(mail, name)
    assert len(message.files) == sum(part.listed for part in mail.parts)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.lists(st.tuples(TEXTS, TEXTS)), st.lists(TEXTS), st.integers(20, 900))
def test_what_surely_fits_is_what_is_not_cut(
    people: list[tuple[str, str]], ids: list[str], most: int
) -> None:
    message = replace(seen(b"\r\n"), to=tuple(Address(*one) for one in people), references=tuple(ids))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "PEOPLE_BYTES", most)
        patch.setattr(bounds, "REFERENCES_BYTES", most)
        short = within_a_row(message)
        patch.setattr("chalicelib.sync.mail.extent._surely_fits", lambda message: False)
        assert within_a_row(message) == short


def test_short_lists_stay_whole_beside_long_ones() -> None:
    mail = parse(LARGE["many authors"])
    author = mail.sender[:1]
    raw = LARGE["four lists of people"]
    message = seen(raw)
    assert message.sender == parse(raw).sender
    assert 100 < len(message.to) < 900 and message.to == parse(raw).to[: len(message.to)]
    assert abs(len(message.to) - len(message.cc)) < 2
    one = within_a_row(replace(seen(raw), to=mail.to, cc=(), bcc=author, reply_to=()))
    assert one.bcc == author and len(one.to) > len(message.to)


def test_a_list_of_blind_copies_that_joins_later_finds_room() -> None:
    message = seen(LARGE["many authors"])
    more = within_a_row(replace(message, bcc=parse(LARGE["four lists of people"]).bcc))
    assert more.bcc and octets(message_item(more)) < ROOM


def test_of_long_references_the_first_and_the_latest_stay() -> None:
    mail = parse(LARGE["four lists of people"])
    ids = tuple(f"<{number}.{'x' * 990}>" for number in range(100))
    kept = message_of("a", arrived(b""), replace(mail, references=ids)).references
    assert kept[0] == ids[0] and kept[1:] == ids[-len(kept) + 1 :] and 50 < len(kept) < 100
    assert sum(map(len, kept)) < bounds.REFERENCES_BYTES
