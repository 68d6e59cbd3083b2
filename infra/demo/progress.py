"""The demo's first sync, watched until everything is there."""

from __future__ import annotations

import sys
import time

from infra.demo.client import Client

SYNC_SECONDS = 600.0
_WIDTH = 30


def await_sync(client: Client, total: int) -> None:
    """Show one line until all is synced. Raises RuntimeError if that fails or takes too long."""
    began = time.monotonic()
    while True:
        state, count = client.state(), client.messages()
        is_done = state == "running" and count >= total
        _show(count, total, time.monotonic() - began, is_done)
        if is_done:
            return
        if state not in ("partial", "running"):
            raise RuntimeError(f"The sync stopped: the account's sync_state is {state}.")
        if time.monotonic() - began > SYNC_SECONDS:
            raise RuntimeError(f"The sync is not done after {SYNC_SECONDS:.0f} s ({state}).")
        time.sleep(0.2)


def _show(count: int, total: int, seconds: float, is_last: bool) -> None:
    """Redraw the line on a terminal; elsewhere write only the last one."""
    is_terminal = sys.stdout.isatty()
    if not is_terminal and not is_last:
        return
    full = min(count * _WIDTH // total, _WIDTH)
    bar = "#" * full + "." * (_WIDTH - full)
    start, end = ("\r" if is_terminal else ""), ("\n" if is_last else "")
    print(f"{start}Syncing [{bar}] {count} of {total} messages, {seconds:.1f} s", end=end, flush=True)
