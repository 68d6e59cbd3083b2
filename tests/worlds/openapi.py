"""docs/openapi.yaml, and what an answer has that it does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

PAGE_FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
FILE: dict[str, Any] = yaml.safe_load(PAGE_FILE.read_text(encoding="utf-8"))


def looked_up(reference: str) -> Any:
    found: Any = FILE
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def plain(node: Any) -> Any:
    """Return a schema without references and allOf; its objects admit no property it does not name."""
    if isinstance(node, list):
        return [plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return plain({**looked_up(node["$ref"]), **{k: v for k, v in node.items() if k != "$ref"}})
    if "allOf" in node:
        return _joined([plain(part) for part in node["allOf"]])
    schema = {name: plain(value) for name, value in node.items()}
    return schema | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else schema


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    properties = {name: value for part in parts for name, value in part["properties"].items()}
    required = [name for part in parts for name in part["required"]]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def mistakes(schema: Mapping[str, Any], value: Any) -> list[str]:
    return [f"{list(error.path)} {error.message}"[:600] for error in _validator(schema).iter_errors(value)]


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(plain(schema))


def answer_schema(path: str, method: str, status: int) -> Mapping[str, Any]:
    answer = FILE["paths"][path][method.lower()]["responses"][str(status)]
    answer = looked_up(answer["$ref"]) if "$ref" in answer else answer
    schema: Mapping[str, Any] = answer["content"]["application/json"]["schema"]
    return schema
