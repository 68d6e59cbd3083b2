"""Typed reading of JSON request bodies, with errors a client can act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.errors import InvalidRequest

Body = Mapping[str, Any]


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request; an absent body is an empty object."""
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The request body is not valid JSON.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    return value


def stated(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request that must say something. Raises InvalidRequest."""
    body = parse(raw)
    if not body:
        raise InvalidRequest("The request body is empty.")
    return body


def text(body: Body, key: str, longest: int | None = None) -> str | None:
    """Return a string of at most so many characters, None if absent or null."""
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{key} must be a string")
    if value is not None and longest is not None and len(value) > longest:
        raise InvalidRequest(f"{key} may have at most {longest} characters")
    return _encodable(value) if value is not None else None


def required(body: Body, key: str, longest: int | None = None) -> str:
    """Return a non-empty string of at most so many characters."""
    value = text(body, key, longest)
    if not value:
        raise InvalidRequest(f"{key} is required")
    return value


def flag(body: Body, key: str) -> bool | None:
    """Return a boolean, None if absent."""
    value = body.get(key)
    if key in body and not isinstance(value, bool):
        raise InvalidRequest(f"{key} must be true or false")
    return value


def texts(body: Body, key: str, most: int | None = None, longest: int | None = None) -> list[str] | None:
    """Return an array of at most so many strings of so many characters, None if absent or null."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidRequest(f"{key} must be an array of strings")
    if most is not None and len(value) > most:
        raise InvalidRequest(f"{key} may hold at most {most} strings")
    if longest is not None and any(len(item) > longest for item in value):
        raise InvalidRequest(f"{key} may hold strings of at most {longest} characters")
    return [_encodable(item) for item in value]


def _encodable(value: str) -> str:
    """A lone surrogate passes JSON but no encoder further on."""
    return value.encode("utf-8", "replace").decode()


def past_second(body: Body, key: str, now: float) -> int:
    """Return Unix seconds of a second that is over."""
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidRequest(f"{key} must be a whole number of Unix seconds")
    if value >= int(now):
        raise InvalidRequest(f"{key} must lie in the past and count seconds, not milliseconds")
    return value
