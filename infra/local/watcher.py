"""Waits in IDLE on the inbox of every connected account; a change only enqueues a sync."""

from __future__ import annotations

import logging
import threading
import time
from imaplib import IMAP4

from imapclient.exceptions import IMAPClientError

from chalicelib.errors import ProviderError
from chalicelib.providers.imap.session import Session, open_session
from chalicelib.services import services

LIST_SECONDS = 2.0
IDLE_SECONDS = 300.0
CHECK_SECONDS = 10.0
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 60.0

log = logging.getLogger(__name__)
_BROKEN = (ProviderError, IMAPClientError, IMAP4.error, OSError)


class _HungUp(ProviderError):
    """The server is gone; imapclient shows that as silence."""


def run(stop: threading.Event) -> None:
    """Keep one watch per account of the poll list until told to stop."""
    watches: dict[str, threading.Event] = {}
    while not stop.is_set():
        try:
            accounts = {poll.account_id for poll in services().polls.all()}
        except Exception as error:  # the edge of a thread that must outlive a restart of the store
            log.warning("poll list: %s", error)
            stop.wait(LIST_SECONDS)
            continue
        for gone in set(watches) - accounts:
            watches.pop(gone).set()
        for account in accounts - set(watches):
            watches[account] = threading.Event()
            name = f"idle-{account[:8]}"
            args = (account, watches[account])
            threading.Thread(target=_watch, args=args, name=name, daemon=True).start()
        stop.wait(LIST_SECONDS)


def _watch(account_id: str, stop: threading.Event) -> None:
    wait = SHORTEST_WAIT
    while not stop.is_set():
        began = time.monotonic()
        try:
            _connection(account_id, stop)
        except _BROKEN as error:
            log.info("watch of %s: %s", account_id, error)
        except Exception:  # the edge of a thread: the poll keeps the account in sync meanwhile
            log.exception("watch of %s", account_id)
        lasted = time.monotonic() - began
        wait = SHORTEST_WAIT if lasted > LONGEST_WAIT else min(wait * 2, LONGEST_WAIT)
        stop.wait(wait)


def _connection(account_id: str, stop: threading.Event) -> None:
    session = open_session(services().accounts.settings(account_id), reach=services().reach)
    try:
        if not session.can("IDLE"):
            stop.wait(IDLE_SECONDS)
            return
        session.client.select_folder("INBOX", readonly=True)
        _enqueue(account_id)  # what came while nobody watched
        while not stop.is_set():
            _idle(session, account_id, stop)
    finally:
        session.close()


def _idle(session: Session, account_id: str, stop: threading.Event) -> None:
    """Watch for five minutes, then let the server know that we are still there."""
    session.client.idle()
    end = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < end and not stop.is_set():
        asked = time.monotonic()
        lines = session.client.idle_check(timeout=CHECK_SECONDS)
        if any(line[0] == b"BYE" for line in lines):
            raise _HungUp("the server says goodbye")
        if not lines and time.monotonic() - asked < CHECK_SECONDS * 0.9:
            raise _HungUp("the connection is dead")
        if any(line[0] != b"OK" for line in lines):
            _enqueue(account_id)
    session.client.idle_done()


def _enqueue(account_id: str) -> None:
    services().queues.send("sync", [{"account_id": account_id}], account_id)
