"""The Lambda functions on services whose work ends as a test wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.jobs import Queue, QueuedEdit
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.sync.engine.run import Outcome
from tests.fakes.services import MemoryServices

ACCOUNT = Account(
    id="acc", application_id="app", email_address="mira@kestrel.example", name="Mira", provider="imap",
    state=SyncState.RUNNING, linked_at=1, scopes="email", history_days=30,
)  # fmt: skip


@dataclass
class Here(MemoryServices):
    """Services whose sync ends as a test wants it."""

    outcome: Outcome = Outcome.CURRENT
    failure: Exception | None = None
    synced: list[str] = field(default_factory=list)
    repaired: list[tuple[str, int | None]] = field(default_factory=list)
    edited: list[Any] = field(default_factory=list)

    def working_time(self) -> Deadline:
        return Deadline.after(60)

    def sync(self, account: Account, deadline: Deadline) -> Outcome:
        if self.failure:
            raise self.failure
        self.synced.append(account.id)
        return self.outcome

    def repair(self, account: Account, deadline: Deadline, settled: int | None) -> bool:
        self.repaired.append((account.id, settled))
        return True

    def apply_edits(self, account: Account, wanted: Sequence[QueuedEdit]) -> None:
        if self.failure:
            raise self.failure
        self.edited.append(wanted)

    def change_of(self, record: Any) -> Change | None:
        return Change(account_id="acc", kind="message", id=record["id"], event=Operation.CREATE, rev=1)

    def logged(self, record: Any) -> tuple[str, int]:
        return "acc", record["seq"]


def asked(here: Here, queue: Queue[Any]) -> list[Any]:
    return here.queues.on(queue)
