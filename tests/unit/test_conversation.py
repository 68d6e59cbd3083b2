"""Threads of a provider that has its own, as values."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.anchor import Anchor
from chalicelib.domain.conversation import conversation_id, converse
from chalicelib.domain.message import Message
from tests.unit.test_label_rows import MESSAGE


def message(number: int, *references: str, thread_id: str = "") -> Message:
    return replace(
        MESSAGE, id=f"m{number}", message_id=f"<{number}@x>", references=references, date=number,
        thread_id=thread_id,
    )  # fmt: skip


def placed(
    messages: list[Message], names: dict[str, str], anchors: dict[str, Anchor] | None = None
) -> tuple[dict[str, str], dict[str, Anchor]]:
    known = dict(anchors or {})
    found = converse("a", messages, names, known, {})
    assert not found.merged
    return found.thread_of, known | {anchor.key: anchor for anchor in found.anchors}


def test_the_providers_word_decides() -> None:
    threads, _ = placed([message(1), message(2, "<1@x>"), message(3)], {"m1": "5", "m2": "6", "m3": "5"})
    assert threads == {"m1": conversation_id("a", "5"), "m2": conversation_id("a", "6"), "m3": threads["m1"]}


def test_mail_of_ours_goes_to_the_nearest_that_it_refers_to_and_joins_nothing() -> None:
    _, anchors = placed([message(1), message(2)], {"m1": "5", "m2": "6"})
    threads, now = placed([message(3, "<1@x>", "<2@x>", "<unknown@x>")], {}, anchors)
    assert threads == {"m3": conversation_id("a", "6")}
    again, same = placed([message(3, "<1@x>", "<2@x>", thread_id=threads["m3"])], {}, now)
    assert (again, same) == (threads, now)


def test_mail_of_ours_that_refers_to_nothing_begins_a_thread_of_its_own() -> None:
    threads, _ = placed([message(1), message(2)], {})
    assert len(set(threads.values())) == 2
