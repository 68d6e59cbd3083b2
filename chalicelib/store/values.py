"""What goes through the ports: rows, leases, and the two ways of having come too late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from chalicelib.domain.accounts.application import Application
    from chalicelib.domain.mail.anchor import Anchor
    from chalicelib.domain.mail.message import Message
    from chalicelib.domain.mail.thread import Thread
    from chalicelib.domain.remote import Flags, RemoteId

T = TypeVar("T")


class Stale(Exception):
    """Somebody else changed the object after we read it: read again and repeat."""


class LeaseLost(Exception):
    """Another worker has taken the account over: stop writing at once."""


@dataclass(frozen=True, slots=True)
class Revised(Generic[T]):
    """An object before and after: None before means new, None after means deleted."""

    old: T | None
    new: T | None


def loses(change: Revised[Thread]) -> bool:
    """Tell whether a thread loses messages: others must have them first, or a crash leaves them to none."""
    kept = change.new.entries.keys() if change.new else frozenset[str]()
    return change.old is not None and not change.old.entries.keys() <= kept


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write an account's mail; `epoch` fences off whoever held it before.

    It lasts `seconds` from when it was taken or last used. `died` counts the holders in a row before this
    one who never gave it back.
    """

    account_id: str
    epoch: int
    seconds: float
    died: int = 0


@dataclass(frozen=True, slots=True)
class Location:
    """Which message lies at a place of a folder, and the flags we know of that copy.

    It leaves the store with its message, at `expires_at` (Unix seconds, 0 for never).
    """

    message_id: str
    flags: Flags
    expires_at: int = 0


@dataclass(slots=True, kw_only=True)
class MailChanges:
    """One batch of writes for one account. Keys of locations are (folder id, remote id).

    `new_locations` are written before everything else: what a crash leaves half stored is then known to
    lie there, and missed if it vanishes from the server. `locations` that change or go are written last.
    Bodies and anchors live until the given second, 0 is for ever. Where writing is `shared`, somebody without
    the lease is at work: a new object does not replace one that came meanwhile.
    """

    messages: list[Revised[Message]] = field(default_factory=list)
    bodies: dict[str, str] = field(default_factory=dict)
    bodies_expire: dict[str, int] = field(default_factory=dict)
    threads: list[Revised[Thread]] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    anchors_expire: int = 0
    shared: bool = False
    new_locations: dict[tuple[str, RemoteId], Location] = field(default_factory=dict)
    locations: dict[tuple[str, RemoteId], Location | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """When an account was last seen to be alive, which sets how often it is polled; not before `retry_at`.

    `host` is its mail server; `application_id` is empty if an earlier version has entered it.
    """

    account_id: str
    active_at: int
    retry_at: int = 0
    host: str = ""
    application_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A live sync that takes long; it counts until a Unix second at most."""

    account_id: str
    application: str
    server: str
    since: float
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUsage:
    """Today's bytes of a mail server, and until when (Unix seconds) it wants patience."""

    received: int = 0
    slow_until: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """An application that has shown a client secret; not the `newest` while an older one is still valid."""

    application: Application
    newest: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token gives: an account, as long as it is in that epoch."""

    account_id: str
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One of what a quota allows in a span, which ends in `seconds`; not `allowed` if it is used up."""

    name: str
    span: int
    seconds: int
    allowed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One of a limited number of simultaneous requests; `rev` says whose it is."""

    name: str
    number: int
    rev: int
