"""Gmail's rules of labels, as values."""

from __future__ import annotations

import pytest

from chalicelib.domain.mail.labelling import LabelChange
from chalicelib.errors import InvalidRequest

BY_ROLE = {role: role for role in ("all", "spam", "trash", "inbox", "sent", "drafts", "important")}


def change(add: str = "", remove: str = "") -> LabelChange:
    return LabelChange(add=frozenset(add.split()), remove=frozenset(remove.split()), by_role=BY_ROLE)


@pytest.mark.parametrize(
    ("before", "add", "remove", "after"),
    [
        ("all inbox", "x", "", "all inbox x"),
        ("all inbox x", "", "inbox x", "all"),
        ("all inbox", "", "all", "all inbox"),
        ("all inbox x", "trash", "", "trash x"),
        ("all inbox x", "trash", "all inbox x", "trash"),
        ("all inbox", "spam", "", "spam"),
        ("spam x", "trash", "", "trash x"),
        ("trash x", "all", "", "all x"),
        ("trash x", "inbox", "trash x", "all inbox"),
        ("spam", "inbox", "", "all inbox"),
        ("trash", "inbox spam", "", "spam"),
        ("trash x", "", "trash", "trash x"),
        ("trash", "important y", "", "trash important y"),
    ],
)
def test_where_a_mail_is_after_a_change(before: str, add: str, remove: str, after: str) -> None:
    wanted = change(add, remove)
    wanted.check()
    result = wanted.applied(frozenset(before.split()))
    assert result == frozenset(after.split())
    assert wanted.applied(result) == result
    assert wanted.place_of(result) in ("all", "spam", "trash")


@pytest.mark.parametrize(
    ("add", "remove"),
    [("all trash", ""), ("spam trash", ""), ("", "all spam trash"), ("sent", ""), ("", "drafts")],
)
def test_what_gmail_does_not_do_is_refused(add: str, remove: str) -> None:
    with pytest.raises(InvalidRequest):
        change(add, remove).check()
