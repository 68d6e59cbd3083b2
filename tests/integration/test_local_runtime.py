"""The local runtime: its gateway, its stream semantics, its emulator patches and the whole of it."""

from __future__ import annotations

import json
import os
import random
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.emulator import filters
from infra.functions import invocation
from infra.functions.streams import StreamPoller
from infra.gateway import gateway
from infra.local import emulator
from infra.local.runtime import LocalRuntime
from infra.local.template import StreamSource
from infra.machine.state import ROOT

needs_emulator = pytest.mark.skipif(
    not emulator.python().exists() and os.environ.get("CI") != "true",
    reason="the emulator's environment is not there: run infra/local/bootstrap.py",
)
ROUTES = {"/messages": {"GET": 1, "POST": 1}, "/messages/{id}": {"GET": 1}, "/messages/search": {"GET": 1}}


def test_a_literal_segment_beats_a_variable_one() -> None:
    found = {path: gateway.match(ROUTES, path) for path in ("/messages/search", "/messages/a%2Fb/", "/m")}
    search, one = found["/messages/search"], found["/messages/a%2Fb/"]
    assert search and search.resource == "/messages/search"
    assert one and (one.resource, one.parameters) == ("/messages/{id}", {"id": "a/b"})
    assert found["/m"] is None


def test_the_last_of_repeated_values_wins_and_all_are_kept() -> None:
    route = gateway.match(ROUTES, "/messages/")
    assert route
    request = gateway.Request(
        method="HEAD", path="/messages/", query="in=a&in=b&q=", headers=[("x", "1"), ("x", "2")], body=b"\xff"
    )
    event = gateway.event(request, route, ["message/rfc822"])
    assert event["queryStringParameters"] == {"in": "b", "q": ""}
    assert event["multiValueQueryStringParameters"]["in"] == ["a", "b"]
    assert event["multiValueHeaders"]["x"] == ["1", "2"]
    assert (event["httpMethod"], event["body"], event["isBase64Encoded"]) == ("GET", "/w==", True)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "D#"}]}}}}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"dynamodb": {"NewImage": {"kind": {"S": [{"exists": False}]}}}}, True),
        ({"dynamodb": {"Keys": {"sk": {"S": [{"anything-but": {"prefix": "D#"}}]}}}}, False),
    ],
)
def test_event_patterns_choose_records(pattern: Mapping[str, Any], expected: bool) -> None:
    record = {"eventName": "INSERT", "dynamodb": {"Keys": {"sk": {"S": "D#1"}}}}
    assert filters.wanted(record, [pattern]) is expected


