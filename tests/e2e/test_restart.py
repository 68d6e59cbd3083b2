"""Whatever ends the supervisor: one system, nothing lost, nothing left over."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from infra.machine import leash
from infra.machine.state import ROOT
from tests.e2e.conftest import eventually
from tests.e2e.connecting import connect, token_of
from tests.fakes.signals import by_default

pytestmark = [pytest.mark.e2e, pytest.mark.server]
KILLS = int(os.environ.get("POSTERN_RESTARTS", "3"))
USER = "kept@kestrel.example"
COUNT = 40


class Instance:
    """`python -m infra.local.run` in a home, as a person starts it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, terminal: int | None = None) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POSTERN_"))}
        python = os.environ.get("POSTERN_EMULATOR_PYTHON")
        env |= {"POSTERN_EMULATOR_PYTHON": python} if python else {}
        with (self.home.parent / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra.local.run"],
                cwd=ROOT,
                env={**env, "POSTERN_HOME": str(self.home), "POSTERN_TICK_SECONDS": "1"},
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=output if terminal is None else terminal,
                stderr=output if terminal is None else terminal,
                start_new_session=True,
                preexec_fn=leash.ask_linux if terminal is None else _control,  # it ends with the tests
            )

    def info(self) -> dict[str, Any]:
        """Return postern.json once this start has written it."""

        def ready() -> dict[str, Any] | None:
            assert self.process and self.process.poll() is None, (self.home.parent / "output").read_text()[
                -1000:
            ]
            path = self.home / "postern.json"
            found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
            return found if found.get("pid") == self.process.pid else None

        found = eventually(ready, 120)
        assert found
        return found

    def processes(self) -> list[str]:
        """Return every process of this home."""
        shown = subprocess.run(
            ["ps", "-eww", "-o", "pid=,stat=,command="], capture_output=True, text=True
        ).stdout
        return [line for line in shown.splitlines() if line.endswith(f" {self.home}") and "infra." in line]

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()


def _control() -> None:
    """Make the terminal that is our standard input the controlling one of this session."""
    import fcntl
    import termios

    by_default()
    leash.ask_linux()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance((tmp_path / "home").resolve())
    yield made
    if made.process and made.process.poll() is None:
        made.process.terminate()
        made.process.wait(100)
    assert made.processes() == []


def get(info: dict[str, Any], token: str, path: str) -> Any:
    answer = requests.get(info["api_url"] + path, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def count(info: dict[str, Any], token: str) -> int:
    return int(get(info, token, "/messages?view=count")["count"])


def test_a_supervisor_that_is_killed_at_any_moment_loses_nothing_and_leaves_nothing(
    instance: Instance, imap_server: Dovecot, smtp_server: Submission
) -> None:
    fill(imap_server, USER, COUNT, seed=5)
    dice = random.Random()
    instance.start()
    ports = None
    tokens: list[str] = []
    for round in range(KILLS):
        info = instance.info()
        assert ports in (None, (info["api_url"], info["aws_endpoint_url"])), "the addresses have changed"
        ports = info["api_url"], info["aws_endpoint_url"]
        answer = connect(info, imap_server, smtp_server, USER)
        tokens.append(token_of(info, answer.json()["code"])["access_token"])
        time.sleep(dice.uniform(0, 2) if round % 2 else 0)
        if round % 3 == 0:  # the whole lot at once, emulator included
            for pid in json.loads((instance.home / "children.json").read_text()).values():
                os.kill(pid, signal.SIGKILL)
        instance.kill()
        instance.start()
        if round % 3 == 1:  # and again while it starts
            time.sleep(dice.uniform(0, 2.5))
            instance.kill()
            instance.start()
    info = instance.info()
    with login(imap_server, USER) as person:
        person.append("INBOX", b"Message-ID: <after@x>\r\nSubject: after\r\n\r\nhello\r\n")
    assert len(instance.processes()) == 5, instance.processes()
    for token in tokens:
        eventually(lambda token=token: count(info, token) == COUNT + 1, 180)  # type: ignore[misc]
    assert len({get(info, token, "/account")["account_id"] for token in tokens}) == 1


def test_children_end_with_a_supervisor_that_is_killed(instance: Instance) -> None:
    instance.start()
    instance.info()
    assert len(instance.processes()) == 5
    instance.kill()
    eventually(lambda: instance.processes() == [], 30)


def test_a_terminal_that_is_closed_ends_everything_in_order(instance: Instance) -> None:
    ours, theirs = pty.openpty()
    instance.start(theirs)
    os.close(theirs)
    instance.info()
    os.close(ours)
    assert instance.process
    assert instance.process.wait(100) == 0
    assert instance.processes() == []
    assert (instance.home / "state" / "clean.json").exists()


def test_two_starts_at_once_make_one_system(instance: Instance) -> None:
    instance.start()
    other = Instance(instance.home)
    other.start()
    assert instance.process and other.process
    pair = [instance.process, other.process]
    loser = eventually(lambda: next((one for one in pair if one.poll() is not None), None), 60)
    assert loser and loser.returncode == 1
    instance.process = next(one for one in pair if one is not loser)
    instance.info()
    assert len(instance.processes()) == 5
    assert "runs already in" in (instance.home.parent / "output").read_text()
