"""The store as the use cases see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.accounts.connection import Proof
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.login import Login
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.accounts.trouble import Trouble
from chalicelib.domain.log.delta import Change, Delta, ObjectKey
from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.filing import Filing
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import File, Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.remote import Cursor, Flags, RemoteId
from chalicelib.domain.sync.backfill import Backfill
from chalicelib.domain.sync.progress import Tally
from chalicelib.domain.sync.quarantine import Quarantined
from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.delivery import Delivery
from chalicelib.domain.webhooks.lane import Lane
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.store.values import (
    Admission,
    Grant,
    HostUsage,
    Lease,
    Location,
    MailChanges,
    Place,
    Poll,
    Revised,
    Slot,
    Spent,
    Wake,
)


class Mail(Protocol):
    """Messages, threads, folders and the look-ups between them (tables `mail` and `body`)."""

    def folders(self, account_id: str) -> list[Folder]:
        """Return every folder, oldest first."""

    def save_folders(self, account_id: str, changes: Sequence[Revised[Folder]]) -> None:
        """Write folders; raises Stale."""

    def messages(self, account_id: str, ids: Iterable[str]) -> dict[str, Message]:
        """Return those that exist, strongly consistent."""

    def threads(self, account_id: str, ids: Iterable[str]) -> dict[str, Thread]:
        """Return those that exist, strongly consistent."""

    def anchors(self, account_id: str, keys: Iterable[str]) -> dict[str, Anchor]:
        """Return those that exist, strongly consistent."""

    def locations(
        self, account_id: str, folder_id: str, remote_ids: Iterable[RemoteId]
    ) -> dict[RemoteId, Location]:
        """Return those that exist, strongly consistent."""

    def known(self, account_id: str, folder_id: str) -> dict[RemoteId, Flags]:
        """Return every place of a folder with its flags, strongly consistent."""

    def bodies(self, account_id: str, ids: Iterable[str]) -> dict[str, str]:
        """Return the HTML bodies that are kept here; a body too large for a row is absent."""

    def save(self, account_id: str, changes: MailChanges) -> None:
        """Write a batch so that a crash anywhere can be repaired by repeating it.

        Order: new locations, messages with their files and bodies, threads (those that lose messages
        last), deletions of messages, anchors, changed locations. A changed object is written only if its
        stored `rev` is still that of `old` (else Stale is raised); its new rev is max(old + 1, now in
        milliseconds).
        """

    def newest_messages(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Message]:
        """Yield messages newest first with after < date <= before, reading pages as needed."""

    def newest_threads(
        self, account_id: str, before: int | None = None, after: int | None = None
    ) -> Iterator[Thread]:
        """Yield threads by last message, newest first, with after < last_at < before."""

    def file(self, account_id: str, file_id: str) -> tuple[File, str] | None:
        """Return a file and the id of its message."""


class Checkpoints(Protocol):
    """Sync progress and the fenced lease (table `core`)."""

    def cursors(self, account_id: str) -> dict[str, Cursor]:
        """Return every folder's cursor by folder id, strongly consistent."""

    def acquire(self, account_id: str, seconds: float) -> Lease | None:
        """Take the lease; None while somebody else holds it."""

    def tallies(self, account_id: str) -> dict[str, Tally]:
        """Return the tallies saved with the cursors, by folder id."""

    def save(self, lease: Lease, folder_id: str, cursor: Cursor | None, tally: Tally | None = None) -> None:
        """Move one cursor (None forgets it) with its tally and prolong the lease when it is time.

        Raises LeaseLost if a later holder was here.
        """

    def release(self, lease: Lease) -> None:
        """Give the lease back; does nothing if it is lost already."""


class Filings(Protocol):
    """Copies of sent mail on their way into Sent, by `filing_key` (table `mail`)."""

    def get(self, account_id: str, name: str) -> Filing | None:
        """Return how far a copy has come, strongly consistent; None if nothing was sent under this name."""

    def put(self, account_id: str, name: str, filing: Filing) -> None:
        """Note how far a copy has come."""


class Blobs(Protocol):
    """Objects in S3."""

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""

    def get(self, key: str, offset: int, length: int) -> bytes | None:
        """Return bytes offset to offset+length, None if the object is gone."""


class DeltaLog(Protocol):
    """The gapless change log of each account (table `log`)."""

    def append(self, account_id: str, changes: Sequence[Change], at: int) -> None:
        """Log each change once, in order; a revision already logged is left out.

        Safe under duplicate, reordered and concurrent calls.
        """

    def head(self, account_id: str) -> tuple[int, int]:
        """Return the newest sequence number and its time (0, 0 for an empty log), strongly consistent."""

    def since(self, account_id: str, seq: int, limit: int) -> list[Delta]:
        """Return up to about `limit` entries after `seq`, in order, never past a hole.

        Raises CursorTooOld if entry seq+1 has been dropped already, or if this log never had `seq`.
        """


