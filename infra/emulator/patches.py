"""Two cures for the emulator: a Query that reads a page instead of a partition, and kept streams.

Patches are applied to one exact version only. The patched Query hands the emulator's own code fewer
candidates (those its sort, conditions and paging would choose from), so answers stay its own.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import textwrap
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

VERSION = "1.5.33"
KEEP_READ_SECONDS = 60
# The emulator ends a page at 1 MiB; up to three items at the edges may not match.
_PAGE_BYTES = 1_048_576 + 4 * 409_600
_EDGE_ITEMS = 4
_CANDIDATES = 'candidates = list(table["items"].get(pk_val, {}).values())'
_WINDOW = "candidates = _postern_window(table, pk_val, data)"
_MIRRORED = {"LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE", "EQ": "EQ"}

Item = dict[str, Any]
Token = tuple[str, str]


class Partition(dict[Any, Item]):
    """The items of one partition key, with their keys in sort order beside them."""

    def __init__(self, items: Mapping[Any, Item], value_of: Callable[[Item], Any]) -> None:
        super().__init__(items)
        self._value_of = value_of
        self.order = sorted((value_of(item), key) for key, item in items.items())

    def __setitem__(self, key: Any, item: Item) -> None:
        if key not in self:
            insort(self.order, (self._value_of(item), key))
        super().__setitem__(key, item)

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove an item and its place in the order."""
        if key in self:
            entry = (self._value_of(self[key]), key)
            del self.order[bisect_left(self.order, entry)]
        return super().pop(key, *default)

    def __reduce__(self) -> Any:  # copies and snapshots are plain dicts again
        return dict, (dict(self),)


def apply(dynamodb: ModuleType, streams: ModuleType) -> None:
    """Patch the emulator's modules, or raise RuntimeError if they are not the ones we know."""
    if importlib.metadata.version("ministack") != VERSION:
        raise RuntimeError(f"The emulator must be ministack {VERSION}.")
    _patch_query(dynamodb)
    _patch_reading(dynamodb, streams)
    _patch_state(dynamodb)


def _patch_query(dynamodb: ModuleType) -> None:
    source = textwrap.dedent(inspect.getsource(dynamodb._query))
    stores = [inspect.getsource(f) for f in (dynamodb._set_item, dynamodb._remove_item)]
    known = (
        source.count(_CANDIDATES) == 1
        and 'table["items"].setdefault(pk_val, {})[sk_val] = item' in stores[0]
        and "sk_map.pop(sk_val, None)" in stores[1]
    )
    if not known:
        raise RuntimeError("The emulator's Query is not the one we know how to speed up.")
    dynamodb.__dict__["_postern_window"] = functools.partial(window, dynamodb)
    code = compile(source.replace(_CANDIDATES, _WINDOW), "postern_query", "exec")
    exec(code, dynamodb.__dict__)  # noqa: S102 the emulator's own source with one line replaced
    syntax_error: Any = functools.lru_cache(1024)(dynamodb._condition_syntax_error)
    dynamodb.__dict__["_condition_syntax_error"] = syntax_error


def window(dynamodb: ModuleType, table: Any, partition_key: Any, data: Mapping[str, Any]) -> list[Item]:
    """Return the items a Query may have to look at, a superset of its page."""
    bucket = table["items"].get(partition_key)
    if not bucket:
        return []
    sort_name = table["sk_name"]
    clauses = _clauses(dynamodb, data.get("KeyConditionExpression") or "")
    condition = _sort_condition(clauses, data, sort_name) if sort_name and clauses else None
    if condition is None:
        return list(bucket.values())
    kind = dynamodb._get_attr_type(table, sort_name)
    if not isinstance(bucket, Partition):
        bucket = Partition(bucket, lambda item: dynamodb._sort_key_value(item.get(sort_name), kind))
        table["items"][partition_key] = bucket
    values = [dynamodb._sort_key_value(value, kind) for value in condition[1]]
    start, end = _bounds(bucket.order, condition[0], values)
    forward = data.get("ScanIndexForward", True)
    cursor = data.get("ExclusiveStartKey")
    if cursor:
        after = dynamodb._sort_key_value(cursor.get(sort_name), kind)
        if forward:
            start = max(start, bisect_left(bucket.order, after, key=_value))
        else:
            end = min(end, bisect_right(bucket.order, after, key=_value))
    places = range(start, end) if forward else range(end - 1, start - 1, -1)
    return _take(dynamodb, bucket, places, data.get("Limit"))


def _take(dynamodb: ModuleType, bucket: Partition, places: range, limit: int | None) -> list[Item]:
    items: list[Item] = []
    size = 0
    most = len(places) if limit is None else int(limit) + _EDGE_ITEMS
    for place in places[:most]:
        item = bucket[bucket.order[place][1]]
        items.append(item)
        size += dynamodb._item_size_bytes(item)
        if size > _PAGE_BYTES:
            break
    return items


