"""The largest mail of a stranger goes into DynamoDB, and so does what follows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.sync.mail.ingest import Ingest
from tests.fakes.large_mail import LARGE, arrived
from tests.fakes.store import MemoryBlobs
from tests.integration.aws import rows
from tests.worlds.mail_table import ACCOUNT, INBOX, World
from tests.worlds.mail_table import world as world  # a fixture
from tests.worlds.sync import ACCOUNT as OWNER

MOST = 409_600
FOLDER = Folder(
    id=INBOX, account_id=ACCOUNT, collection="INBOX", display_name="Inbox", role="inbox", created_at=1
)


def octets(row: dict[str, dict[str, str]]) -> int:
    return sum(len(name) + len(str(next(iter(value.values()))).encode()) for name, value in row.items())


@pytest.mark.parametrize("raw", LARGE.values(), ids=LARGE.keys())
def test_a_mail_of_long_lists_is_stored_and_changed(world: World, raw: bytes) -> None:
    ingest = Ingest(
        mail=world.mail, blobs=MemoryBlobs(), account=replace(OWNER, id=ACCOUNT), folders={"INBOX": FOLDER}
    )
    [id] = ingest.absorb(FOLDER, ingest.arrivals([arrived(raw)]), {}).ids
    assert ingest.absorb(FOLDER, [], {RemoteId("1.1"): Flags("s")}).ids == ()
    assert not world.mail.messages(ACCOUNT, [id])[id].unread
    assert max(octets(row) for row in rows(world.settings, "mail")) < MOST
