"""Services in memory, for tests of the HTTP face."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from chalicelib.clock import Deadline
from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.application import Application
from chalicelib.domain.accounts.connection import Proof
from chalicelib.domain.accounts.frozen_removal import FrozenRemoval
from chalicelib.domain.accounts.login import Login
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.accounts.trouble import Trouble
from chalicelib.domain.jobs import Job, Queue, dump, load, only_queue
from chalicelib.domain.log.delta import Change, Delta, ObjectKey
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.retention import Retention
from chalicelib.domain.remote import Collection, Edit, Flags, RemoteId
from chalicelib.domain.sync.allowance import Allowances
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.errors import AuthRejected, CursorTooOld
from chalicelib.providers.network.client import Client
from chalicelib.services import Services
from chalicelib.store.values import Admission, Grant, Poll, Slot, Spent, Stale
from chalicelib.sync.core.pace import Pace
from chalicelib.sync.engine.run import Outcome
from chalicelib.sync.history.backfill import Backfilling
from chalicelib.sync.history.meter import Quota
from chalicelib.sync.requests.content import Contents
from tests.fakes.backfills import MemoryBackfills, MemoryUsage, allowances
from tests.fakes.deliveries import MemoryCircuits, MemoryDeliveries
from tests.fakes.quarantine import MemoryQuarantine
from tests.fakes.store import MemoryBlobs, MemoryCheckpoints, MemoryFilings, MemoryMail

J = TypeVar("J")
SERVER = Server(host="mail.example", port=993, username="mira", password="pw")
SETTINGS = Settings(table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={}, local=True)


@dataclass
class MemoryAccounts:
    """The port Accounts."""

    rows: dict[str, Account] = field(default_factory=dict)
    sealed: dict[str, MailSettings] = field(default_factory=dict)

    def get(self, account_id: str) -> Account | None:
        return self.rows.get(account_id)

    def by_email(self, application_id: str, email: str) -> Account | None:
        found = (a for a in self.of_application(application_id) if a.email_address.lower() == email.lower())
        return next(found, None)

    def of_application(self, application_id: str) -> list[Account]:
        return [a for a in self.rows.values() if a.application_id == application_id]

    def by_login(self, application_id: str, login: Login) -> Account | None:
        of = self.of_application(application_id)
        return next((a for a in of if a.login and a.login.key == login.key), None)

    def create(self, account: Account, settings: MailSettings) -> Account:
        login = account.login and self.by_login(account.application_id, account.login)
        if account.id in self.rows or login or self.by_email(account.application_id, account.email_address):
            raise Stale(account.id)
        return self._stored(account, settings)

    def reconnect(self, stored: Account, renewed: Account, settings: MailSettings) -> Account:
        holder = renewed.login and self.by_login(stored.application_id, renewed.login)
        if self.rows.get(stored.id) != stored or (holder and holder.id != stored.id):
            raise Stale(stored.id)
        anew = replace(renewed, state=SyncState.INITIALIZING, rev=stored.rev + 1, trouble=None)
        return self._stored(anew, settings)

    def _stored(self, account: Account, settings: MailSettings) -> Account:
        self.rows[account.id], self.sealed[account.id] = account, settings
        return account

    def settings(self, account_id: str) -> MailSettings:
        return self.sealed.get(account_id, MailSettings(imap=SERVER, smtp=SERVER))

    def configure(self, account: Account, change: RetentionWish) -> Account:
        self.rows[account.id] = change.applied(self.rows[account.id])
        return self.rows[account.id]

    def transition(self, account: Account, state: SyncState) -> Account:
        self.rows[account.id] = replace(account, state=state)
        return self.rows[account.id]

    def note_trouble(self, account: Account, trouble: Trouble | None) -> Account:
        self.rows[account.id] = replace(self.rows[account.id], trouble=trouble)
        return self.rows[account.id]

    def note_frozen(self, account: Account, frozen: Sequence[FrozenRemoval]) -> Account:
        if account.frozen != self.rows[account.id].frozen:
            raise Stale
        self.rows[account.id] = replace(self.rows[account.id], frozen=tuple(frozen))
        return self.rows[account.id]


@dataclass
class MemoryApplications:
    """The port Applications."""

    rows: dict[str, tuple[Application, str]] = field(default_factory=dict)
    previous: dict[str, tuple[str, int]] = field(default_factory=dict)

    def create(self, application: Application, secret: str) -> None:
        self.rows[application.id] = (application, secret)

    def update(self, application: Application) -> None:
        self.rows[application.id] = (application, self.rows[application.id][1])

    def get(self, application_id: str) -> Application | None:
        return self.rows[application_id][0] if application_id in self.rows else None

    def secret(self, application_id: str) -> str:
        return self.rows[application_id][1]

    def secrets(self, application_id: str, now: int) -> list[str]:
        old, until = self.previous.get(application_id, ("", 0))
        return [*([old] if until > now else []), self.secret(application_id)]

    def rotate(self, application_id: str, newest: str, secret: str, until: int) -> None:
        application, old = self.rows[application_id]
        if newest != old:
            raise Stale(application_id)
        self.previous[application_id] = (old, until)
        self.rows[application_id] = (application, secret)

    def end_overlap(self, application_id: str, newest: str) -> None:
        if newest != self.secret(application_id):
            raise Stale(application_id)
        self.previous.pop(application_id, None)

    def verify(self, application_id: str, secret: str) -> Admission | None:
        valid = application_id in self.rows and self.secrets(application_id, int(time.time()))
        if not valid or secret not in valid:
            return None
        return Admission(self.rows[application_id][0], newest=secret == valid[-1])


@dataclass
class MemoryTokens:
    """The port Tokens."""

    tokens: dict[str, str] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)

    def issue(self, account_id: str, epoch: int) -> str:
        token = f"token{len(self.tokens)}"
        self.tokens[token], self.epochs[token] = account_id, epoch
        return token

    def grant_of(self, token: str) -> Grant | None:
        return Grant(self.tokens[token], self.epochs.get(token, 0)) if token in self.tokens else None


@dataclass
class MemoryCodes:
    """The port Codes."""

    codes: dict[str, Proof] = field(default_factory=dict)
    issued: int = 0

    def issue(self, proof: Proof) -> str:
        self.codes[code := self.decoy()] = proof
        return code

    def redeem(self, application_id: str, code: str) -> Proof | None:
        proof = self.codes.get(code)
        if proof is None or proof.wanted.application_id != application_id:
            return None
        return self.codes.pop(code)

    def decoy(self) -> str:
        self.issued += 1
        return f"code{self.issued}"


@dataclass
class MemoryQuotas:
    """The port Quotas; time does not pass."""

    spent: dict[str, int] = field(default_factory=dict)

    def spend(self, name: str, most: int, seconds: int) -> Spent:
        allowed = self.spent.get(name, 0) < most
        self.spent[name] = self.spent.get(name, 0) + allowed
        return Spent(name=name, span=0, seconds=seconds, allowed=allowed)

    def give_back(self, spent: Spent) -> None:
        self.spent[spent.name] -= 1


@dataclass
class MemoryWebhooks:
    """The port Webhooks."""

    rows: dict[str, Webhook] = field(default_factory=dict)

    def put(self, webhook: Webhook) -> None:
        self.rows[webhook.id] = webhook

    def change(self, old: Webhook, new: Webhook) -> bool:
        if self.rows.get(old.id) != old:
            return False
        self.put(new)
        return True

    def get(self, application_id: str, id: str) -> Webhook | None:
        return self.rows.get(id)

    def of_application(self, application_id: str) -> list[Webhook]:
        return list(self.rows.values())

    def delete(self, application_id: str, id: str) -> None:
        self.rows.pop(id, None)


@dataclass
class MemoryLog:
    """The port ChangeLog; keeps every entry, and counts looks at the counter."""

    entries: list[Delta] = field(default_factory=list)
    first: int = 1
    peeks: int = 0

    def append(self, account_id: str, changes: Sequence[Change], at: int) -> None:
        for change in changes:
            self.entries.append(Delta(seq=len(self.entries) + 1, at=at, change=change))

    def head(self, account_id: str) -> tuple[int, int]:
        return (self.entries[-1].seq, self.entries[-1].at) if self.entries else (0, 0)

    def peek(self, account_id: str) -> int:
        self.peeks += 1
        return len(self.entries)

    def places(self, account_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        return {id: self.head(id) for id in account_ids if self.entries}

    def since(self, account_id: str, seq: int, limit: int) -> list[Delta]:
        if seq > len(self.entries) or self.first > seq + 1 <= len(self.entries):
            raise CursorTooOld("too old")
        return self.entries[seq : seq + limit]

    def before(self, account_id: str, moment: int) -> tuple[int, int]:
        earlier = [(entry.seq, entry.at) for entry in self.entries if entry.at <= moment]
        return earlier[-1] if earlier else (0, 0)

    def heads(self, account_id: str, names: Iterable[ObjectKey]) -> dict[ObjectKey, Change]:
        latest = {entry.change.name: entry.change for entry in self.entries}
        return {name: latest[name] for name in names if name in latest}

    def heads_after(self, account_id: str, place: str) -> tuple[list[Change], str]:
        return list({entry.change.name: entry.change for entry in self.entries}.values()), ""


@dataclass
class MemorySlots:
    """The port Slots; time does not pass."""

    held: dict[str, set[int]] = field(default_factory=dict)

    def take(self, name: str, most: int, seconds: float) -> Slot | None:
        held = self.held.setdefault(name, set())
        free = set(range(most)) - held
        if len(held) >= most:
            return None
        held.add(number := min(free))
        return Slot(name=name, number=number, rev=1)

    def taken(self, name: str) -> int:
        return len(self.held.get(name, ()))

    def give_back(self, slot: Slot) -> None:
        self.held[slot.name].discard(slot.number)


@dataclass
class MemoryPolls:
    """The port Polls."""

    rows: dict[str, Poll] = field(default_factory=dict)
    until: int = 0

    def put(self, poll: Poll) -> None:
        self.rows[poll.account_id] = poll

    def rest(self, account_id: str, until: int) -> None:
        if account_id in self.rows:
            self.rows[account_id] = replace(self.rows[account_id], retry_at=until)

    def remove(self, account_id: str) -> None:
        self.rows.pop(account_id, None)

    def all(self) -> Iterator[Poll]:
        yield from self.rows.values()

    def covered(self) -> int:
        return self.until

    def cover(self, until: int) -> None:
        self.until = until


@dataclass
class MemoryQueues:
    """The port Queues; jobs come out as JSON leaves them."""

    sent: list[Job] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    backlog: int = 0

    def send(
        self,
        jobs: Sequence[Job],
        group: str | Sequence[str],
        delay: int = 0,
        spread: Sequence[int] = (),
    ) -> None:
        queue = only_queue(jobs)
        self.sent += [load(queue, json.loads(json.dumps(dump(job)))) for job in jobs]
        self.groups += [group] * len(jobs) if isinstance(group, str) else group
        self.delays += spread or [delay] * len(jobs)

    def of(self, kind: type[J]) -> list[J]:
        """Return the jobs of one type."""
        return [job for job in self.sent if isinstance(job, kind)]

    def on(self, queue: Queue[Any]) -> list[Job]:
        """Return the jobs of one queue."""
        return [job for job in self.sent if job.queue == queue]

    def take(self, kind: type[J]) -> J:
        """Remove the first job of a type and return it."""
        first = next(at for at, job in enumerate(self.sent) if isinstance(job, kind))
        return cast(J, self.sent.pop(first))

    def waiting(self, queue: Queue[Any]) -> int:
        return self.backlog


@dataclass
class MemoryServer:
    """A mail server of both kinds; `refused` is what `send` answers."""

    filed: list[tuple[str, bytes, Flags]] = field(default_factory=list)
    mailed: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    files_itself: bool = False
    failure: Exception | None = None

    def verify(self) -> None:
        pass

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> dict[str, tuple[int, str]]:
        self.mailed.append((sender, list(recipients), raw))
        return self.refused

    def collections(self) -> list[Collection]:
        return [Collection(id="INBOX", name="INBOX", role="inbox")]

    def fetch(self, collection_id: str, id: RemoteId) -> bytes:
        raise AssertionError("no test lets the copy expire")

    def apply(self, edits: Sequence[Edit]) -> None:
        pass

    def append(self, collection_id: str, raw: bytes, flags: Flags) -> None:
        if self.failure:
            raise self.failure
        self.filed.append((collection_id, raw, flags))

    def find(self, collection_id: str, message_id: str) -> RemoteId | None:
        is_there = self.files_itself or any(message_id.encode() in raw for _, raw, _ in self.filed)
        return RemoteId("0000000001.0000000001") if is_there else None

    def end(self, collection_id: str) -> str:
        return f"0000000001.{len(self.filed) + 1:010d}"

    def lost_since(self, collection_id: str, end: str) -> bool:
        return False

    def close(self) -> None:
        pass


@dataclass
class MemoryServices:
    """What `services()` returns in tests."""

    settings: Settings = SETTINGS
    mail: MemoryMail = field(default_factory=MemoryMail)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    filings: MemoryFilings = field(default_factory=MemoryFilings)
    log: MemoryLog = field(default_factory=MemoryLog)
    accounts: MemoryAccounts = field(default_factory=MemoryAccounts)
    applications: MemoryApplications = field(default_factory=MemoryApplications)
    tokens: MemoryTokens = field(default_factory=MemoryTokens)
    codes: MemoryCodes = field(default_factory=MemoryCodes)
    quotas: MemoryQuotas = field(default_factory=MemoryQuotas)
    webhooks: MemoryWebhooks = field(default_factory=MemoryWebhooks)
    deliveries: MemoryDeliveries = field(default_factory=MemoryDeliveries)
    circuits: MemoryCircuits = field(default_factory=MemoryCircuits)
    web: Client = field(default_factory=Client)
    polls: MemoryPolls = field(default_factory=MemoryPolls)
    queues: MemoryQueues = field(default_factory=MemoryQueues)
    slots: MemorySlots = field(default_factory=MemorySlots)
    checkpoints: MemoryCheckpoints = field(default_factory=MemoryCheckpoints)
    quarantine: MemoryQuarantine = field(default_factory=MemoryQuarantine)
    backfills: MemoryBackfills = field(default_factory=MemoryBackfills)
    usage: MemoryUsage = field(default_factory=MemoryUsage)
    allowances: Allowances = field(default_factory=allowances)
    server: MemoryServer = field(default_factory=MemoryServer)
    passwords: dict[tuple[str, str], str] = field(default_factory=dict)
    logins: list[tuple[str, str]] = field(default_factory=list)
    searches: list[tuple[str, int]] = field(default_factory=list)

    enter_backfill = Services.enter_backfill
    call_backfills = Services.call_backfills
    slow_down = Services.slow_down
    budgets = Services.budgets
    delivering = Services.delivering
    health = Services.health
    office = Services.office
    announce = Services.announce
    deliver = Services.deliver
    post = Services.post
    destinations = Services.destinations
    reach = Services.reach

    @property
    def meter(self) -> Quota:
        return Quota(usage=self.usage, allowances=self.allowances)

    @property
    def backfilling(self) -> Backfilling:
        return Backfilling(
            backfills=self.backfills,
            queues=self.queues,
            meter=self.meter,
            sync=self.fetch_history,
            logged=lambda account_id, id: True,
            seconds=self.settings.backfill_seconds,
        )

    def fetch_history(self, account: Account, deadline: Deadline, pace: Pace) -> Outcome:
        return Outcome.CURRENT

    def mailbox(self, kind: str, settings: MailSettings, reach: Any = None) -> Any:
        return self.logged_in(settings.imap)

    def submission(self, kind: str, settings: MailSettings, reach: Any = None) -> Any:
        return self.logged_in(settings.smtp)

    def logged_in(self, server: Server) -> MemoryServer:
        """Let in whoever sends the password that `passwords` has for host and user; who is not there, too."""
        self.logins.append((server.host, server.username))
        right = self.passwords.get((server.host, server.username), server.password)
        if server.password != right:
            raise AuthRejected("535 the words of a server nobody trusts", step="login")
        return self.server

    def provider(self, account: Account) -> Any:
        return self.server

    def transport(self, account: Account) -> Any:
        return self.server

    @property
    def contents(self) -> Contents:
        return Contents(mail=self.mail, blobs=self.blobs, provider=self.provider)

    def search(self, account: Account, query: str, most: int) -> list[Message]:
        self.searches.append((query, most))
        if self.server.failure:
            raise self.server.failure
        found = self.mail.newest_messages(account.id)
        return [message for message in found if query in message.subject][:most]

    def window(self, account: Account) -> Retention:
        return Retention(days=account.history_days or 0, exceptions=account.folder_days)

    send = Services.send
    finish_sending = Services.finish_sending
    _sending = Services._sending
    _remember = Services._remember
