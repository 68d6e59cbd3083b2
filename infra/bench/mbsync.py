"""The same mailbox pulled by `mbsync` (package isync), for comparison."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from infra.demo.dovecot import PASSWORD, Dovecot

_CONFIG = """
FSync no
IMAPAccount bench
Host 127.0.0.1
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account bench

MaildirStore near
Path {base}/mail/
Inbox {base}/inbox
SubFolders Verbatim

Channel bench
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
SyncState {base}/state/
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What a pull took: seconds on the wall and of processor time, and peak memory in MB."""

    wall: float
    cpu: float
    memory: float


def installed() -> bool:
    """Tell whether mbsync is on this machine."""
    return shutil.which("mbsync") is not None


def pull(server: Dovecot, user: str, count: int) -> Pull:
    """Pull a mailbox into an empty folder. Raises RuntimeError if messages are missing at the end."""
    with tempfile.TemporaryDirectory(prefix="postern-mbsync") as folder:
        base = Path(folder)
        for name in ("mail", "state"):
            (base / name).mkdir()
        config = base / "mbsyncrc"
        config.write_text(_CONFIG.format(port=server.imap, user=user, password=PASSWORD, base=base))
        began = time.perf_counter()
        process = subprocess.Popen(["mbsync", "-q", "-c", str(config), "bench"])
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        found = sum(1 for place in base.glob("**/cur/*")) + sum(1 for place in base.glob("**/new/*"))
        if process.returncode != 0 or found != count:
            raise RuntimeError(f"mbsync ended with {process.returncode} and {found} of {count} messages")
        return Pull(wall=wall, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss / 1024)
