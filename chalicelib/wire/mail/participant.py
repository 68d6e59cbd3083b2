"""Participants: `{"name", "email"}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from chalicelib.domain.mail.message import Address
from chalicelib.errors import InvalidRequest


class ParticipantJSON(TypedDict):
    """One person."""

    name: str
    email: str


def dump_all(people: Iterable[Address]) -> list[ParticipantJSON]:
    """Return people as the API shows them."""
    return [{"name": person.name, "email": person.email} for person in people]


def load_all(body: Mapping[str, Any], key: str) -> tuple[Address, ...]:
    """Read a list of participants; absent or null means none. Raises InvalidRequest."""
    value = body.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidRequest(f"{key} must be an array of participants")
    return tuple(_load(item, key) for item in value)


def _load(item: Any, key: str) -> Address:
    if not isinstance(item, dict):
        raise InvalidRequest(f"{key} must hold objects with email and name")
    email, name = item.get("email"), item.get("name")
    if not isinstance(email, str) or not email.strip():
        raise InvalidRequest(f"Every participant of {key} needs an email")
    if name is not None and not isinstance(name, str):
        raise InvalidRequest(f"The name of a participant of {key} must be a string")
    return Address(name or "", email.strip())
