"""JSON for the emulator's DynamoDB: orjson where Python's own module took a fifth of its time."""

from __future__ import annotations

import json
from types import ModuleType, SimpleNamespace
from typing import Any

import orjson

_ALWAYS = orjson.OPT_NON_STR_KEYS


def install(*modules: ModuleType) -> None:
    """Let modules use it in place of `json`; answers differ in blanks only."""
    faster = SimpleNamespace(loads=orjson.loads, dumps=dumps, JSONDecodeError=json.JSONDecodeError)
    for module in modules:
        module.__dict__["json"] = faster


def dumps(value: Any, **options: Any) -> str:
    """Return a value as JSON without blanks; of the options of `json.dumps` two matter."""
    order = orjson.OPT_SORT_KEYS if options.get("sort_keys") else 0
    try:
        return str(orjson.dumps(value, options.get("default"), _ALWAYS | order), "utf-8")
    except TypeError:  # half a surrogate pair, which orjson does not write
        return json.dumps(value, **options)
