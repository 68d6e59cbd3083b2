"""Real mails of many programs, if a corpus is at hand: a folder with a MANIFEST.json in each subfolder."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.message import Address
from chalicelib.formats.mime import ParsedMail, parse, part_content

BESIDE = Path(__file__).parents[3] / "shared" / "corpus"
CORPUS = Path(os.environ.get("POSTERN_CORPUS", BESIDE))
FOLDERS = ("mime-odd", "encodings", "html", "attachments", "huge-headers", "bounces", "invites", "threading")
NO_MAIL = {".html", ".ics", ".vcf", ".json", ".mbox", ".py", ".md"}

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus (POSTERN_CORPUS)")


def entries() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for folder in FOLDERS:
        manifest = CORPUS / folder / "MANIFEST.json"
        listed += json.loads(manifest.read_text()) if manifest.exists() else []
    return [entry for entry in listed if Path(entry["file"]).suffix not in NO_MAIL]


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
    for entry in entries():
        raw = (CORPUS / entry["file"]).read_bytes()
        parsed = parse(raw)
        check_limits(parsed)
        for part in parsed.parts:
            filename, content_type, _ = part_content(raw, part.part)
            assert (filename, content_type) == (part.filename, part.content_type)
        read += 1
    assert read > 100


def seen(parsed: ParsedMail) -> dict[str, Any]:
    return {
        "subject": parsed.subject,
        "message_id": (parsed.message_id or "").strip("<>"),
        "from": [person.email for person in parsed.sender],
        "to": [person.email for person in parsed.to],
        "reply_to": [person.email for person in parsed.reply_to],
        "attachments": sum(part.listed for part in parsed.parts),
    }


def wanted(expected: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {key: expected[key] for key in ("subject", "message_id") if key in expected}
    if "subject" in values:
        values["subject"] = " ".join(values["subject"].split())[:255]
    for key in ("from", "to", "reply_to"):
        if all(isinstance(person, dict) for person in expected.get(key, [0])):
            values[key] = [person["email"] for person in expected[key]]
    if isinstance(expected.get("attachments"), list):
        values["attachments"] = len(expected["attachments"])
    return values


def test_most_expected_values_are_found() -> None:
    hits, all_of = Counter[str](), Counter[str]()
    for entry in entries():
        expected = (entry.get("expected") or {}).get("stalwart")
        if not expected:
            continue
        found = seen(parse((CORPUS / entry["file"]).read_bytes()))
        for key, value in wanted(expected).items():
            all_of[key] += 1
            hits[key] += found[key] == value
            if found[key] != value:
                print(entry["file"], key, "found", found[key], "not", value)
    print({key: f"{hits[key]}/{count}" for key, count in all_of.items()})
    if all_of["subject"]:
        assert hits["subject"] + hits["from"] >= 0.9 * (all_of["subject"] + all_of["from"])


def test_sizes_are_those_of_the_content() -> None:
    right = total = 0
    for entry in entries():
        raw = (CORPUS / entry["file"]).read_bytes()
        for part in parse(raw).parts:
            if part.listed:
                total += 1
                right += part.size == len(part_content(raw, part.part)[2])
    assert right >= 0.97 * total


def test_an_address_is_never_empty() -> None:
    for entry in entries():
        parsed = parse((CORPUS / entry["file"]).read_bytes())
        assert all(isinstance(person, Address) and person.email for person in parsed.sender + parsed.to)
