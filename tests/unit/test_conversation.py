"""Threads of a provider that has its own, as values."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from chalicelib import bounds
from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.conversation import conversation_id, converse, following_id
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread, empty_thread, with_messages
from tests.worlds.rows import MESSAGE


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


def thread_with(id: str, *numbers: int) -> Thread:
    return with_messages(empty_thread(id, "a"), [message(number) for number in numbers], None)


def test_a_conversation_that_is_full_goes_on_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "THREAD_MESSAGES", 3)
    anchors: dict[str, Anchor] = {}
    threads: dict[str, Thread] = {}
    for number in range(8):
        found = converse("a", [message(number)], {f"m{number}": "5"}, anchors, threads)
        anchors |= {anchor.key: anchor for anchor in found.anchors}
        thread_id = found.thread_of[f"m{number}"]
        held = [*threads[thread_id].entries] if thread_id in threads else []
        threads[thread_id] = thread_with(thread_id, *(int(id[1:]) for id in held), number)
    first = conversation_id("a", "5")
    second = following_id("a", first)
    assert list(threads) == [first, second, following_id("a", second)]
    assert [len(thread.entries) for thread in threads.values()] == [3, 3, 2]
    again = [message(number, thread_id=id) for number, id in ((1, first), (4, second))]
    found = converse("a", again, {"m1": "5", "m4": "5"}, anchors, threads)
    assert found.thread_of == {"m1": first, "m4": second}


def test_a_whole_batch_of_one_conversation_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "THREAD_MESSAGES", 3)
    found, _ = placed([message(number) for number in range(7)], {f"m{number}": "5" for number in range(7)})
    assert sorted(Counter(found.values()).values()) == [1, 3, 3]


def test_mail_of_ours_goes_into_no_full_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "THREAD_MESSAGES", 2)
    _, anchors = placed([message(1)], {"m1": "5"})
    full = thread_with(conversation_id("a", "5"), 1, 2)
    found = converse("a", [message(3, "<1@x>")], {}, anchors, {full.id: full})
    assert found.thread_of["m3"] != full.id
