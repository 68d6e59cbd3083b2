"""Which servers there are, and how a test gets one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.servers.dovecot import Dovecot
from tests.servers.hoodiecrow import Hoodiecrow
from tests.servers.mailbox import MailServer, Unavailable
from tests.servers.pymap import Pymap

SERVERS: dict[str, Callable[[], MailServer]] = {
    "dovecot": Dovecot,
    "cyrus": Cyrus,
    "courier": Courier,
    "pymap": Pymap,
    "hoodiecrow": Hoodiecrow,
}


@contextmanager
def running(name: str) -> Iterator[MailServer]:
    """Start a server for a while; where it is missing the test is skipped, and fails in CI."""
    server = SERVERS[name]()
    try:
        server.start()
    except Unavailable as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.stop()
