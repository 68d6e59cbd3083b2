"""JSON as the API writes it, and how an answer is kept as small as a Lambda function may answer.

Clients page by offset and take a short page for the last one. So a list always has as many objects as
were asked for, and the largest are shown without what makes them large; `incomplete` names what that was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from chalicelib import bounds
from chalicelib.errors import TooLarge
from chalicelib.json_text import octets

INCOMPLETE = "incomplete"
_MARK_BYTES = 40
_QUOTED = 2  # so many times its length JSON takes at most, quoted once more
_SEPARATORS = (b"\xe2\x80\xa8", b"\xe2\x80\xa9")  # U+2028, U+2029: Lambda's runtime escapes them
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_STAGES: Sequence[Sequence[str]] = (
    ("body",),
    ("headers", "to", "cc", "bcc", "reply_to", "from", "participants", "files", "cids"),
    ("message_ids", "messages", "folders"),
    ("attributes", "labels"),
)
"""What is left out, in this order; a delta without its object still moves a cursor.

Labels last of all: an SDK that adds one writes all of them back.
"""


def text(value: Any) -> str:
    """Return the JSON of a value; what is not Unicode, a lone surrogate, becomes a question mark."""
    return octets(value).decode()


def ascii_text(value: Any) -> str:
    """Return the same JSON in ASCII, for what some SDKs decode in pieces, which could split a character."""
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text(value))


def weight(value: Any) -> int:
    """Return the bytes that a value takes in the answer of a function: its JSON, quoted once more."""
    raw = octets(value)
    quoted = raw.count(b'"') + raw.count(b"\\")
    return len(raw) + quoted + 3 * sum(raw.count(one) for one in _SEPARATORS)


def ascii_weight(value: Any) -> int:
    """Return the bytes that a value takes in such an answer in ASCII."""
    written = ascii_text(value)
    return len(written) + written.count('"') + written.count("\\")


def fitted_text(value: Any) -> str:
    """Return an answer as JSON, with what makes it too large left out. Raises TooLarge."""
    written = octets(value)
    if len(written) * _QUOTED > bounds.RESPONSE_BYTES:
        written = octets(fitted(value))
    return written.decode()


def fitted(answer: Any, most: int = bounds.RESPONSE_BYTES) -> Any:
    """Leave out of an answer what makes it larger than so many bytes, the largest parts first; return it.

    An object that is the whole answer keeps the beginning of its body. Raises TooLarge if nothing helps.
    """
    surplus = weight(answer) - most
    if surplus > 0 and isinstance(answer, dict) and isinstance(answer.get("body"), str):
        surplus -= _cut_body(answer, surplus)
    for stage in _STAGES if surplus > 0 else ():
        surplus = _leave_out(answer, stage, surplus)
    if surplus > 0:
        raise TooLarge("The answer would be too large: ask for less at once, by a smaller limit.")
    return answer


def _cut_body(one: dict[str, Any], surplus: int) -> int:
    """Keep as much of a body as fits; return how many bytes that saves."""
    body, before = one["body"], weight(one["body"])
    if before <= surplus + _MARK_BYTES:
        return 0
    kept = body
    while kept and weight(kept) > before - surplus - _MARK_BYTES:
        kept = kept[: len(kept) * 3 // 4]
    one["body"] = kept
    _mark(one, "body")
    return before - weight(kept) - _MARK_BYTES


def _leave_out(answer: Any, names: Sequence[str], surplus: int) -> int:
    """Leave out parts of these names until there is no surplus; return what is left of it."""
    parts = [(weight(one[name]), one, name) for one in _objects(answer) for name in names if one.get(name)]
    for size, one, name in sorted(parts, key=lambda part: part[0], reverse=True):
        if surplus <= 0 or size <= _MARK_BYTES:
            break
        if isinstance(one[name], list):
            one[name] = []
        else:
            del one[name]
        _mark(one, name)
        surplus -= size - _MARK_BYTES
    return surplus


def _mark(one: dict[str, Any], name: str) -> None:
    one[INCOMPLETE] = sorted({*one.get(INCOMPLETE, ()), name})


def _objects(answer: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object of an answer, the outer ones first."""
    waiting = [answer]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
