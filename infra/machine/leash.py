"""Processes that end with the one that started them, however that one ends.

The parent holds the writing end of a pipe, its children have the reading end as standard input: what they
read there is the end of the parent. Linux tells them by a signal as well (prctl(2)).

python -m infra.machine.leash PROGRAM …   runs a program that knows nothing of this
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

GRACE_SECONDS = 120.0
"""What a process gets to end in order, an emulator of 100,000 messages included."""

_PR_SET_PDEATHSIG = 1


class Leash:
    """The parent's side: `stdin` is for the children."""

    def __init__(self) -> None:
        self.stdin, self._held = os.pipe()

    def let_go(self) -> None:
        """Tell the children that we have ended."""
        for end in (self.stdin, self._held):
            os.close(end)


def tie(*, to_thread: bool = True) -> None:
    """End this process as SIGTERM does when its parent ends.

    With `to_thread` it ends with the thread that started it, too: so Linux understands a parent.
    """
    if to_thread:
        ask_linux()
    threading.Thread(target=_watch, name="leash", daemon=True).start()


def ask_linux() -> None:
    """Have the kernel send SIGTERM when the parent ends; elsewhere do nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _watch() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def main(command: Sequence[str]) -> int:
    """Run a program until it ends, we are told to stop, or our parent has ended."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=ask_linux)
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    tie(to_thread=False)
    return program.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