class _Sent:
    """An SQS client that remembers."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def get_queue_url(self, QueueName: str) -> dict[str, str]:
        return {"QueueUrl": QueueName}

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:
        self.bodies.append(json.loads(MessageBody))


def test_a_poison_record_is_isolated_and_the_others_arrive_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr("infra.functions.streams.RETRY_SECONDS", 0.0)
    source = StreamSource(
        function="f",
        stream="arn:s",
        batch_size=10,
        timeout=3,
        filters=(),
        bisect=True,
        retries=2,
        on_failure="a:q",
    )
    poller = StreamPoller(source, tmp_path / "f.json", threading.Event())
    sent = _Sent()
    monkeypatch.setattr(poller, "_sqs", sent)
    seen: list[int] = []

    def handler(function: str, event: Mapping[str, Any], timeout: float) -> Any:
        for record in event["Records"]:
            number = int(record["dynamodb"]["SequenceNumber"])
            if number == 5:
                return {"batchItemFailures": [{"itemIdentifier": "5"}]}
            seen.append(number)
        return None

    monkeypatch.setattr(invocation, "invoke", handler)
    poller._deal("shard", [{"dynamodb": {"SequenceNumber": str(number)}} for number in range(1, 10)])
    poller.lanes("shard").drain()
    assert seen == [1, 2, 3, 4, 6, 7, 8, 9]
    assert [body["DDBStreamBatchInfo"]["startSequenceNumber"] for body in sent.bodies] == ["5"]
    assert json.loads((tmp_path / "f.json").read_text())["shards"] == {"shard": "9"}
    poller._deal("shard", [{"dynamodb": {"SequenceNumber": "8"}}])
    poller._deal("shard", [], "12")  # nothing there was wanted
    poller._deal("shard", [{"dynamodb": {"SequenceNumber": "13"}}], "14")
    poller._deal("shard", [])
    poller.lanes("shard").drain()
    assert seen[8:] == [13]
    assert json.loads((tmp_path / "f.json").read_text())["shards"] == {"shard": "14"}


@needs_emulator
@pytest.mark.parametrize("seed", [1, 2])
def test_the_patched_query_answers_what_the_emulator_would(seed: int) -> None:
    command = [str(emulator.python()), "-m", "tests.integration.emulator_comparison", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


@needs_emulator
@pytest.mark.parametrize("scenes", ["emulator_billing", "emulator_reading", "emulator_values_comparison 1"])
def test_what_is_changed_in_the_emulator_works_in_its_own_environment(scenes: str) -> None:
    module, *seed = scenes.split()
    command = [str(emulator.python()), "-m", f"tests.integration.{module}", *seed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    runtime = LocalRuntime(tmp_path_factory.mktemp("postern"), POSTERN_WATCH="0")
    yield runtime
    runtime.stop()


def _status(url: str, method: str = "GET", ca: str | None = None) -> int:
    context = ssl.create_default_context(cafile=ca) if ca else None
    request = urllib.request.Request(url, method=method)
    try:
        return int(urllib.request.urlopen(request, timeout=10, context=context).status)
    except urllib.error.HTTPError as error:
        assert method == "HEAD" or json.load(error)["type"] == "invalid_request_error"
        return error.code


def _table(info: Mapping[str, Any]) -> Any:
    session = boto3.Session(info["aws_access_key_id"], "local", region_name="us-east-1")
    resource = session.resource("dynamodb", endpoint_url=info["aws_endpoint_url"])
    return resource.Table("postern-local-work")


def _eventually(claim: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.2)


@needs_emulator
def test_it_serves_restarts_what_dies_and_keeps_its_data(runtime: LocalRuntime) -> None:
    info = runtime.start()
    assert runtime.home.info.stat().st_mode & 0o777 == 0o600
    assert _status(info["api_url"] + "/no-such-path") == 404
    assert _status(info["https_url"] + "/no-such-path", ca=info["ca_file"]) == 404
    assert _status(info["api_url"] + "/messages/", "PROPFIND") == 405
    assert _status(info["api_url"] + "/messages/", "BREW") == 400
    assert _status(info["api_url"] + "/messages", "HEAD") == 401
    _table(info).put_item(Item={"pk": "test", "sk": "kept"})

    old = runtime.pid("front")
    runtime.kill("front")
    _eventually(lambda: runtime.pid("front") != old)
    emulator.wait("127.0.0.1", int(info["api_url"].rpartition(":")[2]))
    assert _status(info["api_url"] + "/no-such-path") == 404

    runtime.stop()
    assert not runtime.home.info.exists()
    again = runtime.start()
    assert again["client_secret"] == info["client_secret"]
    assert _table(again).get_item(Key={"pk": "test", "sk": "kept"})["Item"]


@needs_emulator
def test_a_crash_of_the_emulator_costs_seconds_not_the_data(runtime: LocalRuntime) -> None:
    runtime.stop()
    info = runtime.start()
    table, number = _table(info), str(random.random())
    table.put_item(Item={"pk": "test", "sk": number})
    old = runtime.pid("emulator")
    runtime.kill("emulator")
    _eventually(lambda: runtime.pid("emulator") != old, 40)
    _eventually(runtime.home.info.exists, 40)
    assert json.loads(runtime.home.info.read_text())["aws_endpoint_url"] == info["aws_endpoint_url"]
    assert table.get_item(Key={"pk": "test", "sk": number})["Item"]


@needs_emulator
def test_nobody_else_may_ask_the_emulator(runtime: LocalRuntime) -> None:
    runtime.stop()
    info = runtime.start()
    url, key = info["aws_endpoint_url"], info["aws_access_key_id"]
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/s3/aws4_request, x"}
    bucket = f"{url}/"

    def status(headers: Mapping[str, str], method: str = "GET") -> tuple[int, set[str]]:
        request = urllib.request.Request(bucket, method=method, headers=dict(headers))
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        return int(answer.status), {name.lower() for name in answer.headers}

    assert status(signed)[0] == 200
    assert not [name for name in status(signed)[1] if name.startswith("access-control")]
    wrong = {"Authorization": signed["Authorization"].replace(key, "local")}
    preflight = {"Origin": "null", "Access-Control-Request-Method": "GET"}
    for headers in (
        {},
        wrong,
        {**signed, "Origin": "https://evil.example"},
        {**signed, "Host": "evil.example"},
    ):
        assert status(headers)[0] == 403, headers
    assert status(preflight, "OPTIONS") == (403, {"connection", "content-length"})
    assert runtime.home.path.stat().st_mode & 0o077 == 0
    for place in runtime.home.path.iterdir():
        assert place.stat().st_mode & 0o077 == 0, place
    shown = subprocess.run(["ps", "-eww", "-o", "command"], capture_output=True, text=True).stdout
    assert not [secret for secret in (key, info["client_secret"]) if secret in shown]


def test_one_sentence_says_why_it_cannot_start(tmp_path: Path) -> None:
    environment = {**os.environ, "POSTERN_HOME": str(tmp_path), "POSTERN_EMULATOR_PYTHON": "/nowhere"}
    environment.pop("AWS_ENDPOINT_URL", None)
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.run"], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "Postern cannot start: POSTERN_EMULATOR_PYTHON must name a file"
    )
    assert "Traceback" not in done.stderr
