"""Signals of a process that a test starts."""

from __future__ import annotations

import signal


def by_default() -> None:
    """Let Ctrl-C and a closed terminal end a process again; under `nohup` they do not."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
