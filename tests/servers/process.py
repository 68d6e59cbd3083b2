"""Processes of test servers: started in a folder of their own, awaited, ended by their id."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


@dataclass(slots=True)
class Running:
    """A server in the foreground, with a folder for its files; their paths must stay short."""

    base: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mail")))
    process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        command: Sequence[str | Path],
        port: int,
        environment: Mapping[str, str] = MappingProxyType({}),
        user: str | None = None,
    ) -> None:
        """Start a program, as another user perhaps, and wait until it greets on the port."""
        with (self.base / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.base,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
            )
        self._await(port)

    def stop(self) -> None:
        """End the program and remove its files."""
        if self.process:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def _await(self, port: int) -> None:
        until = time.monotonic() + _START_SECONDS
        while not greets(port):
            ended = self.process and self.process.poll() is not None
            if ended or time.monotonic() > until:
                raise TimeoutError((self.base / "log").read_text(errors="replace"))
            time.sleep(0.02)


def greets(port: int) -> bool:
    """Tell whether an IMAP server answers on a port of the loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
        return b"OK" in probe.recv(200)
    return False
