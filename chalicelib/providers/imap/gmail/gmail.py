"""Gmail's extension of IMAP, X-GM-EXT-1: one store of mail, seen through labels.

Every message lies in exactly one of All Mail, Spam and Trash; those three are synced. The other mailboxes
are labels: a message names its own in X-GM-LABELS, and a change of them moves its MODSEQ as a change of
flags does. X-GM-MSGID names a mail wherever it lies, X-GM-THRID its conversation.
https://developers.google.com/workspace/gmail/imap/imap-extensions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.remote import (
    BatchLimits,
    ChangeBatch,
    Collection,
    Cursor,
    Edit,
    Known,
    RemoteId,
    RemoteMessage,
)
from chalicelib.errors import ProviderError
from chalicelib.providers.imap.adapter import ImapProvider
from chalicelib.providers.imap.fetch.mailbox import open_mailbox, remote_id, search_uids, split_id
from chalicelib.providers.imap.gmail.gmail_labels import Labels, gmail_collections
from chalicelib.providers.imap.gmail.gmail_search import search
from chalicelib.providers.imap.protocol.compress import is_far
from chalicelib.providers.imap.protocol.lines import Line, tokens
from chalicelib.providers.imap.protocol.numbers import number, uid_sets
from chalicelib.providers.imap.protocol.session import Session, open_session
from chalicelib.providers.network.egress import PUBLIC, EgressPolicy

_UNTOLD = "Gmail does not tell identity, conversation and labels of this message."
_ITEMS = b"(UID X-GM-MSGID X-GM-THRID X-GM-LABELS)"


@dataclass(frozen=True, slots=True)
class Traits:
    """What Gmail says of a message beyond IMAP; `labels` are ids of collections, sorted."""

    identity: str
    thread: str
    labels: tuple[str, ...]


def offered(session: Session) -> bool:
    """Tell whether the server is Gmail, or like it in all that matters here."""
    return session.can("X-GM-EXT-1") and session.can("CONDSTORE")


def connect(settings: MailSettings, reach: EgressPolicy = PUBLIC) -> GmailProvider:
    """Connect and log in; raises ProviderError with the step `mailbox` if the server is not Gmail."""
    session = open_session(settings, reach=reach, compress=is_far)
    if not offered(session):
        session.close()
        raise ProviderError("The mail server does not offer Gmail's labels (X-GM-EXT-1).", step="mailbox")
    return GmailProvider(session)


def detect(settings: MailSettings, reach: EgressPolicy = PUBLIC) -> ImapProvider:
    """Connect and log in; what the server offers decides, not its name."""
    session = open_session(settings, reach=reach, compress=is_far)
    return GmailProvider(session) if offered(session) else ImapProvider(session)


def traits(session: Session, uids: Iterable[int], labels: Labels) -> dict[int, Traits]:
    """Return what Gmail says of those messages of the open mailbox that are still there."""
    commands = [(b"UID FETCH", part, _ITEMS) for part in uid_sets(sorted(set(uids)))]
    replies = session.wire.run_all(commands)
    return dict(
        found for reply in replies for line in reply.or_fail().lines if (found := _traits(line, labels))
    )


class GmailProvider(ImapProvider):
    """A Gmail mailbox behind an open IMAP connection."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._labels: Labels | None = None

    def collections(self) -> Sequence[Collection]:
        """List All Mail, Spam and Trash, then the labels. Raises ProviderError if All Mail is hidden."""
        found, self._labels = gmail_collections(self._session)
        return found

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        """Return the next bounded batch with labels, identities and threads. Raises CursorExpired."""
        labels = self._known_labels()
        batch = super().changes(collection, cursor, known, budget)
        names = [*(message.id for message in batch.arrived), *batch.flags]
        found = self._traits(names, labels)
        return replace(
            batch,
            arrived=tuple(_described(batch.arrived, found)),
            unreadable={**batch.unreadable, **self._untold(batch.arrived, found)},
            labels={id: found[id].labels for id in batch.flags if id in found},
        )

    def items(self, collection: Collection, ids: Sequence[RemoteId]) -> Sequence[RemoteMessage]:
        """Return those of these messages that are still there and can be read."""
        labels = self._known_labels()
        arrived = super().items(collection, ids)
        return list(_described(arrived, self._traits([message.id for message in arrived], labels)))

    def labels(self, collection: Collection, ids: Sequence[RemoteId]) -> Mapping[RemoteId, tuple[str, ...]]:
        """Return the labels of those of these messages that are still there."""
        labels = self._known_labels()
        uidvalidity = open_mailbox(self._session, collection.id).uidvalidity
        valid = [id for id in ids if split_id(id)[0] == uidvalidity]
        return {id: traits.labels for id, traits in self._traits(valid, labels).items()}

    def search(self, collection_id: str, query: str, limit: int) -> Sequence[RemoteId]:
        """Return what Gmail's own search syntax finds, newest first. Raises Gone."""
        uidvalidity = open_mailbox(self._session, collection_id).uidvalidity
        return [remote_id(uidvalidity, uid) for uid in search(self._session, query)[: -limit - 1 : -1]]

    def bring(
        self, collection_id: str, ids: Sequence[RemoteId], budget: BatchLimits
    ) -> Sequence[RemoteMessage]:
        """Return those of these messages that are still there, as far as the budget goes."""
        labels = self._known_labels()
        brought = super().bring(collection_id, ids, budget)
        return list(_described(brought, self._traits([message.id for message in brought], labels)))

    def apply(self, edits: Sequence[Edit]) -> None:
        """Make changes in order: flags, labels, place; an item that is no longer there is passed over."""
        if any(edit.add_labels or edit.remove_labels for edit in edits):
            self._known_labels()
        super().apply(edits)

    def _relabel(self, uids: Sequence[int], add: Sequence[str], remove: Sequence[str]) -> None:
        if not add and not remove:
            return
        labels = self._known_labels()
        for how, names in ((b"+X-GM-LABELS", add), (b"-X-GM-LABELS", remove)):
            if names:
                self._each(uids, b"UID STORE", how, labels.written(names))

    def _traits(self, ids: Sequence[RemoteId], labels: Labels) -> dict[RemoteId, Traits]:
        uids = {split_id(id)[1]: id for id in ids}
        found = traits(self._session, uids, labels) if uids else {}
        return {uids[uid]: one for uid, one in found.items() if uid in uids}

    def _untold(
        self, arrived: Iterable[RemoteMessage], found: Mapping[RemoteId, Traits]
    ) -> dict[RemoteId, str]:
        """Return the messages that are still there although Gmail does not say whose they are."""
        uids = {split_id(one.id)[1]: one.id for one in arrived if one.id not in found}
        there = (uid for part in uid_sets(list(uids)) for uid in search_uids(self._session, b"UID " + part))
        return {uids[uid]: _UNTOLD for uid in there if uid in uids}

    def _known_labels(self) -> Labels:
        """Return the labels as last listed; asking for them leaves the open mailbox."""
        if self._labels is None:
            _, self._labels = gmail_collections(self._session)
        return self._labels


def _described(
    messages: Iterable[RemoteMessage], found: Mapping[RemoteId, Traits]
) -> Iterator[RemoteMessage]:
    """Yield messages with their traits; one that has gone since is passed over: it turns up elsewhere."""
    for message in messages:
        if one := found.get(message.id):
            yield replace(message, labels=one.labels, identity=one.identity, thread=one.thread)


def _traits(line: Line, labels: Labels) -> tuple[int, Traits] | None:
    match tokens(line):
        case [b"*", _, bytes() as verb, list() as items] if verb.upper() == b"FETCH":
            facts = {
                k.upper(): v for k, v in zip(items[::2], items[1::2], strict=False) if isinstance(k, bytes)
            }
            match facts:
                case {
                    b"UID": bytes() as uid,
                    b"X-GM-MSGID": bytes() as identity,
                    b"X-GM-THRID": bytes() as thread,
                    b"X-GM-LABELS": list() as names,
                } if uid.isdigit() and identity.isdigit() and thread.isdigit():
                    named = Traits(identity.decode(), thread.decode(), labels.read(names))
                    return number(uid) or 0, named
    return None
