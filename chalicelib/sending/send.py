"""Send a mail now: hand it to the provider, file it in Sent once, and show it at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.filing import Filing, Stage
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.errors import AuthRejected, InvalidRequest, NotTaken, ProviderError, SendFailed, TooLarge
from chalicelib.formats.mime.mime import parse
from chalicelib.providers.base import Provider, Transport
from chalicelib.sending.compose import Stamp, compose
from chalicelib.sending.letter import Letter, own
from chalicelib.sending.unfiled import Unfiled
from chalicelib.store.ports.mail import Mail

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """Sends through the servers of one account, and keeps what was sent in two ways.

    `remember` takes the raw mail and the time and makes sure that `finish` is called for them, even if we
    die here. `record` stores the mail as a message; it takes the folder it goes to, too (None: nowhere).
    `name` tells what the server calls the copy there, `forget` takes back that there is one, if sync has
    never seen it. `filing` tells how far the copy has come, `note` keeps that, and `unfiled` is for copies
    that the server does not take.
    """

    mail: Mail
    remember: Callable[[bytes, int], None]
    record: Callable[[bytes, Folder | None, int], Message]
    name: Callable[[bytes, Folder, int, RemoteId], None]
    forget: Callable[[bytes, Folder], None]
    filing: Callable[[bytes], Filing]
    note: Callable[[bytes, Filing], None]
    unfiled: Unfiled
    transport: Callable[[], Transport]
    provider: Callable[[], Provider]

    def send(self, account: Account, letter: Letter, id: str, now: int) -> Message:
        """Return the message once the provider has accepted it for everybody. Raises SendFailed.

        `id` makes the Message-ID. A partial refusal raises too, after the message was stored as sent.
        """
        parent = _parent(self.mail, account, letter)
        stamp = Stamp(f"<{id}@{own(account).email.rpartition('@')[2]}>", now)
        mail = compose(account, letter, parent, stamp)
        if len(mail.copy) > bounds.SENT_BYTES:
            raise TooLarge(
                f"The mail has {len(mail.copy)} bytes; {bounds.SENT_BYTES} are allowed. Nothing was sent."
            )
        refused = self.transport().send(own(account).email, letter.recipients, mail.wire)
        self.remember(mail.copy, now)
        sent = self._sent(account)
        message = self.record(mail.copy, sent, now)
        try:
            self._file(account, mail.copy, sent)
        except ProviderError as error:  # the mail is out; `finish` tries again
            log.warning("a sent mail could not be filed: %s", type(error).__name__)
        if refused:
            raise SendFailed(
                402,
                "Sending to at least one recipient failed. The message was sent to the others: "
                "do not repeat it.",
                failures={address: list(reply) for address, reply in refused.items()},
                message_id=message.id,
            )
        return message

    def finish(self, account: Account, raw: bytes, at: int) -> None:
        """Store and file a mail that was sent at that time; what is done already is left alone.

        Stored before it is filed: sync then recognises the copy in Sent, however soon it sees it. A copy that
        has been in Sent and is no longer there was deleted by somebody: that is taken over, and it is never
        filed again. Raises ProviderError; if that goes on, the account's owner is told.
        """
        sent = self._sent(account)
        try:
            self._finish(account, raw, sent, at)
        except AuthRejected:  # which the account says itself
            raise
        except ProviderError as error:
            if sent:
                self.unfiled.note(sent.id, raw, error.message)
            raise
        if sent:
            self.unfiled.clear(sent.id, raw)

    def _finish(self, account: Account, raw: bytes, sent: Folder | None, at: int) -> None:
        filing = self.filing(raw)
        if filing.stage is not Stage.FILED and not self._has_gone(raw, sent, filing):
            self.record(raw, sent, at)
            self._file(account, raw, sent)
        if sent and not account.traits.files_sent:
            self._settle(raw, sent, at)

    def _settle(self, raw: bytes, sent: Folder, at: int) -> None:
        """Give the copy in Sent its name, by which sync will miss it; or take over that it has gone."""
        message_id = parse(raw).message_id
        if message_id is None:
            return
        with closing(self.provider()) as provider:
            found = provider.find(sent.collection, message_id)
        if found:
            self.name(raw, sent, at, found)
        else:
            self.forget(raw, sent)

    def _sent(self, account: Account) -> Folder | None:
        return next((folder for folder in self.mail.folders(account.id) if folder.role == "sent"), None)

    def _file(self, account: Account, raw: bytes, sent: Folder | None) -> None:
        """Put a copy into Sent unless it is there: some servers file what they submit."""
        message_id = parse(raw).message_id
        # Gmail files in its own time: a second copy would stay.
        if sent and message_id and not account.traits.files_sent:
            with closing(self.provider()) as provider:
                is_there = provider.find(sent.collection, message_id) is not None
                if not is_there:
                    self.note(raw, Filing(Stage.OFFERED, provider.end(sent.collection)))
                    is_refused = _refuses(provider, sent, raw)
            if not is_there and is_refused:
                self._append_at_once(sent, raw)
        self.note(raw, Filing(Stage.FILED))

    def _append_at_once(self, sent: Folder, raw: bytes) -> None:
        """Append a copy on a connection that has done nothing else: no server can mind what went before."""
        with closing(self.provider()) as provider:
            provider.append(sent.collection, raw, Flags("s"))

    def _has_gone(self, raw: bytes, sent: Folder | None, filing: Filing) -> bool:
        """Tell whether the server took the copy before we died, and it has been deleted since."""
        message_id = parse(raw).message_id
        if filing.stage is not Stage.OFFERED or sent is None or message_id is None:
            return False
        with closing(self.provider()) as provider:
            if provider.find(sent.collection, message_id) or not provider.lost_since(
                sent.collection, filing.end
            ):
                return False
        self.note(raw, Filing(Stage.FILED))
        return True


def _parent(mail: Mail, account: Account, letter: Letter) -> Message | None:
    id = letter.reply_to_message_id
    if id is not None:
        parent = mail.messages(account.id, [id]).get(id)
        if parent is None:
            raise InvalidRequest(f"reply_to_message_id names no message: {id[:100]}")
        if letter.thread_id not in (None, parent.thread_id):
            raise InvalidRequest("reply_to_message_id belongs to another thread than thread_id")
        return parent
    if letter.thread_id is None:
        return None
    thread = mail.threads(account.id, [letter.thread_id]).get(letter.thread_id)
    if thread is None:
        raise InvalidRequest(f"thread_id names no thread: {letter.thread_id[:100]}")
    last = thread.message_ids[-1]
    return mail.messages(account.id, [last]).get(last)


def _refuses(provider: Provider, sent: Folder, raw: bytes) -> bool:
    """Append a copy; True if the server refuses it. Raises ProviderError if it cannot be known."""
    try:
        provider.append(sent.collection, raw, Flags("s"))
    except NotTaken:
        return True
    return False
