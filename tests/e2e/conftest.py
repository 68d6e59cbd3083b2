"""The whole system, started once: Dovecot, an SMTP server that delivers into it, Postern."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from infra.demo import dovecot
from infra.demo.endpoint import endpoint as serve
from infra.demo.submission import Submission
from infra.local.runtime import LocalRuntime

T = TypeVar("T")
FINISH_SECONDS = 4
"""So soon after sending the local runtime looks whether a sent mail is filed."""


def eventually(probe: Callable[[], T], seconds: float = 30.0) -> T:
    """Return the first truthy result of a probe."""
    end = time.monotonic() + seconds
    while not (result := probe()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return result


@pytest.fixture(scope="session")
def imap_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dovecot.Dovecot]:
    if not dovecot.installed():
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    server = dovecot.Dovecot().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def smtp_server(imap_server: dovecot.Dovecot) -> Iterator[Submission]:
    with Submission(imap_server) as server:
        yield server


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    # Streams end early, so that tests see clients take them up again.
    runtime = LocalRuntime(
        tmp_path_factory.mktemp("postern"),
        POSTERN_STREAM_SECONDS="6",
        POSTERN_FINISH_SECONDS=str(FINISH_SECONDS),
    )
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture(scope="session")
def info(runtime: LocalRuntime) -> dict[str, Any]:
    return dict(json.loads(runtime.home.info.read_text()))


class Endpoint:
    """A customer's webhook endpoint on the loopback: answers challenges, keeps what it is told."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self._serving = serve(lambda body, headers: self.received.append((dict(headers), body)))
        self.url = self._serving.__enter__()

    def close(self) -> None:
        self._serving.__exit__(None, None, None)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()
