"""JSON in rows and answers: without blanks, read and written by orjson."""

from __future__ import annotations

import json
from typing import Any

import orjson

loads = orjson.loads


def dumps(value: Any) -> str:
    """Return a value as JSON; also what orjson refuses, such as half a surrogate pair."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def octets(value: Any) -> bytes:
    """Return the same in UTF-8; what is not Unicode, a lone surrogate, becomes a question mark."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return dumps(value).encode("utf-8", "replace")
