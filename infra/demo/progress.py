"""The demo's account: connected through the API, and watched until everything is synced."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import urllib3

from infra.demo.dovecot import PASSWORD, Dovecot
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission

SYNC_SECONDS = 600.0
_WIDTH = 30


class Account:
    """The demo account as its own client sees it; `token` is there once it is connected."""

    def __init__(self, info: dict[str, Any]) -> None:
        self._info = info
        self._http = urllib3.PoolManager(retries=False, timeout=60)
        self.token = ""

    def connect(self, imap: Dovecot, smtp: Submission) -> None:
        """Connect the mailbox as an application does: authorize, then exchange the code."""
        body = {
            "client_id": self._info["client_id"],
            "name": OWNER[0],
            "email_address": OWNER[1],
            "provider": "imap",
            "settings": _settings(imap, smtp),
        }
        code = self._call("POST", "/connect/authorize", body)["code"]
        body = {key: self._info[key] for key in ("client_id", "client_secret")} | {"code": code}
        self.token = self._call("POST", "/connect/token", body)["access_token"]

    def state(self) -> str:
        """Return the account's sync_state."""
        return str(self._call("GET", "/account")["sync_state"])

    def messages(self) -> int:
        """Return how many messages the API has."""
        return int(self._call("GET", "/messages?view=count")["count"])

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        text = json.dumps(body) if body else None
        answer = self._http.request(method, self._info["api_url"] + path, body=text, headers=headers)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.data[:300]!r}")
        return json.loads(answer.data)


def await_sync(account: Account, total: int) -> None:
    """Show one line until all is synced. Raises RuntimeError if that fails or takes too long."""
    began = time.monotonic()
    while True:
        state, count = account.state(), account.messages()
        is_done = state == "running" and count >= total
        _show(count, total, time.monotonic() - began, is_done)
        if is_done:
            return
        if state not in ("initializing", "downloading", "partial", "running"):
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


def _settings(imap: Dovecot, smtp: Submission) -> dict[str, Any]:
    """Return the servers of the account in the shape /connect/authorize takes."""
    server = {"host": "127.0.0.1", "username": OWNER[1], "password": PASSWORD}
    settings: dict[str, Any] = {
        f"{kind}_{key}": value for kind in ("imap", "smtp") for key, value in server.items()
    }
    return settings | {"imap_port": imap.imap, "smtp_port": smtp.port, "ssl_required": False}
