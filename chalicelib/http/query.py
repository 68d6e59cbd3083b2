"""Reading of query parameters, with errors a client can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from chalice.app import Request

from chalicelib import bounds
from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.ids import is_id

T = TypeVar("T")
DEFAULT_LIMIT = 100
PAGE = frozenset({"limit", "offset", "view"})
_ALIASES = {
    "folder_id": "in",
    "label_id": "in",
    "includeTypes": "include_types",
    "excludeTypes": "exclude_types",
}
_REPEATABLE = frozenset({"metadata_pair", "metadata_key", "metadata_value"})
_SPAN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_ADDRESS = re.compile(r"[^\s@,]+@[^\s@,]+")


class Query:
    """The query of one request; names outside `allowed` are refused."""

    def __init__(self, request: Request, allowed: frozenset[str] = frozenset()) -> None:
        self._values: dict[str, str] = {}
        for sent in request.query_params or ():
            name = _ALIASES.get(sent, sent)
            values = request.query_params.getlist(sent)
            if name not in allowed | PAGE:
                raise InvalidRequest(f"Unexpected query parameter: {sent[:100]}")
            if name in self._values or (len(values) > 1 and name not in _REPEATABLE):
                raise InvalidRequest(f"{name} may be given only once")
            self._values[name] = values[0]
        self._limit = self._count("limit", DEFAULT_LIMIT, bounds.LIST_ITEMS)
        self._offset = self._count("offset", 0, bounds.OFFSET_ITEMS)

    def has(self, name: str) -> bool:
        """Tell whether a parameter was sent."""
        return name in self._values

    def raw(self, name: str) -> str | None:
        """Return a parameter of any length, None if absent."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """Return a parameter of up to 255 characters."""
        value = self._values.get(name)
        if value is not None and len(value) > bounds.PARAMETER_CHARACTERS:
            raise InvalidRequest(f"{name} may have at most {bounds.PARAMETER_CHARACTERS} characters")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        value = self._values.get(name)
        if value is None:
            return None
        if value.lower() not in ("true", "false"):
            raise InvalidRequest(f"{name} must be true or false")
        return value.lower() == "true"

    def moment(self, name: str) -> int | None:
        """Return Unix seconds, sent as such or as ISO 8601."""
        value = self._values.get(name)
        return None if value is None else _moment(name, value)

    def emails(self, name: str) -> list[str]:
        """Return a comma list of at most 25 addresses."""
        value = self._values.get(name)
        if value is None:
            return []
        found = [email.strip() for email in value.split(",")]
        if len(found) > bounds.ADDRESSES_IN_A_PARAMETER:
            raise InvalidRequest(f"{name} may hold at most {bounds.ADDRESSES_IN_A_PARAMETER} addresses")
        for email in found:
            if not _ADDRESS.fullmatch(email) or len(email) > bounds.PARAMETER_CHARACTERS:
                raise InvalidRequest(f"{name} holds something that is not an address: {email[:100]}")
        return found

    def names(self, *parameters: str) -> set[str]:
        """Return the union of comma lists."""
        lists = [self._values.get(name, "") for name in parameters]
        return {name.strip() for value in lists for name in value.split(",") if name.strip()}

    def limit(self) -> int:
        """Return how many items are wanted."""
        return self._limit

    def offset(self) -> int:
        """Return how many items are to be skipped."""
        return self._offset

    def seconds(self, name: str, default: float, most: float) -> float:
        """Return a time span, fractions allowed; more than `most` is `most`."""
        value = self._values.get(name)
        if value is None:
            return min(default, most)
        if not _SPAN.fullmatch(value):
            raise InvalidRequest(f"{name} must be a number of seconds, zero or more")
        return min(float(value), most)

    def view(self, *allowed: str) -> str | None:
        """Return the view asked for. Raises InvalidRequest if it is none of `allowed`."""
        value = self._values.get("view")
        if not value:
            return None
        if value not in allowed:
            raise InvalidRequest(f"Unknown view type {value[:100]}")
        return value

    def page(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the page that was asked for, drawing no more items than that."""
        return islice(items, self.offset(), self.offset() + self.limit())

    def _count(self, name: str, default: int, most: int) -> int:
        value = self._values.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit()):
            raise InvalidRequest(f"{name} must be a whole number, zero or more")
        digits = value.lstrip("0") or "0"
        if len(digits) > len(str(most)) or int(digits) > most:
            raise InvalidRequest(f"{name} may be at most {most}")
        return int(digits)


def object_id(value: str) -> str:
    """Return a well-formed id. Raises InvalidRequest."""
    if not is_id(value):
        raise InvalidRequest(f"Invalid id: {value[:100]}")
    return value


def existing(found: T | None, value: str) -> T:
    """Return what was found. Raises NotFound."""
    if found is None:
        raise NotFound(f"Couldn't find an object with id {value[:100]}")
    return found


def _moment(name: str, value: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,11}(\.[0-9]+)?", value):
        return int(float(value))
    try:
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"{name} must be Unix seconds or an ISO 8601 time") from error
