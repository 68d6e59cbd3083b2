"""The composition root: the only place where adapters meet use cases.

Imports are lazy here, so that each function loads only what it uses.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from chalicelib.clock import Deadline
from chalicelib.config import Settings
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.jobs import FileSentMail, QueuedEdit
from chalicelib.domain.log.delta import Change
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.retention import Retention
from chalicelib.domain.webhooks.webhook import Webhook
from chalicelib.ids import random_id

if TYPE_CHECKING:
    from chalicelib.domain.mail.folder import Folder
    from chalicelib.domain.sync.budget import AccountBudget, HostBudget
    from chalicelib.domain.sync.quarantine import Quarantined
    from chalicelib.domain.webhooks.response import HttpResponse
    from chalicelib.errors import Throttled
    from chalicelib.providers.base import Provider, Transport
    from chalicelib.providers.network.client import Client
    from chalicelib.providers.network.egress import EgressPolicy
    from chalicelib.sending.letter import Letter
    from chalicelib.sending.send import Sending
    from chalicelib.store.aws.destinations import AwsDestinations
    from chalicelib.store.core.vault import Vault
    from chalicelib.store.objects.mail import MailTable
    from chalicelib.store.ports.accounts import Accounts, Applications, Codes, Tokens
    from chalicelib.store.ports.log import ChangeLog, Objects, Reconciliations
    from chalicelib.store.ports.mail import Blobs, Filings
    from chalicelib.store.ports.sync import Backfills, Checkpoints, Places, Polls, Quarantine, Usage
    from chalicelib.store.ports.webhooks import Circuits, Deliveries, Webhooks
    from chalicelib.store.ports.work import Queues, Quotas, Slots
    from chalicelib.sync.accounts.crowd import Crowd
    from chalicelib.sync.accounts.health import Health
    from chalicelib.sync.core.stores import SyncStores
    from chalicelib.sync.engine.run import Outcome
    from chalicelib.sync.history.backfill import Backfilling
    from chalicelib.sync.history.meter import Quota
    from chalicelib.sync.requests.content import Contents
    from chalicelib.sync.safety.comparison import Findings
    from chalicelib.webhooks.delivery.deliver import Delivering
    from chalicelib.webhooks.delivery.request import Send
    from chalicelib.webhooks.manage.office import EndpointAdmin


@dataclass
class Services:
    """Everything an entry point may need, each part built when it is first asked for."""

    settings: Settings = field(default_factory=Settings.from_env)

    @cached_property
    def dynamodb(self) -> Any:
        """The client of DynamoDB."""
        from chalicelib.store.aws.connection import client

        return client(self.settings, "dynamodb")

    @cached_property
    def vault(self) -> Vault:
        """Sealing of credentials."""
        from chalicelib.store.core.vault import Vault

        return Vault(self.settings)

    @cached_property
    def mail(self) -> MailTable:
        """Messages, threads and folders."""
        from chalicelib.store.objects.mail import MailTable

        return MailTable(self.dynamodb, self.settings)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Sync progress and leases."""
        from chalicelib.store.core.checkpoints import CheckpointTable

        return CheckpointTable(self.settings)

    @cached_property
    def filings(self) -> Filings:
        """Copies of sent mail on their way."""
        from chalicelib.store.objects.filings import FilingTable

        return FilingTable(self.dynamodb, self.settings)

    @cached_property
    def blobs(self) -> Blobs:
        """Raw MIME."""
        from chalicelib.store.aws.blobs import S3Blobs

        return S3Blobs(self.settings)

    @cached_property
    def log(self) -> ChangeLog:
        """The delta log."""
        from chalicelib.store.log.log import LogTable

        return LogTable(self.dynamodb, self.settings)

    @cached_property
    def objects(self) -> Objects:
        """Everything the log tells of."""
        from chalicelib.store.objects.walk import ObjectTable

        return ObjectTable(self.dynamodb, self.settings)

    @cached_property
    def reconciliations(self) -> Reconciliations:
        """How far logs have been compared with their objects."""
        from chalicelib.store.work.reconciliations import ReconciliationTable

        return ReconciliationTable(self.dynamodb, self.settings)

    @cached_property
    def accounts(self) -> Accounts:
        """Connected accounts."""
        from chalicelib.store.core.accounts import AccountTable

        return AccountTable(self.settings, self.vault)

    @cached_property
    def quarantine(self) -> Quarantine:
        """Messages that cannot be taken in."""
        from chalicelib.store.core.quarantine import QuarantineTable

        return QuarantineTable(self.dynamodb, self.settings)

    @cached_property
    def health(self) -> Health:
        """How failures of a sync are recorded."""
        import random

        from chalicelib.sync.accounts.health import Health

        share = random.SystemRandom().random
        return Health(accounts=self.accounts, polls=self.polls, share=share, now=time.time)

    @cached_property
    def applications(self) -> Applications:
        """Customers' programs."""
        from chalicelib.store.core.applications import ApplicationTable

        return ApplicationTable(self.settings, self.vault)

    @cached_property
    def tokens(self) -> Tokens:
        """Access tokens."""
        from chalicelib.store.core.tokens import TokenTable

        return TokenTable(self.settings)

    @cached_property
    def codes(self) -> Codes:
        """One-time codes."""
        from chalicelib.store.work.codes import CodeTable

        return CodeTable(self.dynamodb, self.settings, self.vault)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Customers' endpoints."""
        from chalicelib.store.core.webhooks import WebhookTable

        return WebhookTable(self.settings)

    @cached_property
    def deliveries(self) -> Deliveries:
        """Lanes, notifications, wake-ups."""
        from chalicelib.store.work.deliveries import DeliveryTable

        return DeliveryTable(self.dynamodb, self.settings)

    @cached_property
    def circuits(self) -> Circuits:
        """How endpoints answer."""
        from chalicelib.store.work.circuits import CircuitTable

        return CircuitTable(self.dynamodb, self.settings)

    @cached_property
    def polls(self) -> Polls:
        """Accounts to be polled."""
        from chalicelib.store.work.polls import PollTable

        return PollTable(self.dynamodb, self.settings)

    @cached_property
    def backfills(self) -> Backfills:
        """Accounts whose history is still to come."""
        from chalicelib.store.work.backfills import BackfillTable

        return BackfillTable(self.dynamodb, self.settings)

    @cached_property
    def usage(self) -> Usage:
        """Bytes read from mail servers."""
        from chalicelib.store.work.usage import UsageTable

        return UsageTable(self.dynamodb, self.settings)

    @cached_property
    def meter(self) -> Quota:
        """Those bytes held against what a day allows."""
        from chalicelib.domain.sync.allowance import Allowances
        from chalicelib.sync.history.meter import Quota

        settings = self.settings
        allowances = Allowances(
            account_megabytes=settings.account_megabytes,
            host_megabytes=settings.host_megabytes,
            backfills_per_host=settings.backfills_per_host,
            backfills_per_application=settings.backfills_per_application,
        )
        return Quota(usage=self.usage, allowances=allowances)

    @cached_property
    def slots(self) -> Slots:
        """Limits of simultaneous requests."""
        from chalicelib.store.work.slots import SlotTable

        return SlotTable(self.dynamodb, self.settings)

    @cached_property
    def quotas(self) -> Quotas:
        """Limits of requests in a span of time."""
        from chalicelib.store.work.quotas import QuotaTable

        return QuotaTable(self.dynamodb, self.settings)

    @cached_property
    def queues(self) -> Queues:
        """The queues between the functions."""
        from chalicelib.store.aws.queues import SqsQueues

        return SqsQueues(self.settings)

    @cached_property
    def web(self) -> Client:
        """HTTP with hosts that customers name."""
        from chalicelib.providers.network.client import Client

        return Client(reach=self.reach)

    @cached_property
    def reach(self) -> EgressPolicy:
        """Which of the hosts that users name may be connected to."""
        from chalicelib.providers.network.egress import EgressPolicy

        here = self.settings
        return EgressPolicy(local=here.local, networks=here.mail_networks, ca_file=here.mail_ca_file)

    @cached_property
    def post(self) -> Send:
        """The way to webhook endpoints: HTTP, and by the scheme of their URL queues and event buses."""
        from chalicelib.domain.webhooks.destination import SCHEMES

        def send(url: str, body: bytes, headers: Mapping[str, str], application_id: str) -> HttpResponse:
            if url.partition(":")[0] in SCHEMES:
                return self.destinations.post(url, body, headers, application_id)
            return self.web.post(url, body, headers)

        return send

    @cached_property
    def destinations(self) -> AwsDestinations:
        """Queues and event buses of customers."""
        from chalicelib.store.aws.destinations import AwsDestinations

        return AwsDestinations(self.settings)

    @cached_property
    def delivering(self) -> Delivering:
        """What delivering of notifications works with."""
        import random

        from chalicelib.webhooks.delivery.deliver import Delivering

        return Delivering(
            webhooks=self.webhooks,
            applications=self.applications,
            deliveries=self.deliveries,
            circuits=self.circuits,
            log=self.log,
            send=self.post,
            jitter=random.SystemRandom().uniform,
            now=time.time,
        )

    @cached_property
    def office(self) -> EndpointAdmin:
        """What an owner may ask about and do to endpoints."""
        from chalicelib.webhooks.manage.office import EndpointAdmin

        return EndpointAdmin(delivering=self.delivering, accounts=self.accounts, get=self.web.get)

    def announce(self, account: Account, first_seq: int) -> None:
        """Have every webhook of an account's application told of its log from there on."""
        from chalicelib.webhooks.delivery import fanout

        fan_out = fanout.FanOut(
            log=self.log, deliveries=self.deliveries, circuits=self.circuits, queues=self.queues
        )
        for webhook in self.webhooks.of_application(account.application_id):
            fan_out.tell(webhook, account.id, first_seq=first_seq, now=int(time.time()))

    def deliver(self, webhook: Webhook, lane_key: str, deadline: Deadline) -> None:
        """Tell an endpoint what is left of a lane, or with no key look at all its lanes."""
        from chalicelib.ids import random_id
        from chalicelib.webhooks.delivery import recovery

        if not lane_key:
            recovery.Recovery(inner=self.delivering, queues=self.queues, start=random_id()).go(
                webhook, deadline
            )
            return
        lane = self.deliveries.lane(webhook.id, lane_key)
        if lane and (lane.replay or lane.epoch == webhook.activated_at):
            self.delivering.work(webhook, lane, deadline)

    def mailbox(self, kind: str, settings: MailSettings, reach: EgressPolicy | None = None) -> Provider:
        """Connect to a mail server as that kind of provider."""
        from chalicelib.providers import registry

        return registry.provider(kind, settings, reach or self.reach)

    def submission(self, kind: str, settings: MailSettings, reach: EgressPolicy | None = None) -> Transport:
        """Return the way to send of that kind of provider."""
        from chalicelib.providers import registry

        return registry.transport(kind, settings, reach or self.reach)

    def provider(self, account: Account) -> Provider:
        """Connect to the account's mail server."""
        return self.mailbox(account.provider, self.accounts.settings(account.id))

    def transport(self, account: Account) -> Transport:
        """Return the account's way to send."""
        return self.submission(account.provider, self.accounts.settings(account.id))

    @cached_property
    def workspace(self) -> SyncStores:
        """What the sync engine works with."""
        from chalicelib.sync.core.stores import Safety, SyncStores

        return SyncStores(
            mail=self.mail,
            checkpoints=self.checkpoints,
            blobs=self.blobs,
            accounts=self.accounts,
            provider=self.provider,
            history_days=self.settings.history_days,
            application_days=self._application_days,
            quarantine=self.quarantine,
            filings=self.filings,
            safety=Safety(seconds=self.settings.removal_seconds),
        )

    def _application_days(self, application_id: str) -> int | None:
        application = self.applications.get(application_id)
        return application.history_days if application else None

    def window(self, account: Account) -> Retention:
        """Return how much of an account's mail is kept."""
        return self.workspace.window(account)

    def search(self, account: Account, query: str, most: int) -> list[Message]:
        """Return up to `most` messages that the account's mail server finds, newest first."""
        from chalicelib.sync.requests import searching

        deadline = Deadline.after(self.settings.search_seconds)
        return searching.search(self.workspace, account, query, most, deadline)

    @cached_property
    def contents(self) -> Contents:
        """Bodies, files and raw mail."""
        from chalicelib.sync.requests.content import Contents

        return Contents(mail=self.mail, blobs=self.blobs, provider=self.provider)

    def send(self, account: Account, letter: Letter) -> Message:
        """Send a mail through the account's own server. Raises SendFailed."""
        return self._sending(account).send(account, letter, random_id(), int(time.time()))

    def finish_sending(self, account: Account, job: FileSentMail) -> None:
        """Store and file a mail that was sent, unless that was done already. Raises ProviderError."""
        raw = self.blobs.get(job.key, 0, job.length)
        if raw is not None:
            self._sending(account).finish(account, raw, job.at)

    def file_again(self, account: Account, entry: Quarantined) -> None:
        """Offer the copy of a sent mail once more, as long as we have it. A refusal is noted, and no more."""
        from chalicelib import bounds
        from chalicelib.errors import NotTaken

        key = f"raw/{account.id}/{entry.remote_id}"
        with suppress(NotTaken):
            self.finish_sending(
                account,
                FileSentMail(account_id=account.id, key=key, length=bounds.SENT_BYTES, at=entry.first_at),
            )

    def _sending(self, account: Account) -> Sending:
        from chalicelib.domain.mail.filing import Filing, filing_key
        from chalicelib.sending.send import Sending
        from chalicelib.sending.unfiled import Unfiled
        from chalicelib.sync.mail.sent import forget_sent, name_sent, record_sent

        window = self.window(account)

        def forget(raw: bytes, folder: Folder) -> None:
            self.sync(account, self.working_time())  # it may have been moved: then it is known elsewhere
            forget_sent(self.mail, self.blobs, account, raw, folder, window=window)

        return Sending(
            mail=self.mail,
            remember=partial(self._remember, account),
            record=partial(record_sent, self.mail, self.blobs, account, window=window),
            name=partial(name_sent, self.mail, self.blobs, account, window=window),
            forget=forget,
            unfiled=Unfiled(quarantine=self.quarantine, account_id=account.id, now=time.time),
            filing=lambda raw: self.filings.get(account.id, filing_key(raw)) or Filing(),
            note=lambda raw, filing: self.filings.put(account.id, filing_key(raw), filing),
            transport=partial(self.transport, account),
            provider=partial(self.provider, account),
        )

    def _remember(self, account: Account, raw: bytes, at: int) -> None:
        from chalicelib.domain.mail.filing import Filing, filing_key

        name = filing_key(raw)
        key = f"raw/{account.id}/{name}"
        self.blobs.put(key, raw)
        job = FileSentMail(account_id=account.id, key=key, length=len(raw), at=at)
        self.queues.send([job], account.id, delay=self.settings.finish_seconds)
        self.filings.put(account.id, name, Filing())

    def working_time(self) -> Deadline:
        """Return how long a worker may take, from now on."""
        return Deadline.after(self.settings.sync_seconds)

    def sync(self, account: Account, deadline: Deadline) -> Outcome:
        """Bring what is new in one account, and the beginning of its history."""
        from chalicelib.sync.history import live

        return live.sync(self.workspace, self.meter, self.backfills, account, deadline, self.crowd)

    @cached_property
    def places(self) -> Places:
        """Live syncs that take long."""
        from chalicelib.store.work.places import PlaceTable

        return PlaceTable(self.dynamodb, self.settings)

    @cached_property
    def crowd(self) -> Crowd:
        """How many of them there may be."""
        from chalicelib.sync.accounts.crowd import Crowd

        return Crowd(
            places=self.places,
            per_application=self.settings.syncs_per_application,
            per_server=self.settings.syncs_per_server,
            seconds=self.settings.sync_seconds,
            now=time.time,
        )

    @cached_property
    def backfilling(self) -> Backfilling:
        """What history works with."""
        from chalicelib.sync.engine import run
        from chalicelib.sync.history.backfill import Backfilling

        return Backfilling(
            backfills=self.backfills,
            queues=self.queues,
            meter=self.meter,
            sync=partial(run.sync_account, self.workspace),
            logged=lambda account_id, id: bool(self.log.heads(account_id, [("message", id)])),
            seconds=self.settings.backfill_seconds,
        )

    def enter_backfill(self, account: Account, *, begun: bool) -> None:
        """Have an account's history fetched in turns, or the rest of it if it has begun."""

        self.backfilling.enter(account, begun=begun)

    def take_turn(self, account: Account) -> None:
        """Fetch the history of an account for a while. Raises ProviderError."""

        self.backfilling.take_turn(account)

    def call_backfills(self) -> None:
        """Enqueue the accounts whose turn it is."""

        self.backfilling.call_due()

    def budgets(self, accounts: Sequence[Account]) -> tuple[list[AccountBudget], list[HostBudget], int]:
        """Return the budgets of accounts and of their mail servers, and when the day ends (Unix seconds)."""
        from chalicelib.domain.sync.allowance import next_day
        from chalicelib.sync.history import budgets

        return *budgets.read(self.meter, self.backfills, accounts), next_day(time.time())

    def slow_down(self, account: Account, error: Throttled) -> None:
        """Spare a mail server that has asked for patience."""

        self.backfilling.slow_down(account, error)

    def repair(self, account: Account, deadline: Deadline, settled: int | None) -> Findings | None:
        """Compare an account with its server and put right what differs; None if a worker is there.

        What the API wrote less than `settled` seconds ago is left alone.
        """
        from chalicelib.sync.safety import comparison

        wait = comparison.SETTLED_SECONDS if settled is None else settled
        findings = comparison.repair(self.workspace, account, deadline, wait)
        for entry in self.quarantine.entries(account.id) if findings else []:
            if entry.is_unfiled and entry.last_at <= time.time() - comparison.RETRY_SECONDS:
                self.file_again(account, entry)
        return findings

    def retry_quarantined(self, account: Account, id: str) -> bool:
        """Try a message that was set aside once more; False if another worker is at the account."""
        from chalicelib.sync.safety import retry

        entry = self.quarantine.get(account.id, id)
        if entry and entry.is_unfiled:
            self.file_again(account, entry)
            return True
        return retry.retry(self.workspace, account, id)

    def apply_edits(self, account: Account, wanted: Sequence[QueuedEdit]) -> None:
        """Repeat on the mail server what the API has already done here."""
        from chalicelib.sync.requests import edits

        provider = self.provider(account)
        try:
            edits.apply(provider, wanted)
        finally:
            provider.close()

    def change_of(self, record: Mapping[str, Any]) -> Change | None:
        """Read a record of the streams of `mail` and `core`; None if clients need not hear of it."""
        from chalicelib.store.objects import stream

        return stream.change_of(record)

    def logged(self, record: Mapping[str, Any]) -> tuple[str, int] | None:
        """Read a record of the stream of `log`: the account and its first new sequence number."""
        from chalicelib.store.objects import stream

        return stream.logged(record)


_override: list[Services] = []


def services() -> Services:
    """Return the services of this process."""
    return _override[-1] if _override else _deployed()


@contextmanager
def use(stand_in: Services) -> Iterator[Services]:
    """Let `services()` return something else for a while: the seam for tests."""
    _override.append(stand_in)
    try:
        yield stand_in
    finally:
        _override.pop()


@lru_cache(maxsize=1)
def _deployed() -> Services:
    return Services()
