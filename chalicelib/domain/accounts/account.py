"""An end user's mailbox connected to an application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.accounts.traits import Traits, traits_of

if TYPE_CHECKING:
    from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
    from chalicelib.domain.accounts.login import Login
    from chalicelib.domain.accounts.trouble import Trouble


class SyncState(StrEnum):
    """How syncing goes; the hyphenated names are those of the management API."""

    INITIALIZING = "initializing"
    RUNNING = "running"
    PARTIAL = "partial"
    INVALID = "invalid-credentials"
    SYNC_ERROR = "sync-error"
    STOPPED = "stopped"


RESTING = frozenset({SyncState.INVALID, SyncState.STOPPED})
"""States in which the mail server is not asked for anything until the account is connected again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One connected mailbox; `linked_at` is in Unix seconds, `host` its mail server.

    `history_days` of mail are kept, 0 is everything, None as the application has it. `folder_days` are
    exceptions by folder id or role; there None means that nothing of the folder is kept.
    `trouble` and `frozen` change without a new `rev`: clients are told of states only.
    `login` is whose mailbox it is (None: connected by an earlier version) and `proved_at` the millisecond
    in which that was proven last. Access tokens are good for one `epoch`: another login begins another one.
    """

    id: str
    application_id: str
    email_address: str
    name: str
    provider: str
    state: SyncState
    linked_at: int
    scopes: str
    history_days: int | None = None
    folder_days: Mapping[str, int | None] = field(default_factory=dict)
    rev: int = 0
    host: str = ""
    trouble: Trouble | None = None
    frozen: tuple[FrozenRemoval, ...] = ()
    login: Login | None = None
    proved_at: int = 0
    epoch: int = 0

    @property
    def traits(self) -> Traits:
        """What sets its provider apart."""
        return traits_of(self.provider)

    @property
    def organization_unit(self) -> str:
        """What the account's mail is sorted by: label or folder."""
        return "label" if self.traits.labels else "folder"
