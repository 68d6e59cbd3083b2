"""An account that has one trouble of each kind."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.trouble import FailureKind, Trouble
from chalicelib.domain.remote import RemoteId
from chalicelib.domain.sync.quarantine import Cause, Quarantined, QuarantineState, entry_id
from tests.fakes.services import MemoryServices
from tests.worlds.api import FIRST

REMOTE = RemoteId("0000000001.0000000042")
ENTRY = Quarantined(
    id=entry_id("acc", "inbox", REMOTE), account_id="acc", folder_id="inbox", remote_id=REMOTE,
    cause=Cause.POISON, reason="RecursionError at tree.py:7", state=QuarantineState.HELD, attempts=3,
    first_at=FIRST, last_at=FIRST + 9,
)  # fmt: skip
MARK = FrozenRemoval(folder_id="f1", name="Projects", count=380, held=400, since=FIRST)
TROUBLE = Trouble(
    fault=FailureKind.SERVER, reason="connection refused", since=FIRST, failures=4, retry_at=FIRST + 480
)


def put(here: MemoryServices, *entries: Quarantined) -> None:
    for one in entries:
        assert here.quarantine.change(None, one)


def troubled(here: MemoryServices) -> None:
    """Let the account have one trouble of each kind."""
    here.accounts.rows["acc"] = replace(here.accounts.rows["acc"], trouble=TROUBLE, frozen=(MARK,))
    put(here, ENTRY)
