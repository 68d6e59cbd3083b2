"""Copies without a name that are not on the server: the comparison takes them out of the store."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import partial

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.filing import Stage
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.providers.base import Provider
from chalicelib.store.values import MailChanges
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.mail import loose
from chalicelib.sync.mail.ingest import Ingest


@dataclass(frozen=True, slots=True)
class Loose:
    """What a comparison knows when it has been through the folders named by `compared`."""

    work: SyncStores
    account: Account
    provider: Provider
    ingest: Ingest
    compared: Set[str]

    def settle(self, settled: int) -> int:
        """Forget copies without a name that are not where they should be; return how many.

        What was written after `settled` may still be on its way. Sent mail that was never filed stays: it is
        the only copy there is. Raises ProviderError.
        """
        ids = loose.of(self.work.mail.known(self.account.id, loose.LOOSE))
        found = self.work.mail.messages(self.account.id, ids)
        named = [id for id in ids if not loose.is_loose(found.get(id))]
        self.work.mail.save(self.account.id, MailChanges(locations=loose.struck(named)))
        lost = [
            (message, folder)
            for message in found.values()
            if message.rev // 1000 <= settled and not self._is_unfiled(message)
            for folder in self._homes(message)
            if self._is_missing(message, folder)
        ]
        for message, folder in lost:
            until_fresh(partial(self.ingest.let_go, folder, [message.id]))
        return len(lost)

    def _homes(self, message: Message) -> list[Folder]:
        """Return the folders that should hold a copy and were looked through, or are there no more."""
        by_id = {folder.id: folder for folder in self.ingest.folders.values()}
        ids = {place.folder_id for place in message.places if place.folder_id and not place.remote_id}
        gone = {id: _gone(self.account.id, id) for id in ids - by_id.keys()}
        return [folder for id, folder in (by_id | gone).items() if id in ids & (self.compared | gone.keys())]

    def _is_missing(self, message: Message, folder: Folder) -> bool:
        """Ask the server itself: mail older than the window is there and was not compared."""
        if not folder.collection or not message.message_id:
            return True
        return self.provider.find(folder.collection, message.message_id) is None

    def _is_unfiled(self, message: Message) -> bool:
        if message.raw is None or self.work.filings is None:
            return False
        filing = self.work.filings.get(self.account.id, message.raw.key.rpartition("/")[2])
        return filing is not None and filing.stage is not Stage.FILED


def _gone(account_id: str, id: str) -> Folder:
    return Folder(id=id, account_id=account_id, collection="", display_name="", role=None, created_at=0)
