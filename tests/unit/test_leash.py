"""Processes end with the one that started them, and locks with their holders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.machine import claim, leftovers, locks
from infra.machine.state import ROOT, Home, write_json
from infra.machine.trouble import CannotStart

PARENT = """
import subprocess, sys, time
from infra.machine.leash import Leash
leash = Leash()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=leash.stdin, start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = """
import signal, sys, time
from infra.machine import leash
path = sys.argv[1]
signal.signal(signal.SIGTERM, lambda *_: (open(path, "w").write("in order"), sys.exit()))
{ask}
leash.tie()
print(open(path, "w").write("tied"))
time.sleep(60)
"""


def wait_for(claim: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(shown.strip()) and not shown.startswith("Z")


@pytest.mark.parametrize("ask", ["", "leash.ask_linux = lambda: None"])
def test_a_child_ends_in_order_when_its_parent_is_killed(tmp_path: Path, ask: str) -> None:
    mark = tmp_path / "mark"
    child = CHILD.format(ask=ask).replace("sys.argv[1]", repr(str(mark)))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, child], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    wait_for(lambda: mark.exists() and mark.read_text() == "tied")
    parent.kill()
    parent.communicate()
    wait_for(lambda: not is_alive(pid))
    assert mark.read_text() == "in order"


def test_a_program_that_knows_nothing_of_it_ends_too() -> None:
    command = [sys.executable, "-m", "infra.machine.leash", "sleep", "60"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as leash:
        shown = ["ps", "-o", "pid=", "--ppid", str(leash.pid)]
        wait_for(lambda: bool(subprocess.run(shown, capture_output=True).stdout.strip()))
        pid = int(subprocess.run(shown, capture_output=True).stdout)
        assert leash.stdin
        leash.stdin.close()
        wait_for(lambda: not is_alive(pid))
        assert leash.wait(10) != 0


def test_a_lock_ends_with_its_holder_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = f"from pathlib import Path; from infra.machine import locks; a = locks.take(Path({str(path)!r}))"
    script += "; input()"
    holder = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE)
    wait_for(lambda: path.exists() and path.read_text() != "")
    with pytest.raises(locks.Taken) as caught:
        locks.take(path)
    assert caught.value.holder == holder.pid
    holder.kill()
    holder.communicate()
    locks.take(path, 5).close()


def test_a_home_that_is_in_use_is_not_touched(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_json(home.info, {"pid": 1})
    with locks.take(home.lock), pytest.raises(CannotStart, match=f"process {os.getpid()}"):
        claim.claim(home)
    assert home.info.exists()


def start(*arguments: str, script: str = "import time; time.sleep(60)") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments])


def test_what_is_left_of_an_earlier_run_is_ended_and_nothing_else(tmp_path: Path) -> None:
    home, other = Home(tmp_path / "a"), Home(tmp_path / "ab")
    home.path.mkdir()
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); open({!r}, 'w'); time.sleep(60)"
    mark = tmp_path / "deaf"
    ours = start("infra.gateway.front", str(home.path))
    stubborn = start("infra.functions.pollers", str(home.path), script=deaf.format(str(mark)))
    others = start("infra.gateway.front", str(other.path))
    strangers = start("an editor of", str(home.path))
    wait_for(mark.exists)
    left = {
        "front": ours.pid,
        "worker-sync": stubborn.pid,
        "a": others.pid,
        "b": strangers.pid,
        "gone": 4_000_000,
    }
    home.children.write_text(json.dumps(left))
    try:
        with claim.claim(home):
            assert (ours.wait(5), stubborn.wait(5)) == (-signal.SIGTERM, -signal.SIGKILL)
            assert others.poll() is strangers.poll() is None
            assert leftovers.end(home) == []
    finally:
        for each in (ours, stubborn, others, strangers):
            each.kill()
            each.wait()
