"""How the AWS emulator is started, and when a server is ready."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.local.aws import REGION
from infra.machine.ports import HOST
from infra.machine.state import ROOT, Home

START_SECONDS = 20.0
ANSWER_SECONDS = 300.0
"""For a server that is alive: the emulator may have much to read."""


def python() -> Path:
    """Return the interpreter of the emulator's own environment."""
    named = os.environ.get("POSTERN_EMULATOR_PYTHON")
    return Path(named) if named else ROOT / ".local" / "emulator-venv" / "bin" / "python"


def command(listening: int) -> tuple[str, ...]:
    """Return the command line; `listening` is the number of the open socket."""
    return (str(python()), "-m", "infra.emulator.main", str(listening))


def environment(home: Home, access_key: str) -> Mapping[str, str]:
    """Return the whole environment of the emulator: nothing of ours leaks into it."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home.path),
        "TMPDIR": str(home.emulator),
        "ACCESS_KEY": access_key,
        "REGION": REGION,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home.emulator / "aws"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home.emulator / "s3"),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "COUNT_UNITS": os.environ.get("POSTERN_COUNT_UNITS", "0"),
    }


def wait(host: str, port: int, seconds: float = START_SECONDS) -> None:
    """Return when something listens on the port. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"Nothing answers on {host}:{port}.")


def wait_for_answer(port: int, alive: Callable[[], bool], seconds: float = ANSWER_SECONDS) -> None:
    """Return when a server of ours answers a request, whatever it says. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive():
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(HOST, port, timeout=1)
            connection.request("GET", "/")
            connection.getresponse()
            return
        time.sleep(0.02)
    raise TimeoutError(f"What should answer on port {port} does not.")
