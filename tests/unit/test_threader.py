"""Which messages become one thread."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.anchor import Anchor
from chalicelib.domain.message import Address, Message
from chalicelib.domain.threader import Assignment, anchor_keys, assign, normalised_subject

ANN, BOB, CLEO, DAN = (f"{name}@x.example" for name in ("ann", "bob", "cleo", "dan"))


def message(
    id: str,
    message_id: str | None = None,
    references: Sequence[str] = (),
    subject: str = "",
    people: Sequence[str] = (ANN, BOB),
    date: int = 0,
) -> Message:
    return Message(
        id=id, account_id="acc", thread_id="", subject=subject, sender=(Address("", people[0]),),
        to=tuple(Address("", email) for email in people[1:]), cc=(), bcc=(), reply_to=(), date=date, size=1,
        snippet="", files=(), message_id=message_id, in_reply_to=references[-1] if references else None,
        references=tuple(references), folder_id=None, unread=False, starred=False,
    )  # fmt: skip


class Account:
    """What a store would keep, and the rule for merged threads."""

    def __init__(self, id: str = "acc") -> None:
        self.id = id
        self.messages: dict[str, Message] = {}
        self.anchors: dict[str, Anchor] = {}

    def add(self, *batch: Message) -> Assignment:
        known = {key: self.anchors[key] for m in batch for key in anchor_keys(m) if key in self.anchors}
        result = assign(self.id, batch, known)
        for m in batch:
            self.messages[m.id] = replace(m, thread_id=result.thread_of[m.id])
        self.anchors |= {anchor.key: anchor for anchor in result.anchors}
        moved = [replace(m, thread_id=result.merged[m.thread_id]) for m in self.of(result.merged)]
        if moved:
            self.add(*moved)
        return result

    def of(self, thread_ids: Iterable[str]) -> list[Message]:
        return [m for m in self.messages.values() if m.thread_id in set(thread_ids)]

    def thread(self, id: str) -> str:
        return self.messages[id].thread_id

    def partition(self) -> set[frozenset[str]]:
        return {frozenset(m.id for m in self.of([t])) for t in {m.thread_id for m in self.messages.values()}}


@pytest.mark.parametrize(
    "subject",
    [
        "Re: Plan  b",
        "FW: re: plan b",
        "Re[2]: Plan B",
        "AW:WG: plan b",
        "Undeliverable: Plan b",
        "  plan b ",
        "SV: Plan b",
        "RE : plan b",
    ],
)
def test_prefixes_case_and_blanks_do_not_count(subject: str) -> None:
    assert normalised_subject(subject) == "plan b"


def test_words_that_begin_like_a_prefix_stay() -> None:
    assert normalised_subject("Report: x") == "report: x"
    assert normalised_subject("Re:") == ""


def test_a_reply_that_comes_first_waits_for_its_parent() -> None:
    account = Account()
    account.add(message("b", "<2>", ["<1>"]))
    account.add(message("a", "<1>"))
    assert account.thread("a") == account.thread("b")


def test_siblings_of_an_unseen_parent_are_one_thread() -> None:
    account = Account()
    account.add(message("b", "<2>", ["<1>"]))
    account.add(message("c", "<3>", ["<1>"]))
    assert account.thread("b") == account.thread("c")


def test_a_message_that_links_threads_leaves_the_smallest() -> None:
    account = Account()
    account.add(message("a", "<1>"), message("b", "<2>"), message("c", "<3>"))
    threads = sorted(account.thread(id) for id in "abc")
    result = account.add(message("d", "<4>", ["<1>", "<2>", "<3>"]))
    assert result.merged == {threads[1]: threads[0], threads[2]: threads[0]}
    assert account.partition() == {frozenset("abcd")}


def test_anchors_of_a_merged_thread_lead_to_the_survivor() -> None:
    account = Account()
    account.add(message("a", "<1>"), message("b", "<2>", ["<0>"]))
    account.add(message("c", "<3>", ["<1>", "<2>"]))
    account.add(message("d", "<4>", ["<0>"]))
    assert account.partition() == {frozenset("abcd")}


def test_the_first_of_very_many_references_still_counts() -> None:
    account = Account()
    account.add(message("a", "<0>"))
    account.add(message("b", "<b>", [f"<{n}>" for n in range(200)]))
    assert account.thread("a") == account.thread("b")
    assert len(anchor_keys(message("b", "<b>", [f"<{n}>" for n in range(200)]))) <= 52


def test_a_reply_without_references_joins_by_subject_and_two_people() -> None:
    account = Account()
    account.add(message("a", "<1>", subject="Plan", people=[ANN, BOB]))
    account.add(message("b", "<2>", subject="Re: plan", people=[BOB, ANN, CLEO]))
    account.add(message("c", "<3>", subject="Re: plan", people=[CLEO, DAN]))
    assert account.partition() == {frozenset("ab"), frozenset("c")}


def test_two_letters_of_one_subject_are_no_conversation() -> None:
    account = Account()
    account.add(message("a", "<1>", subject="Invoice"), message("b", "<2>", subject="Invoice", date=1))
    account.add(message("c", "<3>", subject="Re: Invoice", date=2))
    assert account.partition() == {frozenset("a"), frozenset("bc")}


def test_a_late_letter_does_not_join_a_conversation_that_has_its_beginning() -> None:
    account = Account()
    account.add(message("r", "<9>", subject="Re: Invoice", date=9))
    account.add(message("b", "<8>", subject="Invoice", date=8))
    account.add(message("a", "<7>", subject="Invoice", date=7))
    assert account.partition() == {frozenset("rb"), frozenset("a")}


def test_mail_to_oneself_and_its_reply_are_one_thread() -> None:
    account = Account()
    account.add(message("a", "<1>", subject="Note", people=[ANN, ANN]))
    account.add(message("b", "<2>", subject="Re: Note", people=[ANN, ANN]))
    assert account.thread("a") == account.thread("b")


def test_an_empty_subject_joins_nothing() -> None:
    account = Account()
    account.add(message("a", subject="Re:"), message("b", subject="Re:"), message("c"))
    assert len(account.partition()) == 3


def test_accounts_never_share_a_thread() -> None:
    one, two = Account("one"), Account("two")
    one.add(message("a", "<1>"))
    two.add(message("a", "<1>"))
    assert one.thread("a") != two.thread("a")


def test_copies_of_one_message_id_are_one_thread_and_both_are_known() -> None:
    account = Account()
    account.add(message("a", "<1>"))
    account.add(message("b", "<1>"))
    assert account.thread("a") == account.thread("b")
    assert account.anchors[anchor_keys(message("a", "<1>"))[0]].message_ids == ("a", "b")


NUMBERS = st.integers(0, 9)
LINKED = st.lists(st.tuples(NUMBERS | st.none(), st.lists(NUMBERS, max_size=3)), min_size=1, max_size=9).map(
    lambda rows: [
        message(f"m{n}", None if own is None else f"<{own}>", [f"<{r}>" for r in references], date=n)
        for n, (own, references) in enumerate(rows)
    ]
)
MIXED = st.lists(
    st.builds(
        lambda own, references, reply, people: (own, references, reply, people),
        NUMBERS, st.lists(NUMBERS, max_size=2), st.booleans(),
        st.sampled_from([[ANN, BOB], [BOB, ANN], [ANN, ANN], [ANN, CLEO]]),
    ), min_size=1, max_size=30,
).map(
    lambda rows: [
        message(f"m{n}", f"<{own}>", [f"<{r}>" for r in references], "Re: s" if reply else "s", people, n)
        for n, (own, references, reply, people) in enumerate(rows)
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(LINKED.flatmap(lambda m: st.tuples(st.just(m), st.permutations(m), st.integers(1, 9))))
def test_linked_mails_thread_alike_in_any_order_and_any_batches(
    drawn: tuple[list[Message], list[Message], int],
) -> None:
    whole, parts = Account(), Account()
    whole.add(*drawn[0])
    for start in range(0, len(drawn[1]), drawn[2]):
        parts.add(*drawn[1][start : start + drawn[2]])
    assert whole.partition() == parts.partition()


@settings(max_examples=200, deadline=None)
@given(MIXED, st.integers(1, 40), st.booleans())
def test_assigning_again_changes_nothing(mails: list[Message], size: int, with_threads: bool) -> None:
    account = Account()
    for start in range(0, len(mails), size):
        account.add(*mails[start : start + size])
    before = dict(account.messages)
    stored = [m if with_threads else replace(m, thread_id="") for m in account.messages.values()]
    result = assign("acc", stored, account.anchors)
    assert {id: m.thread_id for id, m in before.items()} == result.thread_of
    assert not result.merged
    again = assign("acc", stored, account.anchors | {a.key: a for a in result.anchors})
    assert not again.anchors
    if size >= len(mails):
        assert not result.anchors


@settings(max_examples=100, deadline=None)
@given(LINKED)
def test_lost_anchors_are_repaired_from_stored_messages(mails: list[Message]) -> None:
    account = Account()
    account.add(*mails)
    result = assign("acc", list(account.messages.values()), {})
    assert result.thread_of == {id: m.thread_id for id, m in account.messages.items()}
    assert {a.key: a for a in result.anchors} == account.anchors
