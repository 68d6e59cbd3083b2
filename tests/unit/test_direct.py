"""DynamoDB's data operations over a plain connection, against a scripted server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ConnectionError as Unreachable

from chalicelib.store.aws import fast_calls

Answer = tuple[int, Any]
BUSY: Answer = (400, {"__type": "com.amazon.coral.availability#ThrottlingException", "message": "slow down"})


class Server:
    """Gives the scripted answers in turn; None closes the connection without one."""

    def __init__(self) -> None:
        self.script: list[Answer | None] = []
        self.asked: list[tuple[dict[str, str], Any]] = []
        self.connections = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.asked.append((dict(self.headers), json.loads(body)))
                answer = server.script.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                data = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def client(server: Server) -> Any:
    return made(f"http://127.0.0.1:{server.http.server_port}")


def made(url: str, *, binary: bool = True) -> Any:
    config = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 3})
    session = boto3.Session("AKID", "secret", "token", region_name="eu-west-1")
    client = session.client("dynamodb", endpoint_url=url, config=config)
    fast_calls.install(client, binary=binary)
    return client


def test_a_row_comes_and_goes_with_its_bytes(client: Any, server: Server) -> None:
    row = {"pk": {"S": "a"}, "b": {"B": b"\x00\xff"}, "B": {"S": 'says "B":"x"'}, "l": {"L": [{"B": b"y"}]}}
    server.script = [(200, {}), (200, b"")]
    client.put_item(TableName="t", Item=row)
    headers, asked = server.asked[0]
    assert headers["X-Amz-Target"] == "DynamoDB_20120810.PutItem"
    assert asked["Item"]["b"] == {"B": "AP8="}
    server.script = [(200, {"Item": asked["Item"]})]
    assert client.get_item(TableName="t", Key={"pk": {"S": "a"}})["Item"] == row


def test_bytes_may_stay_as_they_travel(client: Any, server: Server) -> None:
    usual = made(client.meta.endpoint_url, binary=False)
    server.script = [(200, {"Item": {"b": {"B": "AP8="}}})]
    assert usual.get_item(TableName="t", Key={"pk": {"S": "a"}})["Item"] == {"b": {"B": "AP8="}}


def test_the_signature_is_that_of_botocore() -> None:
    credentials = Credentials("AKID", "secret", "token")
    frozen = credentials.get_frozen_credentials()
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "Host": "dynamodb.eu-west-1.amazonaws.com",
        "X-Amz-Target": "DynamoDB_20120810.Query",
        "X-Amz-Security-Token": "token",
    }
    url = "https://dynamodb.eu-west-1.amazonaws.com/"
    reference = AWSRequest("POST", url, headers=headers, data=b'{"a":"\xc3\xa4"}')
    SigV4Auth(credentials, "dynamodb", "eu-west-1").add_auth(reference)
    date = time.strptime(reference.context["timestamp"], "%Y%m%dT%H%M%SZ")
    ours = fast_calls.signed(headers, b'{"a":"\xc3\xa4"}', frozen, "eu-west-1", date)
    assert ours["Authorization"] == reference.headers["Authorization"]


def test_errors_are_the_clients_own(client: Any, server: Server) -> None:
    server.script = [
        (
            400,
            {
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled",
                "CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}],
            },
        )
    ]
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.transact_write_items(TransactItems=[])
    assert caught.value.response["CancellationReasons"][1]["Code"] == "ConditionalCheckFailed"
    assert len(server.asked) == 1


@pytest.mark.parametrize("trouble", [BUSY, (500, b"<html>"), (503, {"message": "later"}), None])
def test_passing_trouble_is_tried_again(client: Any, server: Server, trouble: Answer | None) -> None:
    server.script = [trouble, (200, {"Items": []})]
    assert client.query(TableName="t")["Items"] == []
    assert len(server.asked) == 2


@pytest.mark.parametrize("trouble", [BUSY, None])
def test_but_not_for_ever(client: Any, server: Server, trouble: Answer | None) -> None:
    server.script = [trouble] * 3
    with pytest.raises((client.exceptions.ClientError, Unreachable)):
        client.query(TableName="t")
    assert len(server.asked) == 3


def test_a_connection_is_kept_and_a_stale_one_replaced(client: Any, server: Server) -> None:
    server.script = [(200, {})] * 3 + [None] + [(200, {})]
    for _ in range(4):
        client.delete_item(TableName="t", Key={})
    assert server.connections == 2


def test_a_dead_endpoint_is_an_error_of_botocores() -> None:
    with pytest.raises(Unreachable):
        made("http://127.0.0.1:1").query(TableName="t")


def test_other_operations_and_proxies_are_left_to_botocore(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = SimpleNamespace(
        _make_api_call=lambda name, request: f"botocore's {name}",
        meta=SimpleNamespace(
            endpoint_url="https://dynamodb.eu-west-1.amazonaws.com",
            config=SimpleNamespace(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=1),
        ),
    )
    fast_calls.install(usual)
    assert usual._make_api_call("CreateTable", {}) == "botocore's CreateTable"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    before = usual._make_api_call = lambda name, request: f"botocore's {name}"
    fast_calls.install(usual)
    assert usual._make_api_call is before
