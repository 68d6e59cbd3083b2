"""Mails made to take time and memory are read within bounds (`tests.corpus.hostile` measures them)."""

import pytest

from chalicelib import bounds
from chalicelib.formats.mime import tree
from chalicelib.formats.mime.mime import parse, part_content
from chalicelib.formats.text import clipping
from tests.corpus.hostile import MAILS, around, body, nested, parts

SIZE = 150_000


@pytest.mark.parametrize("name", MAILS)
def test_a_hostile_mail_is_read_within_bounds(name: str) -> None:
    raw = MAILS[name](SIZE)
    parsed = parse(raw)
    people = (parsed.sender, parsed.to, parsed.cc, parsed.bcc, parsed.reply_to)
    assert len(parsed.body_html.encode()) <= bounds.BODY_BYTES + len(clipping.MARK)
    assert len(parsed.subject) <= bounds.SUBJECT_CHARACTERS
    assert len(parsed.snippet) <= bounds.SNIPPET_CHARACTERS
    assert len(parsed.parts) <= bounds.PARTS
    assert all(len(group) <= bounds.ADDRESSES for group in people)
    assert all(len(one.email) <= bounds.ADDRESS_LENGTH for group in people for one in group)
    for part in parsed.parts[:5]:
        assert len(part_content(raw, part.part)[2]) == part.size or not part.listed or "base64" in name


def examined(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many lines were looked at as delimiters."""
    seen = [0]
    real = tree._REST

    class Rest:
        def match(self, *arguments: int) -> object:
            seen[0] += 1
            return real.match(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(tree, "_REST", Rest())
    tree.walk(raw)
    return seen[0]


@pytest.mark.parametrize(
    "mail",
    [
        body(b"Content-Type: multipart/mixed; boundary=a", b"--ab\n"),
        around("mixed", bounds.PART_DEPTH, b"--b\n"),
        nested("mixed"),
        parts(b"\nx\n"),
    ],
)
def test_the_lines_looked_at_as_delimiters_grow_with_the_mail_not_faster(
    mail: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(mail)
    small, large = (examined(mail(size), monkeypatch) for size in (250_000, 1_000_000))
    assert large <= 4 * small + 4 * bounds.PARTS


def test_nests_and_parts_beyond_the_bounds_are_shown_as_text() -> None:
    deepest = parse(nested("mixed", b"\nhello")(20_000))
    assert len(deepest.parts) == 1
    assert "b999" not in deepest.snippet
    assert len(parse(parts(b"\nx\n")(100_000)).parts) == bounds.PARTS - 1
