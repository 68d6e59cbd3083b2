"""One log line per request and per failure, with no word of a mail, a credential or a mail server in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from app import app, stream_deltas
from chalicelib import logs
from chalicelib.domain.jobs import SYNC, SyncJob
from chalicelib.errors import ApiError, InvalidRequest, NotFound, ProviderError, SendFailed, TooMany
from chalicelib.http import routes
from chalicelib.workers import batch
from infra.gateway import gateway
from infra.gateway.answering import Answering
from tests.worlds.api import ACCOUNT, Call
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture

SECRETS = "hunter2 Salary talks, 554 5.7.1 rejected mira@kestrel.example"


@pytest.fixture(autouse=True)
def ordinary(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("method", "path", "shown", "status"),
    [
        ("GET", "/account", "/account", 200),
        ("GET", "/messages?subject=Salary+talks&any_email=mira%40x.example", "/messages", 200),
        ("GET", "/messages/zzz", "/messages/{id}", 404),
        ("GET", "/threads?limit=many", "/threads", 400),
        ("POST", "/send", "/send", 400),
        ("GET", "/messages/search?q=hunter2", "/messages/search", 200),
    ],
)
def test_a_request_is_one_line(
    call: Call, caplog: pytest.LogCaptureFixture, method: str, path: str, shown: str, status: int
) -> None:
    assert call(method, path, {} if method == "POST" else None)[0] == status
    [line] = lines(caplog)
    assert line.startswith(f"{method} {shown} {status} in ") and f"account {ACCOUNT.id}" in line
    assert not [word for word in ("Salary", "mira", "hunter2", "token", "zzz") if word in line]


def test_a_request_without_a_credential_is_a_line_too(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    assert call("GET", "/account", auth="Bearer hunter2")[0] == 401
    [line] = lines(caplog)
    assert line.startswith("GET /account 401 in ") and "account -" in line and "hunter2" not in line


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ProviderError(SECRETS, step="smtp_login"), "show at step smtp_login fails: ProviderError at "),
        (ProviderError(SECRETS), "show fails: ProviderError at "),
        (ProviderError(SECRETS, step=SECRETS), "show fails: ProviderError at routes.py"),
        (SendFailed(503, SECRETS, server_error=SECRETS), "show fails: SendFailed at "),
        (ApiError(SECRETS), "show fails: ApiError at "),
        (ValueError(SECRETS), "show fails, unhandled: ValueError at "),
        (KeyError(SECRETS), "show fails, unhandled: KeyError at "),
    ],
)
def test_a_failure_is_a_line_that_quotes_nobody(
    error: Exception, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert routes.attempt(_raising(error), "show").status_code >= 500
    [line] = lines(caplog)
    assert line.startswith(shown)
    assert not [word for word in SECRETS.split() if word in line]


@pytest.mark.parametrize("error", [NotFound(SECRETS), InvalidRequest(SECRETS), TooMany("", 1, 1)])
def test_what_a_client_does_wrong_is_no_failure(error: ApiError, caplog: pytest.LogCaptureFixture) -> None:
    assert routes.attempt(_raising(error), "show").status_code < 500
    assert lines(caplog) == []


def _raising(error: Exception) -> Callable[[], Any]:
    def view() -> Any:
        raise error

    return view


def test_a_stream_is_a_line(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    event = _event("/delta/streaming", "Bearer hunter2")
    assert stream_deltas(event, None).status == 401
    [line] = lines(caplog)
    assert line.startswith("GET /delta/streaming 401 in ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/no/such%0apath\n?token=hunter2", 404),
        ("PATCH", "/account", 405),
        ("BR\nEW", "/account", 405),
        ("GET", "/" + "a" * 5000, 404),
        ("GET", "/%00\x1b[31m", 404),
    ],
)
def test_what_reaches_no_route_is_a_line(
    method: str, path: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    path, _, query = path.partition("?")
    request = gateway.Request(method=method, path=path, query=query, headers=[], body=b"")
    assert Answering(app).respond(request).status == status
    [line] = lines(caplog)
    assert line.endswith(f" {status}") and line.isprintable() and len(line) < 700 and "hunter2" not in line


@pytest.mark.parametrize("library", ["imapclient.imapclient", "urllib3.connectionpool", "botocore.hooks"])
def test_libraries_tell_only_what_is_wrong(library: str, caplog: pytest.LogCaptureFixture) -> None:
    logs.quiet_libraries()
    logging.getLogger(library).info("Connection closed")
    logging.getLogger(library).warning("wrong")
    assert lines(caplog) == ["wrong"]


@pytest.mark.parametrize(
    ("accept", "kind", "text"),
    [
        ("*/*", "application/json", '"name":"Postern"'),
        ("text/html,application/xhtml+xml", "text/html; charset=utf-8", "<h1>Postern</h1>"),
    ],
)
def test_the_root_greets_whoever_comes(call: Call, accept: str, kind: str, text: str) -> None:
    answer = app(_event("/", "", accept), None)
    assert answer["statusCode"] == 200
    assert ("Content-Type", kind) in gateway.answer(answer).headers
    assert text in answer["body"]
    for page in ("README.md", "docs/compatibility.md", "docs/openapi.yaml"):
        assert page in answer["body"]


def _event(path: str, authorization: str, accept: str = "*/*") -> dict[str, Any]:
    headers = [("authorization", authorization), ("accept", accept)]
    request = gateway.Request(method="GET", path=path, query="", headers=headers, body=b"")
    route = gateway.match(app.routes, path)
    assert route
    return gateway.event(request, route, [])


def test_a_job_that_fails_is_one_line_that_quotes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def handle(job: SyncJob, received: int) -> None:
        try:
            raise OSError(SECRETS)
        except OSError as error:
            raise ProviderError(SECRETS) from error

    record = {"messageId": "m1", "body": '{"account_id": "a"}'}
    batch.each_record({"Records": [record]}, SYNC, handle)
    [line] = [*lines(caplog), *caplog.text.splitlines()[1:]]
    assert line.startswith("message m1 failed: ProviderError caused by OSError at batch.py:")
    assert not [word for word in SECRETS.split() if word in line]
