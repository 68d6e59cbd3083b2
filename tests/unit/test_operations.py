"""docs/operations.md names every function with its timeout, every queue, table and alarm of the stack."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.local.template import Template

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TEMPLATE = Template.read(ROOT / "template.yaml", "postern", "us-east-1")


def test_every_function_stands_there_with_its_timeout() -> None:
    rows = re.findall(r"^\| (`.*?) \| .* \| (\d+) \| .* \|$", PAGE, re.M)
    listed = {name: int(seconds) for names, seconds in rows for name in re.findall(r"`(\w+)`", names)}
    functions = TEMPLATE.of_type("AWS::Serverless::Function")
    assert listed == {name: properties["Timeout"] for name, properties in functions.items()}


@pytest.mark.parametrize(
    ("kind", "name"), [("AWS::SQS::Queue", "QueueName"), ("AWS::DynamoDB::Table", "TableName")]
)
def test_every_queue_and_table_stands_there(kind: str, name: str) -> None:
    found: dict[str, Any] = TEMPLATE.of_type(kind)
    names = [
        properties[name]["Fn::Sub"].replace("${AWS::StackName}", "postern") for properties in found.values()
    ]
    assert len(names) > 3
    assert [name for name in names if f"`{name}`" not in PAGE and f"`{name[8:]}`" not in PAGE] == []


def test_every_alarm_stands_there() -> None:
    patterns = [r"\w+Errors", r"\w+Alarm"]  # one per function, one per failure queue
    alarms = TEMPLATE.of_type("AWS::CloudWatch::Alarm")
    single = [n for n in alarms if n == "ApiErrors" or not any(re.fullmatch(p, n) for p in patterns)]
    assert len(single) > 3
    assert [name for name in single if f"`{name}`" not in PAGE] == []
    assert "`<Function>Errors`" in PAGE and "`<Queue>Alarm`" in PAGE
