"""Connecting an end user's mailbox, in two steps.

Whoever knows a client id may ask for the first one, so it changes nothing: it tries the credentials and
returns a proof, which waits sealed beside a one-time code. The second one takes the client secret; there the
proof makes an account or renews one, and its sync begins.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.auth import identity, refusals
from chalicelib.domain.accounts.account import Account, SyncState
from chalicelib.domain.accounts.connection import Connection, Proof
from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.accounts.traits import GMAIL
from chalicelib.domain.jobs import CompareAccount
from chalicelib.errors import Conflict, ConnectFailed, ProviderError, SendFailed
from chalicelib.ids import derived_id
from chalicelib.providers.base import Labelled, Provider, Transport
from chalicelib.store.values import Poll, Stale

if TYPE_CHECKING:
    from chalicelib.store.ports.accounts import Accounts
    from chalicelib.store.ports.sync import Polls
    from chalicelib.store.ports.work import Queues

Attempt = Callable[[MailSettings], AbstractContextManager[None]]
PROVIDER = "imap"
DETECT = "detect"
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """Connects mailboxes; two of the callables open the servers of given settings.

    `open_mailbox` takes the kind of provider, too; DETECT leaves it to what the server offers. `begin` has
    the history of a new account fetched; `attempt` counts the logins that are tried within.
    """

    accounts: Accounts
    polls: Polls
    queues: Queues
    begin: Callable[[Account], None]
    open_mailbox: Callable[[str, MailSettings], Provider]
    open_transport: Callable[[MailSettings], Transport]
    pepper: str
    attempt: Attempt = field(default=lambda settings: nullcontext())

    def prove(self, wanted: Connection, now: int, *, trusted: bool = False) -> Proof:
        """Log in to both servers and return the proof; `now` is in Unix milliseconds. Raises ConnectFailed.

        What is known of accounts is told only to who has proven a mailbox of his own. That an address is
        connected with another login is told only to the application; all others get a proof that gives
        nothing.
        """
        known, refusal = self._known(wanted, trusted)
        if known:  # its server alone can say whether another spelling means the same mailbox
            stored = identity.login_of(self.accounts, known)
            wanted = wanted.spelled(stored) if stored.key == wanted.login.key else wanted
        # An account stays what it is: its folders could not become labels, nor the reverse.
        with self.attempt(wanted.settings):
            provider = self.verify(wanted.settings, known.provider if known else DETECT)
        if refusal and (trusted or wanted.reauth_account_id is not None):
            raise refusal
        return Proof(wanted=wanted, provider=provider, at=now, trusted=trusted)

    def redeem(self, proof: Proof, now: int) -> Account:
        """Return the account of a proof, new or renewed, with its sync under way; `now` is in Unix seconds.

        The rules are those of the moment, not those of the proof. A proof older than what the account has
        been connected with since gives access to it and changes nothing. Raises ConnectFailed, Conflict.
        """
        for _ in range(_TRIES):
            target = identity.target(self.accounts, proof.wanted, trusted=proof.trusted)
            try:
                if target is None:
                    return self._create(proof, now)
                return target if self._is_outdated(target, proof) else self._renew(target, proof, now)
            except Stale:
                continue  # somebody else was quicker: who is it now?
        raise Conflict("The account is being connected elsewhere; try again.")

    def verify(self, settings: MailSettings, kind: str) -> str:
        """Log in to both servers; return the provider it turns out to be.

        Raises ConnectFailed naming the step: dns, tcp, tls, login or mailbox.
        """
        try:
            with closing(self.open_mailbox(kind, settings)) as mailbox:
                if not mailbox.collections():
                    raise ConnectFailed("The mailbox has no folders.", error="mailbox", server="imap")
                detected = GMAIL if isinstance(mailbox, Labelled) else PROVIDER
        except ProviderError as error:
            raise refusals.failed(error, "imap", settings.imap) from error
        try:
            self.open_transport(settings).verify()
        except (ProviderError, SendFailed) as error:
            raise refusals.failed(error, "smtp", settings.smtp) from error
        return detected if kind == DETECT else kind

    def _known(self, wanted: Connection, trusted: bool) -> tuple[Account | None, ConnectFailed | None]:
        try:
            return identity.target(self.accounts, wanted, trusted=trusted), None
        except ConnectFailed as error:
            return None, error

    def _is_outdated(self, account: Account, proof: Proof) -> bool:
        """Tell whether the account was connected since. Raises ConnectFailed if another mailbox is proven."""
        stored, proven = identity.login_of(self.accounts, account), proof.wanted.login
        outdated = proof.at < account.proved_at
        if stored != proven and (outdated or stored.key == proven.key):
            raise refusals.another_login()
        return outdated

    def _create(self, proof: Proof, now: int) -> Account:
        wanted = proof.wanted
        account = Account(
            id=derived_id(
                self.pepper, "account", wanted.application_id, wanted.email_address.lower(), wanted.login.key
            ),
            application_id=wanted.application_id,
            email_address=wanted.email_address,
            name=wanted.name,
            provider=proof.provider,
            state=SyncState.INITIALIZING,
            linked_at=now,
            scopes=wanted.scopes,
            host=wanted.settings.imap.host.lower(),
            login=wanted.login,
            proved_at=proof.at,
            epoch=proof.at,
        )
        account = self.accounts.create(wanted.window.applied(account), wanted.settings)
        self._enter(account, now)
        self.begin(account)
        return account

    def _renew(self, account: Account, proof: Proof, now: int) -> Account:
        """Give an account new settings; address and provider stay. With another login its tokens end."""
        wanted = proof.wanted
        moved = identity.login_of(self.accounts, account).key != wanted.login.key
        renewed = replace(
            wanted.window.applied(account),
            name=wanted.name,
            scopes=wanted.scopes,
            host=wanted.settings.imap.host.lower(),
            login=wanted.login,
            proved_at=proof.at,
            epoch=max(proof.at, account.epoch + 1) if moved else account.epoch,
            frozen=() if moved else account.frozen,  # what waits there was missed in the other mailbox
        )
        renewed = self.accounts.reconnect(account, renewed, wanted.settings)
        self._enter(renewed, now)
        # Changes may have been given up while the server refused us.
        self.queues.send([CompareAccount(account_id=renewed.id)], renewed.application_id)
        return renewed

    def _enter(self, account: Account, now: int) -> None:
        self.polls.put(
            Poll(
                account_id=account.id, active_at=now, host=account.host, application_id=account.application_id
            )
        )
