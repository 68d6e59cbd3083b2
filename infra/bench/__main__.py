"""`make bench`: sync, read, notify, count units, log, storm, grow; one table and .local/bench.json."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.bench import scale, storm, timing, units
from infra.demo import dovecot
from infra.demo.client import Client
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission, be_quiet
from infra.demo.visitor import fill
from infra.local.runtime import LocalRuntime
from infra.machine.state import ROOT

MESSAGES = 2_000


def main() -> int:
    """Run everything; arguments are the sizes of the mailboxes that are compared, none by default."""
    sizes = [int(argument) for argument in sys.argv[1:]]
    if not dovecot.installed():
        print("make bench needs Dovecot: install the package dovecot-imapd.", file=sys.stderr)
        return 1
    be_quiet()
    try:
        _report(_measured(MESSAGES) | scale.measure(sizes))
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    return 0


def _measured(count: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"messages": count, "cores": os.cpu_count()}
    with _mail_server() as (imap, smtp), _runtime() as (runtime, client):
        fill(imap, OWNER[1], count)
        figures |= timing.sync(client, runtime, imap, smtp, count)
        figures |= timing.reads(client)
        figures |= timing.notices(client, imap)
    # Counting takes time, so it has an instance of its own.
    with _mail_server() as (imap, smtp), _runtime(**units.ENVIRONMENT) as (_, client):
        figures |= units.measure(client, imap, smtp)
    return figures | storm.measure()


@contextmanager
def _mail_server() -> Iterator[tuple[dovecot.Dovecot, Submission]]:
    imap = dovecot.Dovecot()
    try:
        with Submission(imap.start()) as smtp:
            yield imap, smtp
    finally:
        imap.stop()


@contextmanager
def _runtime(**environment: str) -> Iterator[tuple[LocalRuntime, Client]]:
    with tempfile.TemporaryDirectory(prefix="postern-bench") as home:
        runtime = LocalRuntime(Path(home), **environment)
        with runtime as info:
            yield runtime, Client(info)


def _report(figures: dict[str, Any]) -> None:
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = "  ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{name:<{width}}  {shown}")
    target = ROOT / ".local" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"also in {target.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
