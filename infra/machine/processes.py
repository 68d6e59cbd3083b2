"""Child processes that are started again when they die and stopped in the right order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, TextIO

from infra.machine.leash import Leash
from infra.machine.state import ROOT, Home, write_json

STOP_SECONDS, LAST_STOP_SECONDS = 3.5, 90.0
CHECK_SECONDS = 0.1
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
SETTLED_SECONDS = 30.0
LAST = "emulator"


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line; the terminal may have gone."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=file, flush=True)


@dataclass(frozen=True, slots=True)
class Child:
    """A program, its whole environment, and the open files it takes over."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    files: tuple[int, ...] = ()


class Supervisor:
    """Keeps children alive; the emulator outlives the others, so that they can finish."""

    class Stopped(Exception):
        """We were asked to stop."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._children: dict[str, Child] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._stopping = False
        self._leash = Leash()
        self.orderly = False

    def start(self, child: Child) -> None:
        """Start a child and keep it alive from now on."""
        self._children[child.name] = child
        self._spawn(child)

    def once(self, child: Child) -> None:
        """Run a child to its end. Raises OSError if it fails."""
        if self._open(child).wait() != 0:
            raise OSError(f"The step {child.name} failed.")

    def is_alive(self, name: str) -> bool:
        """Tell whether a child that was started still runs."""
        return self._running[name].poll() is None

    def watch(self) -> None:
        """Restart what dies; return when the emulator is gone. Raises Stopped when we are asked to stop."""
        while True:
            if LAST in self._running and self._running[LAST].poll() is not None:
                say("The emulator is gone; beginning again with what it has saved.")
                return
            for name, process in list(self._running.items()):
                if process.poll() is not None:
                    self._restart(name, process.returncode)
            time.sleep(CHECK_SECONDS)

    def ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: leave whatever we are doing, once."""
        if not self._stopping:
            self._stopping = True
            raise self.Stopped

    def stop(self) -> None:
        """End every child, the emulator last; whoever does not listen is killed."""
        others = [process for name, process in self._running.items() if name != LAST]
        _end(others, STOP_SECONDS)
        last = [process for name, process in self._running.items() if name == LAST]
        self.orderly = _end(last, LAST_STOP_SECONDS)
        self._running.clear()
        self._home.children.unlink(missing_ok=True)

    def _restart(self, name: str, status: int) -> None:
        pause = self._pause.get(name, SHORTEST_PAUSE)
        if time.monotonic() - self._started[name] > SETTLED_SECONDS:
            pause = SHORTEST_PAUSE
        say(f"{name} ended with status {status}; starting it again. Its log: {self._home.logs}/{name}.log")
        time.sleep(pause)
        self._pause[name] = min(pause * 2, LONGEST_PAUSE)
        self._spawn(self._children[name])

    def _spawn(self, child: Child) -> None:
        self._running[child.name] = self._open(child)
        self._started[child.name] = time.monotonic()
        pids = {name: process.pid for name, process in self._running.items()}
        write_json(self._home.children, {"supervisor": os.getpid(), **pids})

    def _open(self, child: Child) -> subprocess.Popen[bytes]:
        with (self._home.logs / f"{child.name}.log").open("ab") as log:
            return subprocess.Popen(
                (*child.command, str(self._home.path)),  # so that lists of processes tell whose it is
                cwd=ROOT,
                env=dict(child.environment),
                pass_fds=child.files,
                stdin=self._leash.stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us only, so that we decide the order
            )


def _end(processes: Sequence[subprocess.Popen[Any]], seconds: float) -> bool:
    """Stop processes; True if each was alive and ended when asked."""
    orderly = all(process.poll() is None for process in processes)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    end = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            orderly = False
            process.kill()
            process.wait()
    return orderly
