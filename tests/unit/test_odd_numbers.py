"""What a mailbox tells of itself may be wrong: nothing is lost, doubled or shown for something else."""

from __future__ import annotations

import json

import pytest

from chalicelib.domain.remote import Cursor
from chalicelib.errors import CursorExpired
from tests.contract.provider import Copy, mail
from tests.fakes.odd_server import OddMailbox


def filled(**facts: object) -> OddMailbox:
    box = OddMailbox(**facts)  # type: ignore[arg-type]
    for number in range(1, 7):
        box.put(number, mail(number))
    return box


def walked(copy: Copy) -> Copy:
    """Catch up, beginning again where the cursor is worth nothing."""
    try:
        return copy.catch_up()
    except CursorExpired:
        copy.cursor = None
        return copy.catch_up()


def set_back(box: OddMailbox, kept: int, new: int) -> None:
    """Put back a backup that knew some messages, after which others came."""
    box.messages = {uid: one for uid, one in box.messages.items() if uid <= kept}
    box.uidnext = kept + 1
    for number in range(1, new + 1):
        box.put(kept + number, mail(900 + number, "other text"), at=1_700_000_000 + number)


CAPABILITIES = pytest.mark.parametrize("offers", [(), ("CONDSTORE",)], ids=["uncounted", "counted"])


@CAPABILITIES
@pytest.mark.parametrize(("kept", "new"), [(3, 0), (3, 2), (5, 0), (0, 3), (0, 0)])
def test_a_mailbox_put_back_from_a_backup_is_walked_again(
    offers: tuple[str, ...], kept: int, new: int
) -> None:
    box = filled(modseq=10 if offers else None)
    with box.serve(*offers) as provider:
        copy = Copy(provider).catch_up()
        set_back(box, kept, new)
        walked(copy)
        assert [split(id) for id in sorted(copy.flags)] == list(box.messages)
        assert {split(id): copy.raw[id] for id in copy.flags} == {
            uid: one.raw for uid, one in box.messages.items()
        }


def test_new_mail_behind_a_backup_is_told_from_the_old_by_its_count_of_changes() -> None:
    """UIDNEXT has come further than it was: the count of changes alone went back."""
    box = filled(modseq=100)
    with box.serve("CONDSTORE") as provider:
        copy = Copy(provider).catch_up()
        set_back(box, kept=3, new=6)
        box.modseq = 50
        walked(copy)
        assert {split(id): copy.raw[id] for id in copy.flags} == {
            uid: one.raw for uid, one in box.messages.items()
        }


def test_a_server_that_loses_its_count_of_changes_is_not_fetched_again() -> None:
    box = filled(modseq=100)
    with box.serve("CONDSTORE") as provider:
        copy = Copy(provider).catch_up()
        box.modseq = 5
        box.messages[2] = type(box.messages[2])(box.messages[2].raw, b"\\Flagged")
        copy.order.clear()
        copy.catch_up()
        assert copy.order == [] and sorted(copy.flags.values()) == ["", "", "", "", "", "f"]


@CAPABILITIES
def test_a_server_that_makes_uidnext_of_the_newest_message_is_not_walked_again(
    offers: tuple[str, ...],
) -> None:
    box = filled(modseq=10 if offers else None)
    with box.serve(*offers) as provider:
        copy = Copy(provider).catch_up()
        copy.order.clear()
        del box.messages[6]
        box.uidnext, box.modseq = 6, 11 if offers else None
        copy.catch_up()
        assert copy.order == [] and [split(id) for id in sorted(copy.flags)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("uidnext", [None, 0])
def test_uidnext_that_is_not_told_is_asked_for_or_made_of_what_is_there(uidnext: int | None) -> None:
    box = filled()
    box.uidnext = uidnext
    with box.serve() as provider:
        copy = Copy(provider).catch_up()
        assert len(copy.flags) == 6
        box.messages[9] = type(box.messages[1])(mail(9))
        copy.catch_up()
        del box.messages[9], box.messages[6]
        copy.catch_up()
        box.messages[12] = type(box.messages[1])(mail(12))
        copy.catch_up()
        assert [split(id) for id in sorted(copy.flags)] == [1, 2, 3, 4, 5, 12]


def test_what_a_crash_left_and_is_gone_since_is_found_without_uidnext() -> None:
    box = filled()
    box.uidnext = None
    with box.serve() as provider:
        copy = Copy(provider).catch_up()
        before = copy.cursor
        box.messages[7] = type(box.messages[1])(mail(7))
        copy.catch_up()
        copy.cursor = before
        del box.messages[7]
        copy.catch_up()
        assert [split(id) for id in sorted(copy.flags)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("told", [1, 4, 60])
def test_a_count_of_messages_that_is_wrong_loses_nothing(told: int) -> None:
    box = filled(exists=told)
    with box.serve() as provider:
        copy = Copy(provider).catch_up()
        assert len(copy.flags) == 6
        box.put(7, mail(7))
        assert len(copy.catch_up().flags) == 7


def test_uids_given_again_after_an_expunge_are_new_mail() -> None:
    box = filled()
    with box.serve() as provider:
        copy = Copy(provider).catch_up()
        del box.messages[6]
        box.uidnext = 6
        copy.catch_up()
        box.put(6, mail(66), at=1_700_000_000)
        copy.catch_up()
        [newest] = [id for id in copy.flags if split(id) == 6]
        assert copy.raw[newest] == mail(66)


def test_a_hierarchy_without_a_separator_is_one_folder_after_the_other() -> None:
    box = filled(separator=b"NIL")
    with box.serve() as provider:
        assert [one.name for one in provider.collections()] == ["INBOX"]
        assert len(Copy(provider).catch_up().flags) == 6


def test_the_landmarks_of_a_cursor_are_few() -> None:
    box = OddMailbox()
    for number in range(1, 40):
        box.put(number, mail(number))
    with box.serve() as provider:
        cursor = Copy(provider).catch_up().cursor
        marks = json.loads(cursor or Cursor("{}"))["marks"]
        assert [int(mark.partition(":")[0]) for mark in marks.split(",")] == list(range(39, 31, -1))


def split(id: str) -> int:
    return int(id.partition(".")[2])
