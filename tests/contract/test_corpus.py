"""Real mails of many programs, if a corpus is at hand: a folder with a MANIFEST.json in each subfolder."""

import pytest

from chalicelib.domain.mail.message import Address
from chalicelib.formats.mime.mime import ParsedMail, parse, part_content
from tests.corpus.stated import CORPUS, archived, entries, shares

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus (POSTERN_CORPUS)")


def check_limits(parsed: ParsedMail) -> None:
    assert len(parsed.subject) <= 255
    assert len(parsed.snippet) <= 191
    assert all(len(part.filename or "") <= 255 for part in parsed.parts)
    assert all(len(id) <= 998 for id in (parsed.message_id or "", *parsed.references))
    people = (*parsed.sender, *parsed.to, *parsed.cc, *parsed.bcc, *parsed.reply_to)
    texts = [
        parsed.subject,
        parsed.snippet,
        parsed.body_html,
        *(part.filename or "" for part in parsed.parts),
    ]
    texts += [text for person in people for text in (person.name, person.email)]
    assert "\0" not in "".join(texts)
    "".join(texts).encode()


def test_every_mail_is_read_within_limits() -> None:
    read = 0
    for raw in [*(entry.raw for entry in entries()), *archived()]:
        parsed = parse(raw)
        check_limits(parsed)
        for part in parsed.parts:
            filename, content_type, _ = part_content(raw, part.part)
            assert (filename, content_type) == (part.filename, part.content_type)
        read += 1
    assert read > 100


def test_what_the_corpus_states_is_what_we_read() -> None:
    wrong: list[str] = []
    found = shares(wrong)
    print(*(f"{field}: {right} of {total}" for field, (right, total) in found.items()), *wrong, sep="\n")
    assert all(right >= 0.8 * total for right, total in found.values())
    assert sum(right for right, _ in found.values()) >= 0.9 * sum(total for _, total in found.values())


def test_sizes_are_those_of_the_content() -> None:
    right = total = 0
    for entry in entries():
        for part in parse(entry.raw).parts:
            if part.listed:
                total += 1
                right += part.size == len(part_content(entry.raw, part.part)[2])
    assert right >= 0.97 * total


def test_an_address_is_never_empty() -> None:
    for entry in entries():
        parsed = parse(entry.raw)
        assert all(isinstance(person, Address) and person.email for person in parsed.sender + parsed.to)
