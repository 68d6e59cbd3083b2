"""Send a mail now: hand it to the provider, file it in Sent once, and show it at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from chalicelib import bounds
from chalicelib.domain.account import Account
from chalicelib.domain.change import Flags
from chalicelib.domain.folder import Folder
from chalicelib.domain.message import Message
from chalicelib.errors import InvalidRequest, ProviderError, SendFailed, TooLarge
from chalicelib.formats.mime import parse
from chalicelib.providers.base import Provider, Transport
from chalicelib.sending.compose import Stamp, compose
from chalicelib.sending.letter import Letter, own
from chalicelib.store.ports import Mail

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What sending works with: the account's servers, and two ways to keep what was sent.

    `remember` takes the raw mail and the time and makes sure that `finish` is called for them, even if we
    die here. `record` stores the mail as a message; it takes the folder it goes to, too (None: nowhere).
    """

    mail: Mail
    remember: Callable[[bytes, int], None]
    record: Callable[[bytes, Folder | None, int], Message]
    transport: Callable[[], Transport]
    provider: Callable[[], Provider]


def send(desk: Desk, account: Account, letter: Letter, id: str, now: int) -> Message:
    """Return the message once the provider has accepted it for everybody. Raises SendFailed.

    `id` makes the Message-ID. A partial refusal raises too, after the message was stored as sent.
    """
    parent = _parent(desk.mail, account, letter)
    stamp = Stamp(f"<{id}@{own(account).email.rpartition('@')[2]}>", now)
    mail = compose(account, letter, parent, stamp)
    if len(mail.copy) > bounds.SENT_BYTES:
        raise TooLarge(
            f"The mail has {len(mail.copy)} bytes; {bounds.SENT_BYTES} are allowed. Nothing was sent."
        )
    refused = desk.transport().send(own(account).email, letter.recipients, mail.wire)
    desk.remember(mail.copy, now)
    message = desk.record(mail.copy, _sent(desk, account), now)
    try:
        _file(desk, account, mail.copy)
    except ProviderError as error:  # the mail is out; `finish` tries again
        log.warning("a sent mail could not be filed: %s", type(error).__name__)
    if refused:
        raise SendFailed(
            402,
            "Sending to at least one recipient failed. The message was sent to the others: do not repeat it.",
            failures={address: list(reply) for address, reply in refused.items()},
            message_id=message.id,
        )
    return message


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


def finish(desk: Desk, account: Account, raw: bytes, at: int) -> None:
    """Store and file a mail that was sent at that time; what is done already is left alone.

    Stored before it is filed: sync then recognises the copy in Sent, however soon it sees it.
    """
    desk.record(raw, _sent(desk, account), at)
    _file(desk, account, raw)


def _sent(desk: Desk, account: Account) -> Folder | None:
    return next((folder for folder in desk.mail.folders(account.id) if folder.role == "sent"), None)


def _file(desk: Desk, account: Account, raw: bytes) -> None:
    """Put a copy into Sent unless it is there: some servers file what they submit."""
    if account.labelled:  # Gmail does so itself, in its own time: a second copy would stay
        return
    sent, message_id = _sent(desk, account), parse(raw).message_id
    if sent is None or message_id is None:
        return
    with closing(desk.provider()) as provider:
        if provider.find(sent.collection, message_id) is None:
            provider.append(sent.collection, raw, Flags("s"))