class ChangeLog(DeltaLog, Protocol):
    """The same log for those who wait for it, look back in it or repair it."""

    def peek(self, account_id: str) -> int:
        """Return the newest sequence number, perhaps a moment late: half a read unit."""

    def places(self, account_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return `head` of several accounts; those with an empty log are absent."""

    def before(self, account_id: str, moment: int) -> tuple[int, int]:
        """Return the last entry logged at or before a moment and its time, (0, 0) if there is none.

        Raises CursorTooOld if what followed is no longer kept.
        """

    def heads(self, account_id: str, names: Iterable[ObjectKey]) -> dict[ObjectKey, Change]:
        """Return the change of each object that was logged last, as far as it is kept."""

    def heads_after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        """Return some heads behind a place ("" is the start) and the place behind them ("" at the end)."""


class Objects(Protocol):
    """Every public object of an account but the account itself (table `mail`)."""

    def after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        """Return some objects behind a place ("" is the start) and the place behind them ("" at the end)."""

    def existing(self, account_id: str, names: Iterable[ObjectKey]) -> set[ObjectKey]:
        """Return those that are stored, strongly consistent; kinds that lie elsewhere count as stored."""


class Reconciliations(Protocol):
    """Accounts whose log is being compared with their objects, and how far (table `work`)."""

    def begin(self, account_ids: Iterable[str]) -> None:
        """Enter accounts; those under way go on where they are."""

    def under_way(self) -> dict[str, str]:
        """Return the place reached in each account."""

    def save(self, account_id: str, place: str) -> None:
        """Note the place reached; the empty one means that the account is done."""


class Accounts(Protocol):
    """Connected accounts (table `core`)."""

    def get(self, account_id: str) -> Account | None:
        """Return an account, None if there is none."""

    def by_email(self, application_id: str, email: str) -> Account | None:
        """Return the application's account of that address (compared in lower case)."""

    def of_application(self, application_id: str) -> list[Account]:
        """Return every account of an application, oldest first."""

    def by_login(self, application_id: str, login: Login) -> Account | None:
        """Return the application's account of a mailbox, however its user name is spelled."""

    def create(self, account: Account, settings: MailSettings) -> Account:
        """Store a new account with sealed credentials. Raises Stale if its address or login is taken."""

    def reconnect(self, stored: Account, renewed: Account, settings: MailSettings) -> Account:
        """Replace the credentials and what else is new, and begin again from `initializing`.

        Raises Stale if the account is not as it was read any more or another one has the login.
        """

    def settings(self, account_id: str) -> MailSettings:
        """Unseal and return the credentials."""

    def configure(self, account: Account, change: RetentionWish) -> Account:
        """Change how much mail is kept; what is so already is no write. Raises Stale."""

    def transition(self, account: Account, state: SyncState) -> Account:
        """Move to a state, conditional on `rev`; the same state is no write. Raises Stale."""

    def note_trouble(self, account: Account, trouble: Trouble | None) -> Account:
        """Remember what keeps the account from syncing (None forgets it). Raises Stale."""

    def note_frozen(self, account: Account, frozen: Sequence[FrozenRemoval]) -> Account:
        """Remember removals that wait, in place of those of `account`. Raises Stale."""


class Quarantine(Protocol):
    """Messages that cannot be taken in (table `core`)."""

    def entries(self, account_id: str) -> list[Quarantined]:
        """Return every entry of an account, oldest first."""

    def get(self, account_id: str, id: str) -> Quarantined | None:
        """Return one entry, strongly consistent."""

    def change(self, old: Quarantined | None, new: Quarantined | None) -> bool:
        """Store or remove an entry if it is still as it was read (None: there is none); False otherwise."""

    def suspects(self, account_id: str) -> frozenset[tuple[str, RemoteId]]:
        """Return the folders and names of messages during which a worker may have died."""

    def suspect(self, account_id: str, names: Iterable[tuple[str, RemoteId]]) -> None:
        """Remember these, and only these."""


class Applications(Protocol):
    """Customers' programs (table `core`)."""

    def create(self, application: Application, secret: str) -> None:
        """Store an application and its sealed client secret."""

    def update(self, application: Application) -> None:
        """Replace name, redirect URIs, icon and history window."""

    def get(self, application_id: str) -> Application | None:
        """Return an application, None if there is none."""

    def secrets(self, application_id: str, now: int) -> list[str]:
        """Return the client secrets that are valid, the older one first; they sign webhooks."""

    def rotate(self, application_id: str, newest: str, secret: str, until: int) -> None:
        """Replace the newest client secret, which stays valid until then (Unix seconds).

        Raises Stale if it is not the newest any more.
        """

    def end_overlap(self, application_id: str, newest: str) -> None:
        """Have no secret but the newest be valid. Raises Stale if it is not the newest any more."""

    def verify(self, application_id: str, secret: str) -> Admission | None:
        """Return the application if the client secret is valid; the same work if there is none."""


class Tokens(Protocol):
    """Access tokens, stored as keyed hashes (table `core`)."""

    def issue(self, account_id: str, epoch: int) -> str:
        """Return a new access token of an account's epoch; it is shown this once."""

    def grant_of(self, token: str) -> Grant | None:
        """Return what a token gives, None if there is no such token."""


class Codes(Protocol):
    """One-time codes, stored as keyed hashes, each with a sealed proof (table `work`)."""

    def issue(self, proof: Proof) -> str:
        """Return a code good for one use within 15 minutes by the application of the proof."""

    def redeem(self, application_id: str, code: str) -> Proof | None:
        """Return the proof and spend the code; None if unknown, spent, expired or foreign."""

    def decoy(self) -> str:
        """Return what looks like a code and is none."""


class Webhooks(Protocol):
    """Customers' endpoints (table `core`)."""

    def put(self, webhook: Webhook) -> None:
        """Store or replace a webhook."""

    def get(self, application_id: str, id: str) -> Webhook | None:
        """Return one webhook."""

    def change(self, old: Webhook, new: Webhook) -> bool:
        """Store a new state if the stored one is still the old; False otherwise."""

    def of_application(self, application_id: str) -> list[Webhook]:
        """Return every webhook of an application, oldest first."""

    def delete(self, application_id: str, id: str) -> None:
        """Remove a webhook; removing none is fine."""


class Deliveries(Protocol):
    """Lanes, the ledger of notifications, and what is to be looked at later (table `work`)."""

    def lane(self, webhook_id: str, key: str) -> Lane | None:
        """Return one lane, strongly consistent."""

    def lanes(self, webhook_id: str, start: str = "") -> Iterator[Lane]:
        """Yield every lane of an endpoint once, from the key `start` on and then from the first."""

    def change_lane(self, old: Lane | None, new: Lane) -> bool:
        """Store a lane if it is still as it was read (None: there was none); False otherwise."""

    def add_lanes(self, lanes: Iterable[Lane]) -> None:
        """Store new lanes, in no order."""

    def close_lane(self, lane: Lane) -> None:
        """Remove a lane."""

    def begin(self, old: Lane, new: Lane, delivery: Delivery) -> bool:
        """Store a delivery and its lane in one transaction; False if the lane is not as it was read."""

    def claim(self, old: Delivery, new: Delivery) -> bool:
        """Count one attempt, conditional on the last one; False if somebody else has."""

    def record(self, delivery: Delivery) -> None:
        """Store a delivery as it is now; only whoever claimed it may."""

    def settle(self, old: Lane, new: Lane, delivery: Delivery) -> None:
        """Store a delivery that is over and move its lane in one transaction.

        A lane that was begun anew or removed meanwhile stays as it is.
        """

    def get(self, webhook_id: str, id: str) -> Delivery | None:
        """Return a delivery of the last 14 days."""

    def ledger(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        """Yield deliveries begun in a span of Unix time, newest first, at most 14 days back."""

    def failed(self, webhook_id: str, since: int, until: int) -> Iterator[Delivery]:
        """Yield those of them that failed, newest first, without reading the others."""

    def schedule(self, wake: Wake, at: int) -> None:
        """Have a wake-up queued at a time (Unix seconds); the same one twice is one."""

    def due(self, now: int) -> list[tuple[int, Wake]]:
        """Return what is to be queued by now, each with its time."""

    def queued(self, wakes: Sequence[tuple[int, Wake]]) -> None:
        """Forget wake-ups that are in the queue."""

    def wait(self, wake: Wake) -> None:
        """Note that a lane found no slot."""

    def next_waiting(self, webhook_id: str) -> str | None:
        """Return the key of a lane that waits for a slot, and have it wait no longer."""

    def stop_waiting(self, webhook_id: str) -> None:
        """Have no lane of an endpoint wait any longer."""

    def forget(self, webhook_id: str) -> None:
        """Remove every lane of an endpoint; its ledger expires by itself."""


class Circuits(Protocol):
    """How endpoints answer, and the calls to each that are under way (table `work`)."""

    def get(self, webhook_id: str) -> Circuit:
        """Return an endpoint's circuit, strongly consistent."""

    def enter(self, webhook_id: str, seen: Circuit, now: int, until: int) -> int | None:
        """Take a slot until a time; None if the endpoint has enough calls under way."""

    def accepted(self, webhook_id: str, slot: int, now: int, until: int) -> Circuit:
        """Count a success and prolong the slot."""

    def refused(self, webhook_id: str, slot: int, now: int, until: int, rest: int, lane: str) -> Circuit:
        """Count a failure and prolong the slot; `rest` (0: none) is when the next call may be made."""

    def leave(self, webhook_id: str, slot: int) -> None:
        """Give a slot back."""

    def reset(self, webhook_id: str) -> None:
        """Forget everything: the endpoint begins anew."""


class Polls(Protocol):
    """Which accounts are to be polled (table `work`); read by the minute tick."""

    def put(self, poll: Poll) -> None:
        """Enter an account or note that it is active."""

    def rest(self, account_id: str, until: int) -> None:
        """Poll this account not before a time (Unix seconds); one that is not polled stays so."""

    def remove(self, account_id: str) -> None:
        """Poll this account no more."""

    def all(self) -> Iterator[Poll]:
        """Yield every account to be polled, shard by shard, without a scan."""

    def covered(self) -> int:
        """Return the Unix second up to which polls have been asked for, 0 if never."""

    def cover(self, until: int) -> None:
        """Note that all polls before this second have been asked for."""


class Backfills(Protocol):
    """Accounts whose history is still to come (table `work`)."""

    def enter(self, backfill: Backfill) -> bool:
        """Enter an account; False if it is in already, which stays as it is."""

    def get(self, account_id: str) -> Backfill | None:
        """Return an account's entry, strongly consistent."""

    def all(self) -> list[Backfill]:
        """Return every entry, strongly consistent."""

    def put(self, backfill: Backfill) -> None:
        """Replace an entry; one that is no longer there stays away."""

    def remove(self, account_id: str) -> None:
        """Remove an entry: the history is complete, or no longer wanted."""


class Places(Protocol):
    """Live syncs that take long, and whose have done so lately (table `work`)."""

    def slow(self, tenants: Iterable[str], now: float) -> bool:
        """Tell whether any of these was crowded lately."""

    def note_slow(self, tenant: str, until: int) -> None:
        """Remember one as crowded until a Unix second."""

    def put(self, place: Place) -> None:
        """Enter a sync that is under way."""

    def remove(self, account_id: str) -> None:
        """Forget a sync that is over."""

    def all(self) -> list[Place]:
        """Return every sync entered, strongly consistent."""


class Usage(Protocol):
    """Bytes read from mail servers, per UTC day, by account and by host (table `work`)."""

    def add(self, account_id: str, host: str, received: int) -> None:
        """Count bytes of today."""

    def accounts(self, account_ids: Iterable[str]) -> dict[str, int]:
        """Return today's bytes of those that have any."""

    def hosts(self, hosts: Iterable[str]) -> dict[str, HostUsage]:
        """Return what is known of each host."""

    def slow_down(self, host: str, until: int) -> None:
        """Note that a host has asked for patience, until a Unix second."""


class Quotas(Protocol):
    """How often something may be done in a span of time (table `work`)."""

    def spend(self, name: str, most: int, seconds: int) -> Spent:
        """Count one of `most` in the present span of so many seconds, unless all are used up."""

    def give_back(self, spent: Spent) -> None:
        """Count one less: it was no attempt of the kind that is bounded."""


class Slots(Protocol):
    """How many may do something at once (table `work`)."""

    def take(self, name: str, most: int, seconds: float) -> Slot | None:
        """Hold one of `most` slots for so long; None while all are held."""

    def taken(self, name: str) -> int:
        """Return how many are held."""

    def give_back(self, slot: Slot) -> None:
        """Free a slot; one that somebody else holds meanwhile stays."""


class Queues(Protocol):
    """SQS."""

    def send(
        self,
        queue: str,
        bodies: Sequence[Mapping[str, str | int]],
        group: str | Sequence[str],
        delay: int = 0,
        spread: Sequence[int] = (),
    ) -> None:
        """Send JSON messages to the queue of that name (sync, backfill, edits, deliveries).

        They are seen after `delay` seconds, or each after its own of `spread`; group is the tenant, for all
        or for each: the application whose accounts are synced, the endpoint that is told.
        """

    def waiting(self, queue: str) -> int:
        """Return about how many messages could be taken now."""
