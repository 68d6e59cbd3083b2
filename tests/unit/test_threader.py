"""Which messages become one thread."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.mail.anchor import Anchor, Candidate
from chalicelib.domain.mail.message import Address, Message
from chalicelib.domain.mail.subjects import normalised_subject
from chalicelib.domain.mail.threader import anchor_keys, assign
from tests.worlds.threads import ANN, BOB, CLEO, DAN, Account


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


@pytest.mark.parametrize(
    "subject", ["[list] Plan b", "Re: [list] Plan b", "[list] Re: Plan b", "AW: [list] Re: [list] plan b"]
)
def test_the_name_of_a_mailing_list_stays_wherever_it_stands(subject: str) -> None:
    assert normalised_subject(subject) == "[list] plan b"


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


@pytest.mark.parametrize("subject", ["", "other", "s3"])
@pytest.mark.parametrize("first", [True, False])
def test_a_message_that_names_many_threads_joins_what_it_answers(subject: str, first: bool) -> None:
    threads = [message(f"a{n}", f"<{n}>", subject=f"s{n}", people=[BOB, ANN]) for n in range(8)]
    naming = message("z", "<z>", [f"<{n}>" for n in range(8)], subject, [DAN, ANN], date=9)
    account = Account()
    account.add(*([naming] if first else []), *threads)
    account.add(naming)
    assert len(account.partition()) == 8
    assert account.thread("z") == account.thread("a7")


def test_a_message_that_links_what_it_answers_with_its_answer_leaves_the_smaller() -> None:
    account = Account()
    account.add(message("a", "<1>"), message("c", "<3>", ["<2>"]))
    dead, living = sorted([account.thread("a"), account.thread("c")], reverse=True)
    result = account.add(message("b", "<2>", ["<1>"]))
    assert result.merged == {dead: living}
    assert account.partition() == {frozenset("abc")}


def test_siblings_of_an_unseen_beginning_are_one_thread_by_their_subject_or_another_recipient() -> None:
    account = Account()
    account.add(message("b", "<4>", ["<1>", "<2>"], "Re: s", [BOB, ANN, DAN], date=1))
    account.add(message("c", "<5>", ["<1>", "<3>"], "s", [BOB, ANN]))
    account.add(message("d", "<6>", ["<1>", "<7>"], "Re: other", [BOB, DAN]))
    account.add(message("e", "<8>", ["<1>", "<9>"], "Re: other yet", [BOB, ANN]))
    assert account.partition() == {frozenset("bcd"), frozenset("e")}


def test_anchors_of_a_merged_thread_lead_to_the_survivor() -> None:
    account = Account()
    account.add(message("a", "<1>"), message("b", "<2>", ["<0>"]), message("c", "<3>", ["<2>"]))
    account.add(message("z", "<0>", ["<1>"]))
    account.add(message("d", "<4>", ["<3>"]))
    assert account.partition() == {frozenset("abczd")}


def test_the_first_of_very_many_references_still_counts() -> None:
    account = Account()
    account.add(message("a", "<0>", subject="s"))
    account.add(message("b", "<b>", [f"<{n}>" for n in range(200)], "s"))
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


@pytest.mark.parametrize("borne", ["<0>", "<z>"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_mails_that_bear_a_known_message_id_and_answer_other_threads_merge_none(
    bare: bool, together: bool, borne: str
) -> None:
    threads = [message(f"a{n}", f"<{n}>", subject=f"s{n}", people=[BOB, ANN], date=n) for n in range(8)]
    forged = [
        message(f"f{n}", borne, [] if bare else [f"<{n}>"], f"Re: s{n}", [BOB, ANN], date=90 + n)
        for n in range(1, 8)
    ]
    account = Account()
    account.add(*threads)
    for batch in [forged] if together else [[mail] for mail in forged]:
        account.add(*batch)
    apart = {frozenset({"a0"})} | {frozenset({f"a{n}", f"f{n}"}) for n in range(1, 8)}
    assert account.partition() == apart
    account.add(message("answer", "<answer>", [borne], "Re: other", [BOB, ANN], date=99))
    assert len(account.partition()) == 8
    account.add(*account.of([account.thread(mail.id) for mail in forged]))
    assert len(account.partition()) == 8


def test_two_mails_of_one_message_id_are_one_thread_by_their_subject_or_another_recipient() -> None:
    account = Account()
    account.add(message("a", "<1>", ["<8>"], "s", [BOB, ANN, DAN]))
    account.add(message("b", "<1>", ["<9>"], "[list] s", [BOB, DAN]))
    account.add(message("c", "<1>", ["<7>"], "Re: s", [BOB, ANN]))
    account.add(message("d", "<1>", ["<6>"], "other", [BOB, ANN]))
    assert account.partition() == {frozenset("abc"), frozenset("d")}


def sizes(account: Account) -> list[int]:
    return sorted((len(thread) for thread in account.partition()), reverse=True)


@pytest.mark.parametrize("size", [1, 7, 400, 1300])
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("constant", [True, False])
def test_a_thread_ends_and_the_conversation_goes_on_in_another(
    constant: bool, newest_first: bool, size: int
) -> None:
    count = 1300 if size > 1 else 520
    mails = [
        message(f"m{n}", f"<{n}>", ["<0>" if constant else f"<{n - 1}>"], date=n) for n in range(1, count)
    ]
    account = Account()
    ordered = mails[::-1] if newest_first else mails
    for start in range(0, len(ordered), size):
        account.add(*ordered[start : start + size])
    found = sizes(account)
    assert (found[0] <= 500, sum(found)) == (True, count - 1)
    assert len(found) <= count // 500 + 2


def test_who_answers_old_mail_of_a_full_thread_joins_where_it_goes_on() -> None:
    account = Account()
    account.add(*[message(f"m{n}", f"<{n}>", ["<0>"], "s", date=n) for n in range(1, 511)])
    account.add(message("late", "<late>", ["<0>", "<7>"], "Re: s", date=999))
    assert account.thread("late") == account.thread("m510") != account.thread("m7")
    account.add(message("next", "<next>", ["<0>", "<7>"], "Re: s", date=1000))
    assert account.thread("next") == account.thread("m510")
    assert account.add(*[account.messages[f"m{n}"] for n in (7, 510)]).anchors == []


def test_two_threads_that_are_one_too_large_stay_two() -> None:
    account = Account()
    account.add(*[message(f"a{n}", f"<a{n}>", ["<a>"], date=n) for n in range(300)])
    account.add(*[message(f"b{n}", f"<b{n}>", ["<b>"], date=n) for n in range(300)])
    assert not account.add(message("b", "<b>", ["<a7>"], date=999)).merged
    assert sizes(account) == [301, 300]


def test_a_thread_larger_than_any_may_be_keeps_its_messages_and_takes_no_more() -> None:
    account = Account()
    mails = [message(f"m{n}", f"<{n}>", ["<0>"], date=n) for n in range(700)]
    old = [replace(mail, thread_id="old") for mail in mails]
    account.messages = {mail.id: mail for mail in old}
    for key in {key for mail in mails for key in anchor_keys(mail)}:
        account.anchors[key] = Anchor(key=key, candidates=(Candidate("old"),))
    account.add(*old[3:9], message("new", "<new>", ["<0>"], date=800))
    account.add(message("newer", "<newer>", ["<new>"], date=801))
    assert sizes(account) == [700, 2]


def with_copies(mails: Sequence[Message]) -> list[Message]:
    """Make those that bear one Message-ID copies: which of two different mails is meant, order decides."""
    first = {mail.message_id: mail for mail in reversed(mails) if mail.message_id}
    return [replace(first.get(mail.message_id or "", mail), id=mail.id, date=mail.date) for mail in mails]


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


PEOPLE = st.sampled_from(
    [[ANN, BOB], [BOB, ANN], [ANN, ANN], [ANN, CLEO], [CLEO, ANN, BOB], [ANN], [CLEO, DAN]]
)
HALF_DAYS = st.integers(0, 80).map(lambda number: number * 43_200)
ANYTHING = st.lists(
    st.tuples(
        NUMBERS | st.none(), st.lists(NUMBERS, max_size=2),
        st.sampled_from(["s", "Re: s", "Fwd: s", "Re: t", ""]), PEOPLE, HALF_DAYS,
    ), min_size=1, max_size=14,
).map(
    lambda rows: with_copies([
        message(f"m{n}", own if own is None else f"<{own}>", [f"<{r}>" for r in named], subject, people, date)
        for n, (own, named, subject, people, date) in enumerate(rows)
    ])
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(ANYTHING.flatmap(lambda m: st.tuples(st.just(m), st.permutations(m), st.integers(1, 9))))
def test_any_mails_thread_alike_in_any_order_and_any_batches(
    drawn: tuple[list[Message], list[Message], int],
) -> None:
    whole, parts = Account(), Account()
    whole.add(*drawn[0])
    for start in range(0, len(drawn[1]), drawn[2]):
        parts.add(*drawn[1][start : start + drawn[2]])
    assert whole.partition() == parts.partition()


@settings(max_examples=200, deadline=None)
@given(ANYTHING.flatmap(lambda m: st.tuples(st.just(m), st.permutations(m), st.integers(1, 9))))
def test_full_threads_part_conversations_and_never_mix_them(
    drawn: tuple[list[Message], list[Message], int],
) -> None:
    whole, parts = Account(), Account()
    whole.add(*drawn[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chalicelib.bounds.THREAD_MESSAGES", 3)
        for start in range(0, len(drawn[1]), drawn[2]):
            parts.add(*drawn[1][start : start + drawn[2]])
    assert all(len(thread) <= 3 for thread in parts.partition())
    assert all(any(thread <= other for other in whole.partition()) for thread in parts.partition())


@settings(max_examples=200, deadline=None)
@given(MIXED, st.integers(1, 40), st.booleans())
def test_assigning_again_changes_nothing(mails: list[Message], size: int, with_threads: bool) -> None:
    account = Account()
    for start in range(0, len(mails), size):
        account.add(*mails[start : start + size])
    before = dict(account.messages)
    stored = [m if with_threads else replace(m, thread_id="") for m in account.messages.values()]
    result = assign(account.owner, stored, account.anchors, {})
    assert {id: m.thread_id for id, m in before.items()} == result.thread_of
    assert not result.merged
    again = assign(account.owner, stored, account.anchors | {a.key: a for a in result.anchors}, {})
    assert not again.anchors
    if size >= len(mails):
        assert not result.anchors


@settings(max_examples=100, deadline=None)
@given(LINKED)
def test_lost_anchors_are_repaired_from_stored_messages(mails: list[Message]) -> None:
    account = Account()
    account.add(*mails)
    result = assign(account.owner, list(account.messages.values()), {}, {})
    assert result.thread_of == {id: m.thread_id for id, m in account.messages.items()}
    assert {a.key: a for a in result.anchors} == account.anchors
