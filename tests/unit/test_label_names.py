"""Which of our labels is which of the server's, by mark and by name."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.remote import Collection
from chalicelib.store.values import Revised
from chalicelib.sync.engine.folders import differences

INBOX = ("INBOX", "1")


def listed(*labels: tuple[str, str]) -> list[Collection]:
    return [
        Collection(id=name, name=name, role="inbox" if name == "INBOX" else None, mark=mark, label=True)
        for name, mark in labels
    ]


def applied(stored: Mapping[str, Folder], changes: list[Revised[Folder]]) -> dict[str, Folder]:
    rows = {folder.id: folder for folder in stored.values()}
    for change in changes:
        rows.pop(change.old.id if change.old else "", None)
        if change.new:
            rows[change.new.id] = change.new
    return {folder.collection: folder for folder in rows.values()}


def after(*steps: list[Collection]) -> list[dict[str, str]]:
    """Return the ids by name after each listing."""
    stored: dict[str, Folder] = {}
    ids = []
    for step in steps:
        stored = applied(stored, differences("a", stored, step, now=1))
        ids.append({name: folder.id for name, folder in stored.items()})
        assert not differences("a", stored, step, now=2)
    return ids


def test_a_new_name_keeps_the_id() -> None:
    before, now = after(listed(INBOX, ("a", "5")), listed(INBOX, ("b", "5")))
    assert now == {"INBOX": before["INBOX"], "b": before["a"]}


def test_a_label_made_anew_under_an_old_name_is_another() -> None:
    before, now = after(listed(INBOX, ("a", "5")), listed(INBOX, ("a", "6")))
    assert now["a"] != before["a"] and now["INBOX"] == before["INBOX"]


def test_names_may_be_exchanged_and_taken_over() -> None:
    before, swapped, moved = after(
        listed(INBOX, ("a", "5"), ("b", "6")),
        listed(INBOX, ("a", "6"), ("b", "5")),
        listed(INBOX, ("a", "7"), ("c", "6")),
    )
    assert (swapped["a"], swapped["b"]) == (before["b"], before["a"])
    assert moved["c"] == swapped["a"] and moved["a"] not in before.values()


@pytest.mark.parametrize("marks", [("11", "15"), ("", ""), ("5", "1")])
def test_marks_that_all_changed_say_nothing(marks: tuple[str, str]) -> None:
    before, now = after(listed(INBOX, ("a", "5")), listed(("INBOX", marks[0]), ("a", marks[1])))
    assert now == before


def test_folders_without_marks_go_by_their_names() -> None:
    before, now = after(listed(("INBOX", ""), ("a", "")), listed(("INBOX", ""), ("b", "")))
    assert now["INBOX"] == before["INBOX"] and now["b"] != before["a"]
