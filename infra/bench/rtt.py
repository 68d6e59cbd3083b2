"""`make rtt-test`: how much of its rate the first sync loses when the mail server is far away.

The same mailbox is synced by one account after the other, in turns near and far, always through the
proxy, so that only the length of the way differs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from infra.bench.figures import wait_for
from infra.bench.link import Link
from infra.demo import dovecot
from infra.demo.client import Client
from infra.demo.dovecot import PASSWORD
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission, be_quiet
from infra.demo.visitor import fill
from infra.local.runtime import LocalRuntime

MESSAGES = 8_000
ADDED = (0, 40, 100)
"""Milliseconds added to a round trip."""
ROUNDS = 3
ENVIRONMENT = {"POSTERN_WATCH": "0", "POSTERN_TICK_SECONDS": "30"}


def main() -> int:
    """Print a table; the first argument is the number of messages (8,000)."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    if not dovecot.installed():
        print("make rtt-test needs Dovecot: install the package dovecot-imapd.", file=sys.stderr)
        return 1
    be_quiet()
    rates = measure(count)
    nearest = statistics.median(rates[ADDED[0]])
    print(f"{'added, ms':>9}  {'messages/s':>10}  {'loss, %':>7}  each round")
    for added, some in rates.items():
        rate = statistics.median(some)
        print(
            f"{added:>9}  {rate:>10.0f}  {100 * (1 - rate / nearest):>7.1f}  {[round(one) for one in some]}"
        )
    return 0


def measure(count: int, rounds: int = ROUNDS) -> dict[int, list[float]]:
    """Return messages per second of each first sync, by milliseconds added."""
    rates: dict[int, list[float]] = {added: [] for added in ADDED}
    with ExitStack() as stack:
        imap = dovecot.Dovecot()
        stack.callback(imap.stop)
        imap.start()
        fill(imap, OWNER[1], count)
        smtp = stack.enter_context(Submission(imap))
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="postern-rtt"))
        info = stack.enter_context(LocalRuntime(Path(home), **ENVIRONMENT))
        for turn in range(rounds):
            for added in ADDED if turn % 2 == 0 else ADDED[::-1]:
                address = f"far{added}.{turn}@kestrel.example"
                with Link(imap.imap, rtt=added / 1000) as link:  # a port of its own makes it another mailbox
                    rates[added].append(_rate(Client(info), address, link.port, smtp.port, count))
    return rates


def _rate(client: Client, address: str, imap_port: int, smtp_port: int, count: int) -> float:
    _connect(client, address, imap_port, smtp_port)
    began = time.perf_counter()
    wait_for(lambda: client.state() == "running", pause=0.1)
    seconds = time.perf_counter() - began
    if (found := client.messages()) != count:
        raise RuntimeError(f"{found} of {count} messages were synced")
    return count / seconds


def _connect(client: Client, address: str, imap_port: int, smtp_port: int) -> None:
    """Connect an account of its own to the owner's mailbox."""
    servers: dict[str, Any] = {
        "imap_port": imap_port,
        "smtp_port": smtp_port,
        "ssl_required": False,
        "ssl_verify": False,
    }
    for kind in ("imap", "smtp"):
        servers |= {
            f"{kind}_host": "127.0.0.1",
            f"{kind}_username": OWNER[1],
            f"{kind}_password": PASSWORD,
        }
    body = {
        "client_id": client.info["client_id"],
        "name": address,
        "email_address": address,
        "provider": "imap",
        "settings": servers,
    }
    code = client.post("/connect/authorize", body)["code"]
    keys = {key: client.info[key] for key in ("client_id", "client_secret")}
    client.token = client.post("/connect/token", {**keys, "code": code})["access_token"]


if __name__ == "__main__":
    sys.exit(main())
