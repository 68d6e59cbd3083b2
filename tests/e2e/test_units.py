"""What changes write to DynamoDB, in the units that AWS bills.

Message and thread are logged and told apart, for ten units more, when the stream is read just between
their rows, and a tick may fall into a round: of two rounds the cheaper one counts.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from infra.bench import units
from infra.bench.counter import Counter
from infra.demo.client import Client
from infra.demo.dovecot import Dovecot
from infra.demo.endpoint import endpoint
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission
from infra.demo.visitor import login
from infra.local.runtime import LocalRuntime

pytestmark = [pytest.mark.e2e, pytest.mark.server]


@pytest.fixture(scope="module")
def written(imap_server: Dovecot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Write units by operation, on a mail server of its own."""
    imap = Dovecot()
    home = tmp_path_factory.mktemp("units")
    try:
        with (
            Submission(imap.start()) as smtp,
            login(imap, OWNER[1]) as mail,
            endpoint(lambda *_: None) as url,
            LocalRuntime(home, **units.ENVIRONMENT) as info,
        ):
            client, mailbox, counter = Client(info), units.Mailbox(mail), Counter(info)
            first = units.prepare(client, mailbox, url, counter, partial(client.connect, imap, smtp))
            found = {"first sync": first["write"] / units.MAILBOX}
            for name, act in units.changes(client, mailbox).items():
                found[name] = counter.least(act, units.STILL, rounds=2)["write"]
            yield found
    finally:
        imap.stop()


def test_a_poll_that_finds_nothing_writes_nothing(written: dict[str, Any]) -> None:
    assert written["a poll that finds nothing"] == 0


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("first sync", 22),
        ("a new message", 42),
        ("a flag changed in the mailbox", 34),
        ("a flag changed by PUT", 34),
    ],
)
def test_a_change_with_its_delta_and_webhook_stays_within_its_budget(
    written: dict[str, Any], name: str, most: float
) -> None:
    assert 0 < written[name] <= most
