"""How much of what a corpus states of its mails we read, and how long a mail takes.

`python -m tests.corpus.stated` prints the share of each field and the time per mail. The corpus is a folder
(`POSTERN_CORPUS`, else `../shared/corpus`) whose subfolders have a MANIFEST.json: a list of files, with what
their source says of them under `expected`.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from html import unescape
from pathlib import Path
from typing import Any

from chalicelib.formats.header import headers
from chalicelib.formats.mime import mime
from chalicelib.formats.mime.mime import ParsedMail, parse

BESIDE = Path(__file__).parents[3] / "shared" / "corpus"
CORPUS = Path(os.environ.get("POSTERN_CORPUS", BESIDE))
FOLDERS = ("mime-odd", "encodings", "html", "attachments", "huge-headers", "bounces", "invites", "threading")
NO_MAIL = {".html", ".ics", ".vcf", ".json", ".py", ".md"}
PEOPLE = {"from": "sender", "to": "to", "reply_to": "reply_to"}

_TAG = re.compile(r"<!--.*?-->|<(style|script|title)\b.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A mail of the corpus and what its source states of it."""

    file: str
    raw: bytes
    stated: dict[str, Any]


def entries() -> Iterator[Entry]:
    """Yield the mails that are files of their own."""
    for folder in FOLDERS:
        manifest = CORPUS / folder / "MANIFEST.json"
        for entry in json.loads(manifest.read_text()) if manifest.exists() else []:
            file = CORPUS / entry["file"]
            if file.suffix not in {*NO_MAIL, ".mbox"} and ".mbox." not in file.name:
                stated = (entry.get("expected") or {}).get("stalwart") or {}
                yield Entry(file=entry["file"], raw=file.read_bytes(), stated=stated)


def archived() -> Iterator[bytes]:
    """Yield the mails that lie in mailboxes."""
    for file in sorted(CORPUS.rglob("*.mbox*")):
        if file.suffix not in NO_MAIL:
            yield from (mail.partition(b"\n")[2] for mail in file.read_bytes().split(b"\nFrom "))


def verdicts(entry: Entry) -> Iterator[tuple[str, bool]]:
    """Yield each statement about a mail, and whether we read the same."""
    parsed, stated = parse(entry.raw), entry.stated
    if "subject" in stated:
        yield "subject", parsed.subject == " ".join(stated["subject"].split())[:255]
    if "message_id" in stated:
        yield "message_id", (parsed.message_id or "").strip("<>") == stated["message_id"]
    if "date" in stated:
        yield "date", _date(entry.raw) == stated["date"]
    for field, ours in PEOPLE.items():
        people = stated.get(field, [])
        if people and all(isinstance(person, dict) for person in people):
            found = getattr(parsed, ours)
            yield f"{field}: addresses", [one.email for one in found] == [one["email"] for one in people]
            yield f"{field}: names", [one.name for one in found] == [one["name"] or "" for one in people]
    yield from _attachments(parsed, stated.get("attachments"))
    if "text" in stated or "html" in stated:
        yield "body", _is_shown(parsed, stated)


def _date(raw: bytes) -> int | None:
    """Return the Date header; its own reading is the business of the provider."""
    found = re.search(rb"^Date:([^\r\n]*)", raw, re.MULTILINE | re.IGNORECASE)
    parts = parsedate_tz(headers.text(found[1].decode("latin-1"))) if found else None
    return int(mktime_tz(parts)) if parts else None


def _attachments(parsed: ParsedMail, stated: list[dict[str, Any]] | None) -> Iterator[tuple[str, bool]]:
    if stated is None:
        return
    files = [part for part in parsed.parts if part.listed]
    yield "attachments: count", len(files) == len(stated)
    yield "attachments: names", [file.filename for file in files] == [one["filename"] for one in stated]
    sizes = [one["size"] for one in stated if "size" in one]
    if sizes and len(sizes) == len(stated):
        yield "attachments: sizes", [file.size for file in files] == sizes


def _is_shown(parsed: ParsedMail, stated: dict[str, Any]) -> bool:
    """Tell whether the body shows all stated pages, or all texts where there is no page."""
    shown = _visible(parsed.body_html)
    pages = [_visible(page) for page in stated.get("html") or []]
    texts = [" ".join(text.replace("\0", "").split()) for text in stated.get("text") or []]
    return all(one in shown for one in (pages if any(pages) else texts))


def _visible(page: str) -> str:
    return " ".join(unescape(_TAG.sub("", page.replace("<br>", " ").replace("\0", ""))).split())


def shares(wrong: list[str] | None = None) -> dict[str, tuple[int, int]]:
    """Return, for each field, how many statements hold and how many there are; `wrong` gets the others."""
    right, total = Counter[str](), Counter[str]()
    for entry in entries():
        for field, holds in verdicts(entry):
            total[field] += 1
            right[field] += holds
            if not holds and wrong is not None:
                wrong.append(f"{entry.file}: {field}")
    return {field: (right[field], total[field]) for field in total}


def microseconds(rounds: int = 8) -> list[float]:
    """Return the shortest time that each mail of the corpus took."""
    mails = [*(entry.raw for entry in entries()), *archived()]
    best = [float("inf")] * len(mails)
    for _ in range(rounds):
        for place, raw in enumerate(mails):
            begin = time.perf_counter()
            parse(raw)
            best[place] = min(best[place], (time.perf_counter() - begin) * 1e6)
    return best


def main() -> None:
    """Print the shares and the times."""
    print(f"parsed by {mime.__file__}")
    wrong: list[str] = []
    for field, (right, total) in shares(wrong).items():
        print(f"{field:20} {right:3} of {total:3}  {right / total:6.1%}")
    print(*wrong, sep="\n")
    times = sorted(microseconds())
    last = times[int(0.9 * len(times))]
    print(f"{len(times)} mails: median {statistics.median(times):.0f} µs, of ten nine {last:.0f} µs")
    print(f"together {sum(times) / 1000:.1f} ms")


if __name__ == "__main__":
    main()
