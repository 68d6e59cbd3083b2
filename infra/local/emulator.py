"""How the AWS emulator is started and when it is ready."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from infra.local.state import ROOT, Home

START_SECONDS = 20.0


def python() -> Path:
    """Return the interpreter of the emulator's own environment."""
    named = os.environ.get("POSTERN_EMULATOR_PYTHON")
    return Path(named) if named else ROOT / ".local" / "emulator-venv" / "bin" / "python"


def command() -> list[str]:
    """Return the command line."""
    return [str(python()), "-m", "infra.local.emulator_main"]


def environment(home: Home, port: int) -> Mapping[str, str]:
    """Return the whole environment of the emulator: nothing of ours leaks into it."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home.path),
        "TMPDIR": str(home.emulator),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
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
    """Return when the port answers. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"Nothing answers on {host}:{port}.")