def _value(entry: tuple[Any, Any]) -> Any:
    return entry[0]


def _bounds(order: list[tuple[Any, Any]], operator: str, values: list[Any]) -> tuple[int, int]:
    """Return the slice of `order` that holds every match; a bound's own item may be one too many."""
    start, end = 0, len(order)
    if operator in ("EQ", "GT", "GE", "BETWEEN", "PREFIX"):
        start = bisect_left(order, values[0], key=_value)
    if operator in ("EQ", "LT", "LE", "BETWEEN"):
        end = bisect_right(order, values[-1], key=_value)
    if operator == "PREFIX":
        length = len(values[0])
        end = bisect_right(order, values[0], key=lambda entry: entry[0][:length])
    return start, end


def _clauses(dynamodb: ModuleType, expression: str) -> list[list[Token]]:
    tokens = [token for token in dynamodb._tokenize(expression) if token[0] != "EOF"]
    while len(tokens) > 1 and tokens[0][0] == "LPAREN" and _closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    clauses = dynamodb._key_condition_clauses(tokens)
    return [[t for t in clause if t[0] not in ("LPAREN", "RPAREN", "COMMA")] for clause in clauses]


def _closing(tokens: list[Token]) -> int:
    depth = 0
    for place, (kind, _) in enumerate(tokens):
        depth += (kind == "LPAREN") - (kind == "RPAREN")
        if depth == 0:
            return place
    return -1


def _sort_condition(
    clauses: list[list[Token]], data: Mapping[str, Any], sort_name: str
) -> tuple[str, list[Any]] | None:
    """Return operator and operands of the sort key's clause; None for a form not known here."""
    names = data.get("ExpressionAttributeNames") or {}
    found: tuple[str, list[Any]] = ("ALL", [])
    for clause in clauses:
        read = _read_clause(clause)
        if read is None:
            return None
        reference, operator, operands = read
        if names.get(reference, reference) == sort_name:
            found = operator, [data["ExpressionAttributeValues"][name] for name in operands]
    return found


def _read_clause(clause: list[Token]) -> tuple[str, str, list[str]] | None:
    kinds = [kind for kind, _ in clause]
    texts = [text for _, text in clause]
    names = ("IDENT", "NAME_REF")
    if len(clause) == 3 and kinds[1] in _MIRRORED:
        if kinds[0] in names and kinds[2] == "VALUE_REF":
            return texts[0], kinds[1], [texts[2]]
        if kinds[2] in names and kinds[0] == "VALUE_REF":
            return texts[2], _MIRRORED[kinds[1]], [texts[0]]
    if len(clause) == 5 and texts[1].upper() == "BETWEEN" and kinds[2] == kinds[4] == "VALUE_REF":
        return texts[0], "BETWEEN", [texts[2], texts[4]]
    if len(clause) == 3 and texts[0].lower() == "begins_with" and kinds[2] == "VALUE_REF":
        return texts[1], "PREFIX", [texts[2]]
    return None


def _patch_reading(dynamodb: ModuleType, streams: ModuleType) -> None:
    """Drop records once their one reader has asked for what comes after them."""
    read = streams._get_records

    def get_records(data: Mapping[str, Any]) -> Any:
        iterator = streams._decode_iterator(data.get("ShardIterator") or "")
        if iterator:
            _trim_read(dynamodb, iterator["t"], int(iterator["p"]))
        return read(data)

    streams.__dict__["_get_records"] = get_records


def _trim_read(dynamodb: ModuleType, table: str, position: int) -> None:
    records = dynamodb._stream_records.get(table)
    if not records:
        return
    trimmed = dynamodb._stream_trimmed.get(table, 0)
    last_read = min(position - 1 - trimmed, len(records))
    cutoff = time.time() - KEEP_READ_SECONDS
    old = 0
    while old < last_read and records[old]["dynamodb"]["ApproximateCreationDateTime"] < cutoff:
        old += 1
    if old:
        del records[:old]
        dynamodb._stream_trimmed[table] = trimmed + old


def _patch_state(dynamodb: ModuleType) -> None:
    """Let stream records that nobody has read yet outlive a restart."""
    get_state, restore = dynamodb.get_state, dynamodb._restore_state
    kept = {"postern_stream_records": "_stream_records", "postern_stream_trimmed": "_stream_trimmed"}

    def get_with_streams() -> Any:
        return {**get_state(), **{name: getattr(dynamodb, store) for name, store in kept.items()}}

    def restore_with_streams(data: Any) -> None:
        restore(data)
        for name, store in kept.items():
            getattr(dynamodb, store).update((data or {}).get(name, {}))

    dynamodb.__dict__["get_state"] = get_with_streams
    dynamodb.__dict__["_restore_state"] = restore_with_streams
