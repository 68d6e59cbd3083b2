"""Which stream records a function wants: the event patterns of Lambda's FilterCriteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MISSING = object()


def wanted(record: Mapping[str, Any], patterns: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a record matches any of the patterns; no patterns match everything."""
    return not patterns or any(_object(record, pattern) for pattern in patterns)


def _object(value: Any, pattern: Mapping[str, Any]) -> bool:
    inside = value if isinstance(value, dict) else {}
    return all(_field(inside.get(key, _MISSING), rule) for key, rule in pattern.items())


def _field(value: Any, rule: Any) -> bool:
    if isinstance(rule, dict):
        return _object(value, rule)
    values = value if isinstance(value, list) else [value]
    return any(_matches(item, test) for item in values for test in rule)


def _matches(value: Any, test: Any) -> bool:
    if not isinstance(test, dict):
        return bool(value == test)
    ((operator, operand),) = test.items()
    if operator == "exists":
        return (value is not _MISSING) is bool(operand)
    if operator == "anything-but":
        return value is not _MISSING and not _field(value, _as_tests(operand))
    if not isinstance(value, str):
        return False
    if operator == "prefix":
        return value.startswith(operand)
    if operator == "suffix":
        return value.endswith(operand)
    if operator == "equals-ignore-case":
        return value.lower() == str(operand).lower()
    raise ValueError(f"The filter {operator} is not known to the local runtime.")


def _as_tests(operand: Any) -> list[Any]:
    return operand if isinstance(operand, list) else [operand]
