"""Many inboxes at once, each process on its own: `make watch-test` raises the number to 900."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from infra.machine.state import ROOT

CONNECTIONS = int(os.environ.get("POSTERN_WATCH_CONNECTIONS", "50"))
# What the first connection loads, some megabytes, is shared by all and soon outweighed.
SHARED, EACH = 8_000_000, 50_000


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module of ours; it is killed in the end."""
    running = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def ask(running: subprocess.Popen[str], line: str = "") -> str:
    """Write a line, read a line."""
    tell(running, line)
    return answer(running)


def tell(running: subprocess.Popen[str], line: str) -> None:
    assert running.stdin
    running.stdin.write(line + "\n")
    running.stdin.flush()


def answer(running: subprocess.Popen[str]) -> str:
    assert running.stdout
    line = running.stdout.readline()
    assert line, "the process is dead"
    return line.strip()


def certificates(place: Path) -> tuple[str, str]:
    """Return the files of a server's key with its certificate and of the authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(place / "key.pem"))
    return str(place / "key.pem"), str(place / "ca.pem")


@pytest.mark.parametrize("protection", ["plain", "tls"])
def test_many_inboxes_need_little_memory_and_none_is_missed(protection: str, tmp_path: Path) -> None:
    key, ca = certificates(tmp_path)
    with (
        process("tests.fakes.imap_server", key if protection == "tls" else "-") as server,
        process(
            "tests.integration.watcher_process",
            answer(server),
            str(CONNECTIONS),
            protection,
            SSL_CERT_FILE=ca,
        ) as watcher,
    ):
        size = json.loads(answer(watcher))
        each = (size["after"] - size["before"]) / CONNECTIONS
        print(f"{CONNECTIONS} {protection}: {size}, {each / 1000:.1f} KB each")
        assert size["after"] - size["before"] <= SHARED + EACH * CONNECTIONS
        assert CONNECTIONS < 900 or each <= EACH

        end = time.monotonic() + 60
        while ask(server, "count") != f"{CONNECTIONS} {CONNECTIONS}":
            assert time.monotonic() < end
        assert json.loads(ask(watcher)) == {"1": CONNECTIONS}
        tell(server, "say * 3 EXISTS")
        while json.loads(ask(watcher)) != {"2": CONNECTIONS}:
            assert time.monotonic() < end
