"""Reads template.yaml: its resources, the events of its functions, and the values it refers to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FUNCTION = "AWS::Serverless::Function"
_RATE = re.compile(r"rate\(([0-9]+) (minute|hour|day)s?\)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


class Unresolved(Exception):
    """The template refers to something that has no value here."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags."""


def _tag(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _seconds(properties: Mapping[str, Any]) -> int:
    found = _RATE.fullmatch(properties.get("Schedule") or properties.get("ScheduleExpression") or "")
    return int(found[1]) * _UNITS[found[2]] if found else 60


_Loader.add_multi_constructor("!", _tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSource:
    """A function fed by a queue."""

    function: str
    queue: Any
    batch_size: int
    timeout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSource:
    """A function fed by a table's stream; `retries` -1 means for ever."""

    function: str
    stream: Any
    batch_size: int
    timeout: int
    filters: tuple[Mapping[str, Any], ...]
    bisect: bool
    retries: int
    on_failure: Any
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A function called by the clock, so many seconds apart."""

    function: str
    timeout: int
    seconds: int = 60


@dataclass
class Template:
    """A template with the values of what has been created: `values[logical id]["Ref"|attribute]`."""

    document: Mapping[str, Any]
    stack: str
    account: str = "000000000000"
    region: str = "us-east-1"
    values: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, stack: str, region: str) -> Template:
        """Load a file."""
        with path.open() as file:
            return cls(yaml.load(file, _Loader), stack, region=region)  # noqa: S506 a SafeLoader

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of every resource of a type by logical id."""
        resources = self.document["Resources"]
        return {
            name: item.get("Properties") or {} for name, item in resources.items() if item["Type"] == kind
        }

    def resolve(self, node: Any) -> Any:
        """Return a node with every reference replaced. Raises Unresolved."""
        if isinstance(node, list):
            return [self.resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (key, value), *_ = node.items()
            if key in self._functions:
                return self._functions[key](value)
        return {key: self.resolve(value) for key, value in node.items()}

    @property
    def _functions(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Ref": self._ref,
            "Fn::GetAtt": lambda value: self._attribute(*value),
            "Fn::Sub": self._sub,
            "Fn::Join": lambda value: value[0].join(map(str, self.resolve(value[1]))),
        }

    def _ref(self, name: str) -> Any:
        pseudo: dict[str, Any] = {"AWS::StackName": self.stack, "AWS::Region": self.region}
        pseudo |= {"AWS::AccountId": self.account}
        pseudo |= {"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com", "AWS::NoValue": None}
        if name in pseudo:
            return pseudo[name]
        parameters = self.document.get("Parameters") or {}
        if "Default" in parameters.get(name, {}):
            return parameters[name]["Default"]
        return self._attribute(name, "Ref")

    def _attribute(self, name: str, attribute: str) -> str:
        try:
            return self.values[name][attribute]
        except KeyError:
            raise Unresolved(f"{name}.{attribute}") from None

    def _sub(self, value: Any) -> str:
        text, own = (value, {}) if isinstance(value, str) else value

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name in own:
                return str(self.resolve(own[name]))
            if "." in name:
                return self._attribute(*name.split(".", 1))
            return str(self._ref(name))

        return _VARIABLE.sub(replace, text)

    def environment(self) -> dict[str, str]:
        """Return what the template's functions find in their environment, as far as it has values."""
        shared = (self.document.get("Globals") or {}).get("Function") or {}
        found: dict[str, str] = {}
        for properties in (shared, *self.of_type(FUNCTION).values()):
            for name, node in ((properties.get("Environment") or {}).get("Variables") or {}).items():
                try:
                    found[name] = str(self.resolve(node))
                except Unresolved:
                    continue
        return found

    def queue_sources(self) -> list[QueueSource]:
        """Return every function with its queue."""
        return [
            QueueSource(
                function=function,
                queue=self.resolve(properties["Queue"]),
                batch_size=int(properties.get("BatchSize", 10)),
                timeout=timeout,
            )
            for function, timeout, properties in self._events("SQS")
        ]

    def stream_sources(self) -> list[StreamSource]:
        """Return every function with its stream."""
        return [
            self._stream_source(function, timeout, properties)
            for function, timeout, properties in self._events("DynamoDB")
        ]

    def schedules(self) -> list[Schedule]:
        """Return every function that the clock calls."""
        return [
            Schedule(function=function, timeout=timeout, seconds=_seconds(properties))
            for kind in ("Schedule", "ScheduleV2")
            for function, timeout, properties in self._events(kind)
        ]

    def _stream_source(self, function: str, timeout: int, properties: Mapping[str, Any]) -> StreamSource:
        failure = ((properties.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        filters = (properties.get("FilterCriteria") or {}).get("Filters") or []
        return StreamSource(
            function=function,
            stream=self.resolve(properties["Stream"]),
            batch_size=int(properties.get("BatchSize", 100)),
            timeout=timeout,
            filters=tuple(json.loads(self.resolve(item["Pattern"])) for item in filters),
            bisect=bool(properties.get("BisectBatchOnFunctionError")),
            retries=int(properties.get("MaximumRetryAttempts", -1)),
            on_failure=self.resolve(failure) if failure else None,
            workers=int(properties.get("ParallelizationFactor", 1)),
        )

    def _events(self, kind: str) -> list[tuple[str, int, dict[str, Any]]]:
        shared = (self.document.get("Globals") or {}).get("Function") or {}
        return [
            (
                properties["Handler"].rpartition(".")[2],
                int(properties.get("Timeout", shared.get("Timeout", 3))),
                event.get("Properties") or {},
            )
            for properties in self.of_type(FUNCTION).values()
            for event in (properties.get("Events") or {}).values()
            if event["Type"] == kind
        ]
