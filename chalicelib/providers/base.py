"""The protocols that every mail server is made to speak."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

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


class Provider(Protocol):
    """A remote mailbox account, seen as collections of messages that change.

    Every method raises AuthRejected, Throttled or ProviderError; a failed call changes nothing here.
    """

    def collections(self) -> Sequence[Collection]:
        """List every selectable folder, inbox first, each with a token that moves when it changes."""

    def unchanged(
        self, collection: Collection, cursor: Cursor, since: int = 0, *, history: bool = True
    ) -> bool:
        """Tell from the listing alone that nothing can have changed since `cursor`.

        A cursor that reaches less far back than `since` is never unchanged, nor is one of which history is
        still to come; without `history` the latter does not count.
        """

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        """Return the next bounded batch after `cursor`: live changes first, then older history.

        Mail received more than a day or two before `budget.since` does not come.

        Raises CursorExpired if the server has forgotten the cursor (a new UIDVALIDITY).
        """

    def narrowed(self, cursor: Cursor, since: int) -> Cursor:
        """Return the cursor of somebody who holds nothing received before `since`, though it was brought.

        A later `changes` with an earlier `budget.since` brings it again.
        """

    def listing(self, collection: Collection, cursor: Cursor, since: int = 0) -> Mapping[RemoteId, Flags]:
        """Return what lies in the range that the cursor has covered, of that what was received since then.

        Raises CursorExpired.
        """

    def items(self, collection: Collection, ids: Sequence[RemoteId]) -> Sequence[RemoteMessage]:
        """Return those of these messages that are still there and can be read."""

    def fetch(self, collection_id: str, id: RemoteId) -> bytes:
        """Return the raw message. Raises Gone if it is no longer there."""

    def apply(self, edits: Sequence[Edit]) -> None:
        """Make changes on the server; making them twice is harmless."""

    def append(self, collection_id: str, raw: bytes, flags: Flags) -> None:
        """File a message, whatever was done over this connection before. Raises NotTaken."""

    def end(self, collection_id: str) -> str:
        """Return where a collection ends now, for `lost_since`."""

    def lost_since(self, collection_id: str, end: str) -> bool:
        """Tell whether a message that came after that end has gone again; True if nobody can tell."""

    def find(self, collection_id: str, message_id: str) -> RemoteId | None:
        """Return a message by its Message-ID header, None if it is not there."""

    def close(self) -> None:
        """Log out; never raises."""


@runtime_checkable
class Labelled(Protocol):
    """A provider whose messages bear labels; it names identity and thread of each, and files sent mail."""

    def labels(self, collection: Collection, ids: Sequence[RemoteId]) -> Mapping[RemoteId, tuple[str, ...]]:
        """Return the labels of those of these messages that are still there, as ids of collections."""


@runtime_checkable
class Searching(Protocol):
    """A provider that can look for words; not every one can."""

    def search(self, collection_id: str, query: str, limit: int) -> Sequence[RemoteId]:
        """Return matching messages of a folder in the provider's own query language, newest first.

        Raises Gone if there is no such folder, InvalidRequest if the query cannot be asked.
        """

    def bring(
        self, collection_id: str, ids: Sequence[RemoteId], budget: BatchLimits
    ) -> Sequence[RemoteMessage]:
        """Return those of these messages that are still there, in this order, as far as the budget goes."""


@runtime_checkable
class Metered(Protocol):
    """A provider that knows how much it has read, for budgets of bytes per day."""

    @property
    def received(self) -> int:
        """Bytes read from the server over this connection."""


def received(provider: Provider) -> int:
    """Return the bytes a provider has read, 0 if it does not count them."""
    return provider.received if isinstance(provider, Metered) else 0


class Transport(Protocol):
    """A server that takes mail for delivery."""

    def verify(self) -> None:
        """Connect and log in, send nothing."""

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> dict[str, tuple[int, str]]:
        """Submit; return the refused recipients with their SMTP replies, {} if all were accepted.

        Raises SendFailed if nothing was accepted.
        """
