"""`eval "$(make -s env)"`: the running system as variables, whatever the values hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.local import shell
from infra.machine import locks
from infra.machine.state import Home, write_json

ODD = ["a b", "it's", '"$HOME"', "$(touch x)", "`id`", "a\nb", "*", ";exit 1", "é🚢", ""]


@pytest.mark.parametrize("value", ODD)
def test_a_shell_reads_back_what_was_written(value: str, tmp_path: Path) -> None:
    script = (
        shell.variables({"api_url": value, "console_url": None, "n": 5}) + 'printf "%s|%s" "$api_url" "$n"'
    )
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == f"{value}|5"
    assert list(tmp_path.iterdir()) == []


def test_only_a_system_that_runs_is_told_and_the_demo_comes_second(tmp_path: Path) -> None:
    own, demo = Home(tmp_path), Home(tmp_path / "demo")
    demo.path.mkdir()
    env = {"POSTERN_HOME": str(tmp_path)}
    write_json(demo.info, {"api_url": "demo"})
    write_json(demo.mailbox, {"email": "mira"})
    write_json(own.info, {"api_url": "own"})
    assert shell.running(env) is None
    with locks.take(demo.lock):
        found = shell.running(env) or {}
        assert (found["api_url"], found["email"]) == ("demo", "mira")
        with locks.take(own.lock):
            assert (shell.running(env) or {})["api_url"] == "own"
