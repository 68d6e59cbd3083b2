"""What the README and the demo print works when it is pasted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.demo.dovecot import PASSWORD, Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill
from infra.local.runtime import LocalRuntime
from infra.machine import ports
from infra.machine.state import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "reader@kestrel.example"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
SETUP, MAILBOX, CONNECT, ENDPOINT, WEBHOOK, SEND, SDK = BLOCKS[1:8]


def paste(home: Path, mailbox: str) -> subprocess.CompletedProcess[str]:
    """Run the blocks in a shell, in the order of the README; the endpoint in the background."""
    port = str(ports.any_free())
    blocks = [
        SETUP,
        mailbox,
        CONNECT,
        f"({ENDPOINT.strip()} > '{home}/told' 2>&1) & sleep 1",
        WEBHOOK,
        SEND,
        SDK,
    ]
    script = "\n".join(blocks).replace("9000", port) + "\nkill %1\n"
    env = {**os.environ, "POSTERN_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    command = ["bash", "-c", f"set -e -m\n{script}"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def check(done: subprocess.CompletedProcess[str], home: Path) -> None:
    """All worked: nothing on standard error but what make or the shell say of jobs, and the right answers."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr and "error" not in done.stderr.lower(), done.stderr
    for token in ('"object": "thread"', '"callback_url"', '"subject": "Hi"', '"cursor_end"'):
        assert token.replace(" ", "") in done.stdout.replace(" ", ""), token
    assert "signed by Postern" in (home / "told").read_text()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, imap_server: Dovecot) -> Iterator[tuple[Path, str]]:
    """Run the demo; give its home and what it prints."""
    home = tmp_path_factory.mktemp("demo")
    env = {**os.environ, "POSTERN_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "infra.demo"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as running:
        lines: list[str] = []
        for line in running.stdout or ():
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        yield home, "".join(lines)
        running.send_signal(signal.SIGINT)


def test_the_commands_of_the_readme_work_under_the_demo(demo: tuple[Path, str]) -> None:
    check(paste(demo[0], ""), demo[0])


def test_the_commands_that_the_demo_prints_work(demo: tuple[Path, str]) -> None:
    printed = demo[1].partition("In another terminal:")[2].partition("Ctrl-C")[0]
    done = subprocess.run(
        ["bash", "-e", "-c", printed], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert "mira@kestrel.example" in done.stdout and done.stdout.count("Soundings") >= 3


def test_the_commands_of_the_readme_work_under_make_run(
    tmp_path: Path, imap_server: Dovecot, smtp_server: Submission
) -> None:
    fill(imap_server, USER, 20)
    words = {"email": USER, "password": f"'{PASSWORD}'", "tls": "false"}
    words |= {"imap_host": "127.0.0.1", "imap_port": str(imap_server.imap)}
    words |= {"smtp_host": "127.0.0.1", "smtp_port": str(smtp_server.port)}
    names = re.findall(r"(\w+)=", MAILBOX)
    assert set(names) == set(words), "the README names other variables"
    with LocalRuntime(tmp_path):
        check(paste(tmp_path, " ".join(f"{name}={value}" for name, value in words.items())), tmp_path)


def test_every_file_that_the_readme_links_exists() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_every_target_that_the_readme_names_is_explained_by_make_help() -> None:
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = set(re.findall(r"`?make (?:-s )?([a-z][a-z-]+)", (ROOT / "README.md").read_text("utf-8")))
    assert named <= set(re.findall(r"^  ([a-z-]+) ", shown, re.M)), named
