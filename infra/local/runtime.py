"""A local runtime of one's own, for end-to-end tests and the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.machine.state import ROOT, Home, read_json

START_SECONDS = 90.0
STOP_SECONDS = 100.0


class LocalRuntime:
    """The whole system in a directory: `with LocalRuntime(home) as info: ...`."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = Home(home.resolve())
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> dict[str, Any]:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> dict[str, Any]:
        """Start on free ports and return postern.json. Raises RuntimeError if it does not come up."""
        self.home.prepare()
        with (self.home.logs / "supervisor.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.local.run", "--leashed"],
                cwd=ROOT,
                env=self._env(),
                stdin=subprocess.PIPE,  # its end is ours, see `leash`
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            info: dict[str, Any] = read_json(self.home.info) or {}
            if info.get("pid") == self._process.pid:
                return info
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"The local runtime did not start; see {self.home.logs}.")

    def stop(self) -> None:
        """Stop everything cleanly; stopping twice is fine."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def pid(self, name: str) -> int:
        """Return the process id of emulator, front, worker-sync, worker-backfill or worker-rest."""
        return int(read_json(self.home.children)[name])

    def kill(self, name: str) -> None:
        """Kill a process without warning; the supervisor starts it again."""
        os.kill(self.pid(name), signal.SIGKILL)

    def _env(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POSTERN_"))
        }
        emulator = os.environ.get("POSTERN_EMULATOR_PYTHON")
        chosen = {"POSTERN_EMULATOR_PYTHON": emulator} if emulator else {}
        ports = {f"POSTERN_{name}_PORT": "0" for name in ("HTTP", "HTTPS", "EMULATOR")}
        return {**inherited, **chosen, **ports, "POSTERN_HOME": str(self.home.path), **self._environment}
