"""`make demo` comes up, and one Ctrl-C ends everything it has started."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.demo.dovecot import Dovecot
from infra.machine.state import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.server]


def test_the_demo_comes_up_and_one_interrupt_ends_it(imap_server: Dovecot, tmp_path: Path) -> None:
    env = {**os.environ, "POSTERN_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "infra.demo"]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        children = json.loads((tmp_path / "demo" / "children.json").read_text())
        assert set(children) == {
            "supervisor",
            "emulator",
            "front",
            "worker-sync",
            "worker-backfill",
            "worker-rest",
        }
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: the supervisor hears it too
        rest = demo.stdout.read()
    assert demo.returncode == 0 and rest.endswith("Stopped.\n"), "".join(lines) + rest
    assert any("400 of 400 messages" in line for line in lines)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    assert (tmp_path / "demo" / "state" / "clean.json").exists()
