"""Short ways through the emulator's checks of attribute values, which took half of a write's time.

Only strings, integers, binary values and booleans are looked at here; with anything else, or anything wrong,
the emulator's own functions are asked. The answers are the same.
"""

from __future__ import annotations

import functools
import random
from binascii import Error, a2b_base64
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

_ITEM_BYTES = 409_600
_KEY_CHARACTERS = 256  # of at most four bytes: within the limit of both keys
_DIGITS = 37
_ODD = -1

Answer = Any

measured: dict[int, tuple[Any, int]] = {}
"""Items of the write under way by identity, with their sizes: each is asked for four times."""


def apply(dynamodb: ModuleType) -> None:
    """Put the short ways into the emulator's module."""
    for name, quick in QUICK.items():
        dynamodb.__dict__[name] = functools.partial(quick, getattr(dynamodb, name))
    for name in _WRITES:
        dynamodb.__dict__[name] = functools.partial(_measuring, getattr(dynamodb, name))
    tokenize: Any = functools.lru_cache(1024)(dynamodb._tokenize)
    dynamodb.__dict__["_tokenize"] = tokenize
    dynamodb.__dict__["new_uuid"] = _identifier


def _measuring(write: Callable[[Any], Answer], data: Any) -> Answer:
    try:
        return write(data)
    finally:
        forget()


def forget() -> None:
    """Forget the items of a write that is over."""
    measured.clear()


def _identifier() -> str:
    """Name a stream record; the system is not asked for randomness."""
    return f"{random.getrandbits(128):032x}"


def item_size(usual: Callable[[Any], int], item: Any) -> int:
    """Return the bytes of an item as DynamoDB counts them."""
    known = measured.get(id(item))
    size = known[1] if known else plain_item_size(item)
    return usual(item) if size == _ODD else size


def validate_item(
    usual: Callable[..., Answer],
    item: Any,
    pk_name: str | None = None,
    sk_name: str | None = None,
    *more: Any,
    **options: Any,
) -> Answer:
    """Return why an item is refused, or None."""
    if id(item) in measured:
        return None
    size = plain_item_size(item)
    fine = 0 <= size <= _ITEM_BYTES
    if fine and all(name not in item or _is_plain_key(item[name]) for name in (pk_name, sk_name) if name):
        measured[id(item)] = item, size
        return None
    return usual(item, pk_name, sk_name, *more, **options)


def values_error(usual: Callable[..., Answer], values: Iterable[Any], envelope: bool) -> Answer:
    """Return what is wrong with values, or None."""
    odd = [value for value in values if plain_size(value) == _ODD]
    return usual(odd, envelope) if odd else None


def resolve_keys(
    usual: Callable[..., Answer], table: Mapping[str, Any], item: Any, allow_extra: bool
) -> Answer:
    """Return partition key, sort key and None, or two empty strings and what is wrong with them."""
    names = table["pk_name"], table["sk_name"]
    if isinstance(item, dict) and None not in names and (allow_extra or len(item) == 2):
        keys = [item.get(name) for name in names]
        if all(map(_is_plain_key, keys)) and _are_strings(table, names):
            return *(key["S"] for key in keys if key), None
    return usual(table, item, allow_extra)


def plain_item_size(item: Any) -> int:
    """Return the bytes of an item of plain values only, or -1."""
    if not isinstance(item, dict):
        return _ODD
    total = 0
    for name, value in item.items():
        size = plain_size(value)
        if size == _ODD:
            return _ODD
        total += size + (len(name) if name.isascii() else len(name.encode()))
    return total


def plain_size(value: Any) -> int:
    """Return the bytes of a plain value, or -1."""
    if not isinstance(value, dict) or len(value) != 1:
        return _ODD
    ((kind, content),) = value.items()
    if kind == "BOOL":
        return 1 if isinstance(content, bool) else _ODD
    if not isinstance(content, str):
        return _ODD
    if kind == "S":
        return len(content) if content.isascii() else len(content.encode())
    if kind == "N":
        return _integer_size(content)
    return _binary_size(content) if kind == "B" else _ODD


def _integer_size(text: str) -> int:
    """Return the bytes of an integer: one, and one for two digits up to the last that is not zero."""
    if text == "0":
        return 1
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS or text[0] == "0":
        return _ODD
    significant = len(text.rstrip("0"))
    digits = significant + (len(text) - significant) % 2
    return 1 + (digits + 1) // 2


def _binary_size(text: str) -> int:
    try:
        return len(a2b_base64(text))
    except (Error, ValueError):
        return _ODD


def _is_plain_key(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    text = value.get("S")
    return isinstance(text, str) and 0 < len(text) <= _KEY_CHARACTERS


def _are_strings(table: Mapping[str, Any], names: tuple[str, str]) -> bool:
    types = {one["AttributeName"]: one["AttributeType"] for one in table.get("AttributeDefinitions", ())}
    return all(types.get(name, "S") == "S" for name in names)


_WRITES = ("_batch_write_item", "_put_item", "_transact_write_items", "_update_item")
QUICK: Mapping[str, Callable[..., Any]] = {
    "_item_size_bytes": item_size,
    "_validate_item": validate_item,
    "_values_error_response": values_error,
    "_resolve_table_key_values": resolve_keys,
}
