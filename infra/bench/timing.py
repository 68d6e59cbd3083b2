"""How fast: the first sync with its processor time, three reads, the way to a webhook."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any

from infra.bench.figures import (
    cpu_seconds,
    descendants,
    peak_memory,
    percentiles,
    thread_seconds,
    timed,
    wait_for,
)
from infra.demo.client import Client
from infra.demo.dovecot import Dovecot
from infra.demo.endpoint import endpoint
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission
from infra.demo.visitor import login
from infra.local.runtime import LocalRuntime
from infra.machine.threads import FOLLOWING

REQUESTS = 200
NOTICES = 10
PROCESSES = ("front", "worker-sync", "worker-backfill", "worker-rest", "emulator")

Figures = dict[str, Any]


def sync(client: Client, runtime: LocalRuntime, imap: Dovecot, smtp: Submission, count: int) -> Figures:
    """Measure the first sync. Raises RuntimeError if messages are missing at its end."""
    before = _spent(runtime, imap)
    client.connect(imap, smtp)
    began = time.perf_counter()
    figures: Figures = {}
    for threads in (50, 500):
        if threads * 4 <= count:
            wait_for(partial(_has_threads, client, threads), pause=0.05)
            figures[f"first {threads} threads, s"] = round(time.perf_counter() - began, 2)
    wait_for(lambda: client.state() == "running", pause=0.1)
    total = time.perf_counter() - began
    if (found := client.messages()) != count:
        raise RuntimeError(f"{found} of {count} messages were synced")
    figures["all messages, s"] = round(total, 2)
    figures["messages/s"] = round(count / total)
    spent = {name: seconds - before[name] for name, seconds in _spent(runtime, imap).items()}
    figures |= {f"CPU {name}, s per 1,000": round(s / count * 1000, 2) for name, s in spent.items()}
    workers = sum(seconds for name, seconds in spent.items() if name.startswith("worker"))
    ours = workers - spent["following streams"]  # that is Lambda's
    figures["CPU handlers, ms per message"] = round(ours / count * 1000, 2)
    syncing = [runtime.pid(name) for name in ("worker-sync", "worker-backfill")]
    figures["peak memory of a worker, MB"] = round(max(map(peak_memory, syncing)))
    return figures


def _spent(runtime: LocalRuntime, imap: Dovecot) -> dict[str, float]:
    """Return the seconds of processor time used so far, by whom; worker-rest includes following streams."""
    spent = {name: cpu_seconds([runtime.pid(name)]) for name in PROCESSES}
    spent["following streams"] = thread_seconds(runtime.pid("worker-rest"), FOLLOWING)
    return spent | {"mail server": cpu_seconds(descendants(imap.pid()))}


def _has_threads(client: Client, count: int) -> bool:
    return len(client.get(f"/threads?view=ids&limit={count}")) == count


def reads(client: Client, numbers: Sequence[int] = (1, 8)) -> Figures:
    """Measure three reads by so many clients at once."""
    ids = client.get("/messages?view=ids&limit=200")
    paths = {
        "GET /threads?limit=50": ["/threads?limit=50"],
        "GET /messages?limit=50": ["/messages?limit=50"],
        "GET /messages/{id}": [f"/messages/{id}" for id in ids],
    }
    figures: Figures = {}
    for name, some in paths.items():
        for clients in numbers:
            seconds = timed(client.get, islice(cycle(some), REQUESTS), clients)
            figures[f"{name}, {clients} client{'s' * (clients > 1)}, ms"] = percentiles(seconds)
    return figures


def notices(client: Client, imap: Dovecot) -> Figures:
    """Measure from a message in the mailbox to the webhook received."""
    seconds = []
    told: list[float] = []
    with endpoint(lambda *_: told.append(time.perf_counter())) as url, login(imap, OWNER[1]) as mail:
        hook = {"callback_url": url, "state": "active", "triggers": ["message.created"]}
        client.post(f"/a/{client.info['client_id']}/webhooks", hook)
        for number in range(NOTICES):
            time.sleep(1)
            told.clear()
            raw = f"Subject: news {number}\r\nMessage-ID: <{number}@bench.example>\r\n\r\nhello\r\n"
            mail.append("INBOX", raw.encode())
            began = time.perf_counter()
            wait_for(lambda: bool(told), seconds=30)
            seconds.append(told[0] - began)
    return {"mailbox to webhook, ms": percentiles(seconds)}
