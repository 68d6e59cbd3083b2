"""What a function of template.yaml may do to the table `core`, held against what code asks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from chalicelib.config import Settings
from chalicelib.store.aws.connection import client

Json = Mapping[str, Any]
_TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"
_CORE = {"Fn::GetAtt": ["CoreTable", "Arn"]}


def statements(role: str) -> list[Json]:
    """Return the statements of a role that are about `core`."""
    document = yaml.safe_load(_TEMPLATE.read_text("utf-8"))["Resources"][role]["Properties"]
    every = [item for policy in document["Policies"] for item in policy["PolicyDocument"]["Statement"]]
    return [one for one in every if _CORE in (one["Resource"], *_listed(one["Resource"]))]


@dataclass
class Recorder:
    """Requests to `core`, as they were made."""

    settings: Settings
    calls: list[tuple[str, Json]] = field(default_factory=list)

    def begin(self) -> None:
        """Listen from now on."""
        events = client(self.settings, "dynamodb").meta.events
        events.register("before-parameter-build.dynamodb", self._note)

    def _note(self, params: Json, model: Any, **_: Any) -> None:
        for operation, table, request in _parts(model.name, params):
            if table == f"{self.settings.table_prefix}-core":
                self.calls.append((operation, request))

    def refused(self, role: str) -> list[tuple[str, Json]]:
        """Return the requests that the role would not have been allowed."""
        allowed = statements(role)
        return [call for call in self.calls if not any(_allows(one, *call) for one in allowed)]


def _parts(operation: str, params: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield what a request asks of each table, by the action that IAM checks."""
    if operation == "BatchGetItem":
        for table, asked in params["RequestItems"].items():
            yield from ((operation, table, {"Key": key}) for key in asked["Keys"])
    elif operation == "BatchWriteItem":
        for table, writes in params["RequestItems"].items():
            yield from ((operation, table, next(iter(write.values()))) for write in writes)
    elif operation == "TransactWriteItems":
        for item in params["TransactItems"]:
            ((kind, request),) = item.items()
            action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
            yield action, request["TableName"], request
    else:
        yield operation, params["TableName"], params


def _allows(statement: Json, operation: str, request: Json) -> bool:
    if f"dynamodb:{operation}" not in _listed(statement["Action"]):
        return False
    condition = statement.get("Condition", {})
    patterns = condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", ["*"])
    attributes = condition.get("ForAllValues:StringEquals", {}).get("dynamodb:Attributes")
    return any(fnmatchcase(_pk(request), one) for one in patterns) and (
        attributes is None or _attributes(request) <= set(attributes)
    )


def _pk(request: Json) -> str:
    if "KeyConditionExpression" in request:
        words = request["KeyConditionExpression"].replace("(", " ").replace(")", " ").split()
        value = next(word for word in words if word.startswith(":"))
        return str(request["ExpressionAttributeValues"][value]["S"])
    return str((request.get("Key") or request["Item"])["pk"]["S"])


def _attributes(request: Json) -> set[str]:
    return {*request["Key"], *request.get("ExpressionAttributeNames", {}).values()}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
