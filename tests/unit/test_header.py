"""Header lines as they go out, read by Python's email and by ourselves."""

from __future__ import annotations

import re
from itertools import combinations, islice, product

import pytest

from chalicelib.domain.mail.message import Address
from chalicelib.errors import InvalidRequest
from chalicelib.formats.header import headers
from chalicelib.formats.header.addresses import addresses
from chalicelib.sending import header
from chalicelib.sending.header import Header
from tests.fakes.mail_readers import python_people, python_text

FIRST = "Jürgen Anna Søren Zoë François Łukasz Björn Émilie Günter Ana José Mike".split()
LAST = ["Müller", "Schmidt", "Kröger-Weiß", "de la Cruz", "O'Neill", "Dvořák, Dr.", "Smith (Sales)", "Nguyễn"]
WORDS = "für and Büro Rechnung (a) 🙂 Angebot, über Größe: =?".split()


def written(one: Header) -> str:
    """Return the value that a reader of any kind sees once the lines are one again (RFC 5322 §2.2.3)."""
    return header.block([one]).decode().replace("\r\n", "").partition(": ")[2]


@pytest.mark.parametrize("domain", ["verwaltung.example.org", "x.example"])
def test_two_people_are_two_mailboxes_wherever_the_line_ends(domain: str) -> None:
    names = [f"{first} {last}" for first, last in product(FIRST, LAST)]
    for pair in islice(combinations(names, 2), 0, None, 3):
        people = [Address(name, f"person.{number}@{domain}") for number, name in enumerate(pair)]
        line = written(header.mailboxes("To", people))
        assert python_people(line) == [(person.name, person.email) for person in people]
        assert list(addresses([line])) == people


def test_no_blank_of_a_subject_is_lost_or_added() -> None:
    for length in (3, 6, 12):
        for start in range(600):
            words = [WORDS[(start * 7 + step * step + start // 9) % len(WORDS)] for step in range(length)]
            subject = " ".join(words)
            line = written(header.text("Subject", subject))
            assert python_text(line) == headers.text(line) == subject


@pytest.mark.parametrize(
    "subject", ["", "a  b", "a" * 300, "ü" * 300, "x " * 200 + "ü", "?= =?", "=?", "é" * 33 + "e\u0301" * 40]
)
def test_a_line_has_78_characters_at_most(subject: str) -> None:
    one = header.text("Subject", subject)
    assert max(map(len, one.lines.split("\r\n"))) <= header.LINE
    assert headers.text(written(one)) == subject.strip()


@pytest.mark.parametrize(
    "name",
    [
        "a, <b@c>",
        'says "hi"',
        "back\\slash",
        "a@b.example",
        "x" * 80,
        "x," * 50,
        "<" * 300,
        '"',
        "\\",
        "a  b",
        "Reply to eve@e.example",
    ],
)
def test_a_name_is_never_a_mailbox(name: str) -> None:
    people = [Address(name, "ann@a.example"), Address("Bób", "bob@b.example")]
    line = written(header.mailboxes("Cc", people))
    assert python_people(line) == [(person.name, person.email) for person in people]
    assert [person.email for person in addresses([line])] == ["ann@a.example", "bob@b.example"]


@pytest.mark.parametrize("name", ["=?", "?=", "=?x", "x?= =?y", "=?utf-8?q?", "a =?, b", "?=ü", "=?=?=?"])
def test_nothing_beside_an_encoded_word_makes_another_one_with_it(name: str) -> None:
    """Some readers look for the beginning of one, then for the end of one, however far that is."""
    people = [Address(name, "ann@a.example"), Address("Bób", "bob@b.example"), Address(name, "c@c.example")]
    for one in (header.mailboxes("Cc", people), header.text("Subject", f"ü {name} ü")):
        rest = re.sub(r"=\?utf-8\?[bq]\?[^? ]*\?=", "", written(one))
        assert "=?" not in rest and "?=" not in rest


@pytest.mark.parametrize(
    "lines",
    [
        "Subject: other\r\n", "Subject: a\r\nBcc: b\r\n", "Subject: a\r\n\r\nbody\r\n", "Subject:a\r\n",
        "Subject: a\nBcc: b\r\n", "Subject: ä\r\n", "Subject: a\r\n \r\n", "", "Subject: a",
        "Subject: " + "a " * 600 + "a\r\n",
    ],
)  # fmt: skip
def test_a_header_that_reads_otherwise_than_meant_is_not_sent(lines: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be written"):
        header.block([Header("Subject", "a", lines)])


def test_a_mailbox_that_reads_as_another_is_not_sent() -> None:
    meant = [Address("Eve <eve@e.example>,", "ann@a.example")]
    with pytest.raises(InvalidRequest, match="To cannot be written"):
        header.block([Header("To", meant, "To: Eve <eve@e.example>, <ann@a.example>\r\n")])
