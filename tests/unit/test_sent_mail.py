"""Whatever is asked for: three programs of others read the sent mail and say just that."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.sending.compose import compose
from chalicelib.sending.letter import load, own
from tests.fakes import mail_readers
from tests.fakes.mail_readers import Reader, Reading, bare
from tests.worlds.sending import ACCOUNT, STAMP

EXAMPLES = int(os.environ.get("POSTERN_MAIL_EXAMPLES", "300"))
RANDOM = "POSTERN_RANDOM" in os.environ
NODE_MODULES = Path(
    os.environ.get(
        "POSTERN_READER_MODULES", Path(__file__).resolve().parents[2] / ".local" / "readers" / "node_modules"
    )
)
ENCODED = "=?utf-8?q?Hi=0d=0aX-Injected:_1?="

words = st.one_of(
    st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=30),
    st.text("abcXYZ019 ,;:<>@\"\\()[]=?_.'!#-/", max_size=90),
    st.sampled_from(
        [
            ENCODED,
            "=?",
            "?=",
            "=?utf-8?b?",
            "für",
            "and",
            "🙂",
            "日本語の名前",
            "  ",
            "e\u0301",
            "\u200f",
            "a" * 80,
        ]
    ),
)
texts = st.lists(words, max_size=8).map(" ".join)
subjects = texts.filter(lambda text: len(text.encode()) <= 1000)
locals_ = st.text("abcdefghijklmnopqrstuvwxyz0123456789.!#$%&*+/?^_`{|}~-", min_size=1, max_size=40)
domains = st.sampled_from(
    ["x.example", "verwaltung.example.org", f"{'sub.' * 20}example.com", "例え.example"]
)
emails = st.builds("{}@{}".format, locals_, domains)
people = st.lists(st.fixed_dictionaries({"name": texts, "email": emails}), max_size=5)
names = st.integers(0, 99).map("X-{}".format) | st.sampled_from(
    ["List-Unsubscribe", "List-Id", f"X-{'Long-' * 14}Name"]
)
header_lists = st.dictionaries(names, texts.filter(lambda text: text.strip()), max_size=4)
bodies = st.lists(
    words | st.sampled_from(["\n", ".", "\r\n.\r\n", "<p>", "From ", "x" * 1200, "\0", "\x01\x7f"]),
    max_size=9,
).map("".join)
letters = st.fixed_dictionaries(
    {
        "to": people.filter(bool),
        "cc": people,
        "from": people.map(lambda some: some[:1]),
        "reply_to": people.map(lambda some: some[:1]),
        "subject": subjects,
        "custom_headers": header_lists,
        "body": bodies,
    }
)


@pytest.fixture(scope="module", params=["python", "rust", "node"])
def read(request: pytest.FixtureRequest) -> Iterator[Reader]:
    if request.param != "node":
        yield mail_readers.python_email if request.param == "python" else mail_readers.rust_mailparse
        return
    if not shutil.which("node") or not (NODE_MODULES / "postal-mime").is_dir():
        missing = "the npm package postal-mime is missing: run `make readers`, or set POSTERN_READER_MODULES"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    reader = mail_readers.PostalMime(NODE_MODULES)
    yield reader
    reader.close()


@settings(max_examples=EXAMPLES, deadline=None, derandomize=not RANDOM)
@given(fields=letters, account_name=texts)
def test_the_sent_mail_says_what_was_asked_for(
    read: Reader, fields: dict[str, Any], account_name: str
) -> None:
    letter, account = load(fields), replace(ACCOUNT, name=account_name)
    raw = compose(account, letter, None, STAMP).wire
    found = read(raw)
    sender = (letter.sender or own(account),)
    lists = {"from": sender, "to": letter.to, "cc": letter.cc, "reply-to": letter.reply_to}
    for name, participants in lists.items():
        wanted = [(bare(person.name), person.email) for person in participants]
        assert nameless(found.people[name]) == nameless(wanted)
    assert bare(found.subject) == bare(letter.subject or "")
    assert {name: found.custom(name) for name, _ in letter.headers} == {n: bare(v) for n, v in letter.headers}
    assert ours_alone(found, letter.headers)
    assert bare(found.html) == bare(letter.body.replace("\0", ""))
    assert every_line_is_short(raw)


def nameless(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out names that are the address itself: readers do so."""
    return [("" if name == address else name, address) for name, address in found]


def ours_alone(found: Reading, custom: tuple[tuple[str, str], ...]) -> bool:
    ours = set("from sender to cc reply-to subject date message-id mime-version content-type".split())
    return {name.lower() for name, _ in found.headers} <= ours | {name.lower() for name, _ in custom}


def every_line_is_short(raw: bytes) -> bool:
    """Tell whether no line has more than 998 bytes, and in our headers only single words more than 78."""
    lines = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    ours = [line for line in lines if not line.startswith((b"X-", b"List-"))]
    folded = all(len(line) <= 78 or len(line.split(b": ")[-1].split()) == 1 for line in ours)
    return folded and max(map(len, raw.split(b"\r\n"))) <= 998 and raw.isascii()
