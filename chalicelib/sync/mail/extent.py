"""What a message's row keeps of long lists, so that it is never larger than the store takes.

People, files and references have a share each: a mail whose beginning came first loses the same as one that
came at once. What is left of a row holds the rest of a message, and its places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, takewhile
from typing import Any, TypeVar

from chalicelib import bounds
from chalicelib.domain.mail.message import Address, File, Message
from chalicelib.json_text import dumps

T = TypeVar("T")
_ESCAPED = 6
"""Octets that JSON takes for a character at most."""

_AROUND = 8
"""Octets around a text, and its share of those around its list, at most."""

_PEOPLE = ("sender", "to", "cc", "bcc", "reply_to")


def within_a_row(message: Message) -> Message:
    """Return a message with as much as its row has room for: the same one again if all of it fits."""
    if _surely_fits(message):
        return message
    people = _people({name: getattr(message, name) for name in _PEOPLE})
    files = _first(message.files, bounds.FILES_BYTES)
    return replace(message, **people, files=files, references=_references(message.references))


def _surely_fits(message: Message) -> bool:
    """Tell at once whether all fits, however JSON writes it; of files that is not known so soon."""
    people = [text for name in _PEOPLE for one in getattr(message, name) for text in (one.name, one.email)]
    return (
        not message.files
        and _at_most(people) <= bounds.PEOPLE_BYTES
        and _at_most(message.references) <= bounds.REFERENCES_BYTES
    )


def _at_most(texts: Sequence[str]) -> int:
    return sum(map(len, texts)) * _ESCAPED + len(texts) * _AROUND


def _people(groups: Mapping[str, tuple[Address, ...]]) -> dict[str, Any]:
    """Cut the longest lists at their ends; a short one stays whole beside them."""
    cut, left = {}, bounds.PEOPLE_BYTES
    lengths = {name: sum(map(_octets, people)) for name, people in groups.items()}
    for place, name in enumerate(sorted(groups, key=lambda name: lengths[name])):
        share = min(lengths[name], left // (len(groups) - place))
        cut[name] = _first(groups[name], share)
        left -= share
    return cut


def _references(ids: tuple[str, ...]) -> tuple[str, ...]:
    """Keep the first, which began the conversation, and the latest."""
    latest = _first(ids[:0:-1], bounds.REFERENCES_BYTES - sum(map(_octets, ids[:1])))
    return ids[:1] + latest[::-1]


def _first(items: tuple[T, ...], most: int) -> tuple[T, ...]:
    """Return as many as fit into so many octets."""
    fitting = takewhile(lambda octets: octets <= most, accumulate(map(_octets, items)))
    return items[: sum(1 for _ in fitting)]


def _octets(item: object) -> int:
    """Return about what an item takes in a row: it lies there as a list of its values, in JSON."""
    values: Any = item
    if isinstance(item, Address):
        values = [item.name, item.email]
    elif isinstance(item, File):
        values = [getattr(item, name) for name in File.__slots__]
    return len(dumps(values).encode("utf-8", "surrogatepass")) + 1
