"""Search on the mail server, answered with messages of ours.

What is found and not here yet is fetched, within bounds, and stored for a day: no cursor moves, and mail
that sync wants anyway stays for as long as it would have. What cannot be taken in is set aside as sync would
do it, and what is set aside already is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property

from chalicelib import bounds
from chalicelib.clock import Clock, Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.retention import STAY_SECONDS, is_over
from chalicelib.domain.remote import BatchLimits, RemoteId, RemoteMessage
from chalicelib.errors import AuthRejected, Gone, InvalidRequest, ProviderError, Throttled
from chalicelib.providers.base import Searching
from chalicelib.store.ports.sync import Quarantine
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.mail.ingest import Ingest
from chalicelib.sync.safety.poison import PoisonGuard
from chalicelib.sync.safety.poison import Target as IntakePlace

_RENEW_SECONDS = STAY_SECONDS // 2
_FIRST = ("inbox", "sent", "archive")


def search(work: SyncStores, account: Account, query: str, most: int, deadline: Deadline) -> list[Message]:
    """Return up to `most` matching messages, newest first; folders not reached in time are left out.

    Raises InvalidRequest if the query cannot be asked, ProviderError if the mail server fails.
    """
    folders = work.mail.folders(account.id)
    window = work.window(account).fixed(folders)
    ingest = Ingest(
        mail=work.mail,
        blobs=work.blobs,
        account=account,
        folders={folder.collection: folder for folder in folders},
        now=work.now,
        window=window,
        until=int(work.now()) + STAY_SECONDS,
    )
    server = work.provider(account)
    with closing(server):
        if not isinstance(server, Searching):
            raise InvalidRequest("This account's mail server cannot be searched.")
        looking = _Search(
            server=server, ingest=ingest, query=query, most=most, aside=_Aside(work.quarantine, account.id)
        )
        wanted = [folder for folder in folders if folder.is_synced and not window.excludes(folder.id)]
        looking.through(_in_turn(wanted), deadline)
    return looking.found()


@dataclass
class _Aside:
    """What is set aside of an account, read when something is to be fetched."""

    quarantine: Quarantine | None
    account_id: str

    @cached_property
    def names(self) -> frozenset[tuple[str, RemoteId]]:
        """Folders and names of messages set aside, and of those during which a worker may have died."""
        if self.quarantine is None:
            return frozenset()
        entries = self.quarantine.entries(self.account_id)
        held = {(entry.folder_id, entry.remote_id) for entry in entries}
        return self.quarantine.suspects(self.account_id) | held

    def poison_guard(self, now: Clock) -> PoisonGuard:
        """Return the way in."""
        return PoisonGuard(self.quarantine, self.account_id, now)


@dataclass(slots=True, kw_only=True)
class _Search:
    """One search under way; `ids` are of messages that were found."""

    server: Searching
    ingest: Ingest
    query: str
    most: int
    aside: _Aside
    ids: dict[str, None] = field(default_factory=dict)
    fetched: int = 0
    bytes: int = 0

    def through(self, folders: Sequence[Folder], deadline: Deadline) -> None:
        """Look through folders; then fetch what is not here, an equal share of each folder's newest first."""
        missing: dict[str, list[RemoteId]] = {}
        for folder in folders:
            if deadline.passed():
                break
            with suppress(Gone):
                missing[folder.collection] = self._look(folder)
        wanted = {name: self._admitted(name, ids) for name, ids in missing.items() if ids}
        for collection_id, ids in _shares(wanted, min(self.most, bounds.SEARCH_FETCHED_MESSAGES)).items():
            try:
                self._fetch(collection_id, ids, deadline)
            except (AuthRejected, Throttled):
                raise
            except ProviderError:  # whatever the server stumbles over, the others are an answer
                continue

    def found(self) -> list[Message]:
        """Return what was found, newest first; what a search alone keeps here stays on."""
        messages = self.ingest.mail.messages(self.ingest.account.id, self.ids)
        return sorted(messages.values(), key=lambda m: (m.date, m.id), reverse=True)[: self.most]

    def _look(self, folder: Folder) -> list[RemoteId]:
        """Look through one folder; return what matches and is not here, or will soon not be."""
        ids = self.server.search(folder.collection, self.query, self.most)
        here = self.ingest.mail.locations(self.ingest.account.id, folder.id, ids)
        soon = self.ingest.now() + _RENEW_SECONDS
        lasting = {id: one for id, one in here.items() if not is_over(one.expires_at, soon)}
        self.ids.update(dict.fromkeys(location.message_id for location in here.values()))
        return [id for id in ids if id not in lasting]

    def _admitted(self, collection_id: str, ids: Sequence[RemoteId]) -> list[RemoteId]:
        folder_id = self.ingest.folder(collection_id).id
        return [id for id in ids if (folder_id, id) not in self.aside.names]

    def _fetch(self, collection_id: str, ids: Sequence[RemoteId], deadline: Deadline) -> None:
        for start in range(0, len(ids), bounds.SEARCHED_IN_A_STEP):
            if deadline.passed():
                return
            some = ids[start : start + bounds.SEARCHED_IN_A_STEP]
            budget = BatchLimits(messages=len(some), bytes=bounds.SEARCH_FETCHED_BYTES - self.bytes)
            brought = self.server.bring(collection_id, some, budget)
            self.bytes += sum(len(one.raw) for one in brought)
            self._take_in(self.ingest.folder(collection_id), brought)

    def _take_in(self, folder: Folder, brought: Sequence[RemoteMessage]) -> None:
        self.aside.poison_guard(self.ingest.now).offer(IntakePlace(self.ingest, folder), brought)
        wanted = [one.id for one in brought]
        stored = self.ingest.mail.locations(self.ingest.account.id, folder.id, wanted)
        self.ids.update(dict.fromkeys(location.message_id for location in stored.values()))


def _in_turn(folders: Sequence[Folder]) -> list[Folder]:
    return sorted(folders, key=lambda one: _FIRST.index(one.role) if one.role in _FIRST else len(_FIRST))


def _shares(missing: Mapping[str, Sequence[RemoteId]], most: int) -> dict[str, list[RemoteId]]:
    """Deal out what may be fetched, a message of each folder in turn."""
    shares: dict[str, list[RemoteId]] = {collection: [] for collection in missing}
    for collection, id in _dealt(missing):
        if most <= 0:
            break
        shares[collection].append(id)
        most -= 1
    return shares


def _dealt(missing: Mapping[str, Sequence[RemoteId]]) -> Iterator[tuple[str, RemoteId]]:
    for row in range(max(map(len, missing.values()), default=0)):
        for collection, ids in missing.items():
            if row < len(ids):
                yield collection, ids[row]
