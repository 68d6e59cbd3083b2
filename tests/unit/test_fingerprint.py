"""What the short ways through the head of a mail leave out changes nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.formats.mime import fingerprint
from chalicelib.providers.imap.fetch import partial

HEAD = re.compile(rb"(?:.*?\n)??\r?\n|.*", re.S)
"""A head with the first empty line, which ends it; all of a mail without one."""

OCTETS = st.lists(st.sampled_from([b"\n", b"\r", b"a", b" ", b"\r\n", b"a: b"]), max_size=14).map(b"".join)
NAMES = [
    b"Message-ID: <1@a.example>", b"message-id:<2@b>", b"Message-ID: nobody", b"Message-ID: <a b@c>",
    b"From: a@b.example", b"Message-ID: <@>", b"Message-ID:", b"Message-ID: <3@c> (x)", b" folded",
    b"Subject: x",
]  # fmt: skip
LINES = st.lists(st.sampled_from(NAMES), max_size=5)


@settings(max_examples=2000, deadline=None)
@given(OCTETS)
@example(b"a\ra\n\n\r\nb")
def test_the_head_ends_with_the_first_empty_line_however_lines_end(raw: bytes) -> None:
    found = HEAD.match(raw)
    assert found and fingerprint._end_of_head(raw) == found.end()


@settings(max_examples=500, deadline=None)
@given(LINES)
def test_a_beginning_that_names_itself_plainly_does_so_when_it_is_read(lines: list[bytes]) -> None:
    raw = b"\r\n".join([b"Received: by a", *lines, b"", b"text"])
    short = partial.tells(raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partial, "_PLAIN_ID", re.compile(rb"(?!)"))
        assert partial.tells(raw) == short
