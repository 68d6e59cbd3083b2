"""IMAP as a Provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from chalicelib.domain.accounts.mail_settings import MailSettings
from chalicelib.domain.remote import (
    BatchLimits,
    ChangeBatch,
    Collection,
    Cursor,
    Edit,
    Flags,
    Known,
    RemoteId,
    RemoteMessage,
)
from chalicelib.errors import CursorExpired, Gone, NotTaken, ProviderError
from chalicelib.providers.imap import changes
from chalicelib.providers.imap.fetch.mailbox import (
    open_mailbox,
    remote_id,
    split_id,
    uids_between,
    uids_with_message_id,
)
from chalicelib.providers.imap.fetch.whole import bodies
from chalicelib.providers.imap.folders.cursor import load, narrowed
from chalicelib.providers.imap.folders.folders import collection_list
from chalicelib.providers.imap.protocol.compress import is_far
from chalicelib.providers.imap.protocol.lines import Literal, astring
from chalicelib.providers.imap.protocol.metadata import Meta
from chalicelib.providers.imap.protocol.numbers import uid_sets
from chalicelib.providers.imap.protocol.session import Session, open_session
from chalicelib.providers.imap.search import search
from chalicelib.providers.network.egress import PUBLIC, EgressPolicy

_SYSTEM_FLAGS = {"a": b"\\Answered", "d": b"\\Draft", "f": b"\\Flagged", "s": b"\\Seen"}


def connect(settings: MailSettings, reach: EgressPolicy = PUBLIC) -> ImapProvider:
    """Connect and log in; errors carry the step that failed in `details["step"]`."""
    return ImapProvider(open_session(settings, reach=reach, compress=is_far))


class ImapProvider:
    """A mailbox account behind an open IMAP connection."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def received(self) -> int:
        """Bytes read from the server over this connection."""
        return self._session.wire.received

    def collections(self) -> Sequence[Collection]:
        """List every selectable folder, inbox first, each with its token."""
        return collection_list(self._session)

    def unchanged(
        self, collection: Collection, cursor: Cursor, since: int = 0, *, history: bool = True
    ) -> bool:
        """Tell from the listing alone that nothing can have changed since `cursor`."""
        try:
            progress = load(cursor)
        except CursorExpired:
            return False
        reaches = (progress.complete or not history) and not progress.falls_short(since)
        return bool(collection.token) and reaches and progress.token == collection.token

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        """Return the next bounded batch: live changes, then older history. Raises CursorExpired."""
        return changes.step(self._session, collection, cursor, known, budget)

    def narrowed(self, cursor: Cursor, since: int) -> Cursor:
        """Return the cursor of somebody who holds nothing received before `since`, though it was brought."""
        return narrowed(cursor, since)

    def listing(self, collection: Collection, cursor: Cursor, since: int = 0) -> Mapping[RemoteId, Flags]:
        """Return everything the cursor claims to have brought. Raises CursorExpired."""
        return changes.listing(self._session, collection, cursor, since)

    def items(self, collection: Collection, ids: Sequence[RemoteId]) -> Sequence[RemoteMessage]:
        """Return those of these messages that are still there and can be read."""
        return changes.items(self._session, collection, ids)

    def fetch(self, collection_id: str, id: RemoteId) -> bytes:
        """Return the raw message. Raises Gone if it is no longer there."""
        uidvalidity, uid = split_id(id)
        if not uid or open_mailbox(self._session, collection_id).uidvalidity != uidvalidity:
            raise Gone("The message is no longer on the mail server.")
        content = bodies(self._session, [Meta(uid, Flags(""), None, 0)])
        if uid in content.unreadable:
            raise ProviderError(content.unreadable[uid])
        if uid not in content.raw:
            raise Gone("The message is no longer on the mail server.")
        return content.raw[uid]

    def apply(self, edits: Sequence[Edit]) -> None:
        """Make changes in order; an item that is no longer there is passed over."""
        for collection, group in groupby(edits, key=lambda edit: edit.collection):
            uidvalidity = open_mailbox(self._session, collection, write=True).uidvalidity
            for (add, remove, labels, move_to), same in groupby(group, key=_action):
                uids = _uids(same, uidvalidity)
                self._store(uids, b"+FLAGS.SILENT", add)
                self._store(uids, b"-FLAGS.SILENT", remove)
                self._relabel(uids, *labels)
                if move_to is not None and move_to != collection:
                    self._move(uids, move_to)

    def append(self, collection_id: str, raw: bytes, flags: Flags) -> None:
        """File a message; no mailbox is open meanwhile: some servers take none then. Raises NotTaken."""
        self._session.leave()
        command = b"APPEND", astring(collection_id), _flag_list(flags), Literal(raw)
        try:
            self._session.wire.run(*command).or_fail()
        except ProviderError as error:
            if type(error) is not ProviderError or self._session.is_lost():
                raise  # what a lost connection has brought over, nobody knows
            raise NotTaken(error.message, **error.details) from error

    def end(self, collection_id: str) -> str:
        """Return UIDVALIDITY and UIDNEXT of a mailbox, as it was opened last if it is open."""
        standing = self._session.standing
        here = standing and standing[0] == collection_id
        opened = standing[1] if standing and here else open_mailbox(self._session, collection_id)
        return remote_id(opened.uidvalidity, opened.uidnext)

    def lost_since(self, collection_id: str, end: str) -> bool:
        """Tell whether UIDs from that end on are missing; True after a change of UIDVALIDITY."""
        opened, (uidvalidity, first) = open_mailbox(self._session, collection_id), split_id(RemoteId(end))
        if opened.uidvalidity != uidvalidity:
            return True
        given = range(first, opened.uidnext)
        return len(uids_between(self._session, given.start, given.stop - 1)) < len(given)

    def find(self, collection_id: str, message_id: str) -> RemoteId | None:
        """Return the newest message with this Message-ID header, None if there is none."""
        opened = open_mailbox(self._session, collection_id)
        uids = uids_with_message_id(self._session, message_id)
        return remote_id(opened.uidvalidity, uids[-1]) if uids else None

    def search(self, collection_id: str, query: str, limit: int) -> Sequence[RemoteId]:
        """Return matching messages of a folder, newest first. Raises Gone, InvalidRequest."""
        return search.search(self._session, collection_id, query, limit)

    def bring(
        self, collection_id: str, ids: Sequence[RemoteId], budget: BatchLimits
    ) -> Sequence[RemoteMessage]:
        """Return those of these messages that are still there, as far as the budget goes."""
        return search.bring(self._session, collection_id, ids, budget)

    def close(self) -> None:
        """Log out; never raises."""
        self._session.close()

    def _store(self, uids: Sequence[int], how: bytes, flags: Flags) -> None:
        if flags:
            self._each(uids, b"UID STORE", how, _flag_list(flags))

    def _relabel(self, uids: Sequence[int], add: Sequence[str], remove: Sequence[str]) -> None:
        """Do nothing: plain IMAP knows no labels."""

    def _move(self, uids: Sequence[int], target: str) -> None:
        if self._session.can("MOVE"):
            self._each(uids, b"UID MOVE", astring(target))
            return
        self._each(uids, b"UID COPY", astring(target))
        self._each(uids, b"UID STORE", b"+FLAGS.SILENT", b"(\\Deleted)")
        if self._session.can("UIDPLUS"):
            self._each(uids, b"UID EXPUNGE")
        else:
            self._session.wire.run(b"EXPUNGE").or_fail()

    def _each(self, uids: Sequence[int], verb: bytes, *rest: bytes) -> None:
        for reply in self._session.wire.run_all((verb, part, *rest) for part in uid_sets(uids)):
            reply.or_fail()


_Labels = tuple[tuple[str, ...], tuple[str, ...]]


def _action(edit: Edit) -> tuple[Flags, Flags, _Labels, str | None]:
    return edit.add, edit.remove, (edit.add_labels, edit.remove_labels), edit.move_to


def _uids(edits: Iterable[Edit], uidvalidity: int) -> list[int]:
    """UIDs of the items still valid; an item of an older generation cannot be named any more."""
    ids = {split_id(edit.item) for edit in edits}
    return sorted(uid for generation, uid in ids if generation == uidvalidity and uid)


def _flag_list(flags: Flags) -> bytes:
    return b"(" + b" ".join(_SYSTEM_FLAGS[letter] for letter in flags) + b")"
