"""Mailboxes of growing size, each beside `mbsync` pulling the same one: what must stay flat, and ratios."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from infra.bench import maildir, mbsync, timing
from infra.demo.client import Client
from infra.demo.dovecot import Dovecot
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission
from infra.local.runtime import LocalRuntime

Figures = dict[str, Any]


def measure(sizes: list[int]) -> Figures:
    """Return the figures of each size, and how the dearest message compares with the cheapest."""
    figures: Figures = {}
    costs = []
    for count in sizes:
        found = _mailbox(count)
        costs.append(found["CPU handlers, ms per message"])
        figures |= {f"{count:,}: {name}": value for name, value in found.items()}
    if len(sizes) > 1:
        figures["cost per message, largest by smallest mailbox"] = round(costs[-1] / costs[0], 2)
    return figures


def _mailbox(count: int) -> Figures:
    imap = Dovecot()
    with ExitStack() as stack:
        stack.callback(imap.stop)
        smtp = stack.enter_context(Submission(imap.start()))
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="postern-bench"))
        runtime = LocalRuntime(Path(home))
        client = Client(stack.enter_context(runtime))
        maildir.lay_out(imap, OWNER[1], count)  # meanwhile the workers get warm
        figures = timing.sync(client, runtime, imap, smtp, count)
        figures |= timing.reads(client, (1,))
        return figures | _beside_mbsync(imap, count, figures)


def _beside_mbsync(imap: Dovecot, count: int, ours: Figures) -> Figures:
    """Compare with mbsync, whose caches on the server we have warmed."""
    if not mbsync.installed():
        return {"mbsync": "not installed (package isync)"}
    pull = mbsync.pull(imap, OWNER[1], count)
    return {
        "mbsync, s": round(pull.wall, 2),
        "mbsync, CPU ms per message": round(pull.cpu / count * 1000, 2),
        "mbsync, peak memory, MB": round(pull.memory),
        "wall by mbsync's": round(ours["all messages, s"] / pull.wall, 1),
        "CPU of handlers by mbsync's": round(
            ours["CPU handlers, ms per message"] * count / 1000 / pull.cpu, 1
        ),
    }
