"""The running system as variables of a shell: `eval "$(make -s env)"`.

That of `.local` (or POSTERN_HOME) goes before that of `make demo`, which names a mailbox as well.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from infra.machine import locks
from infra.machine.state import Home, read_json


def running(env: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return what is known of the system that runs, None if none does."""
    own = Home.from_env(env)
    for home in (own, Home(own.path / "demo")):
        info = read_json(home.info)
        if info and _is_held(home):
            return {**info, **(read_json(home.mailbox) or {}), "python": sys.executable}
    return None


def variables(info: Mapping[str, Any]) -> str:
    """Return an assignment per line, whatever the values hold."""
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in info.items() if value is not None)


def _is_held(home: Home) -> bool:
    try:
        locks.take(home.lock).close()
    except locks.Taken:
        return True
    return False


if __name__ == "__main__":
    found = running(os.environ)
    if found is None:
        sys.exit("Postern does not run here; start it with `make run` or `make demo`, in another terminal.")
    print(variables(found), end="")
