"""An end user's mailbox connected to an application."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SyncState(StrEnum):
    """How syncing goes; the hyphenated names are those of the management API."""

    INITIALIZING = "initializing"
    RUNNING = "running"
    PARTIAL = "partial"
    INVALID = "invalid-credentials"
    SYNC_ERROR = "sync-error"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One connected mailbox; `linked_at` and `cancelled_at` are Unix seconds, `host` its mail server."""

    id: str
    application_id: str
    email_address: str
    name: str
    provider: str
    state: SyncState
    linked_at: int
    scopes: str
    history_days: int
    rev: int = 0
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How to reach and log in to one mail server."""

    host: str
    port: int
    username: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Both servers of an IMAP account; sealed before it is stored."""

    imap: Server
    smtp: Server
    tls_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A customer's program: owns accounts and webhooks."""

    id: str
    name: str
    redirect_uris: tuple[str, ...] = ()
    icon_url: str = ""
