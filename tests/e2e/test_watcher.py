"""The watcher as a process of its own, made of what its container holds; no tick helps it here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from infra.local import aws, resources
from infra.local.run import STACK, aws_environment, child_environment
from infra.local.runtime import LocalRuntime
from infra.local.template import Template
from infra.machine.state import ROOT
from tests.e2e.client import Client
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "watched@kestrel.example"
COUNT = 5
NEEDED = re.compile(r"(AWS_|POSTERN_(TABLE|BUCKET|KEY|PEPPER|LOCAL|QUEUE_SYNC|ENDPOINT))|PATH$|LANG$")


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    """A runtime that hears of nothing by itself."""
    home = tmp_path_factory.mktemp("unwatched")
    runtime = LocalRuntime(home, POSTERN_WATCH="0", POSTERN_TICK_SECONDS="3600")
    yield runtime
    runtime.stop()


def container(place: Path) -> Path:
    """Copy what the Containerfile copies."""
    for line in (ROOT / "infra" / "watcher" / "Containerfile").read_text().splitlines():
        if line.startswith("COPY "):
            _, source, target = line.split()
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place / target, dirs_exist_ok=True)
            else:
                (place / target).mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / source, place / target)
    return place


def environment(
    runtime: LocalRuntime, info: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return what docs/watcher.md tells to set, for this runtime."""
    for name, value in aws_environment(aws.of(info)).items():
        monkeypatch.setenv(name, value)
    template = Template.read(ROOT / "template.yaml", STACK, aws.REGION)
    resources.create(template)
    every = child_environment(runtime.home, template, aws.of(info))
    return {name: value for name, value in every.items() if NEEDED.match(name)}


def test_a_watcher_that_is_killed_and_restarted_loses_nothing(
    unwatched: LocalRuntime,
    imap_server: Dovecot,
    smtp_server: Submission,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info = unwatched.start()
    fill(imap_server, USER, COUNT)
    answer = connect(info, imap_server, smtp_server, USER)
    client = Client(info["api_url"], token_of(info, answer.json()["code"])["access_token"])
    eventually(lambda: client.get("/messages", view="count")["count"] == COUNT)
    env, tree = environment(unwatched, info, monkeypatch), container(tmp_path)

    def deliver(number: int) -> None:
        with login(imap_server, USER) as visitor:
            head = f"From: a@b.example\r\nSubject: n{number}\r\nMessage-ID: <w{number}@b.example>\r\n"
            visitor.append("INBOX", f"{head}\r\nhello\r\n".encode())

    def arrived(count: int) -> bool:
        return bool(client.get("/messages", view="count")["count"] == COUNT + count)

    def watch() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "infra.watcher"], cwd=tree, env=env)

    deliver(1)
    assert client.quiet() and not arrived(1)  # nobody watches, nobody polls
    watcher = watch()
    try:
        eventually(lambda: arrived(1))
        deliver(2)
        eventually(lambda: arrived(2) and client.quiet())
        watcher.kill()
        watcher.wait()
        deliver(3)
        assert client.quiet() and arrived(2)
        watcher = watch()
        eventually(lambda: arrived(3))
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(timeout=20) == os.EX_OK
    finally:
        watcher.kill()
        watcher.wait()
