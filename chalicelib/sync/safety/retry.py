"""Another attempt at a message that was set aside."""

from __future__ import annotations

from contextlib import closing, suppress

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.retention import is_over
from chalicelib.domain.remote import Collection, RemoteId
from chalicelib.domain.sync.quarantine import Quarantined
from chalicelib.errors import AuthRejected, Gone, Interrupted, ProviderError, Throttled
from chalicelib.providers.base import Provider
from chalicelib.store.ports.sync import Quarantine
from chalicelib.sync.accounts.foreseen import foreseen
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.mail.ingest import Ingest
from chalicelib.sync.safety.hangups import REASON
from chalicelib.sync.safety.poison import PoisonGuard, Target

LEASE_SECONDS = 60.0


def retry(work: SyncStores, account: Account, id: str) -> bool:
    """Try one entry now; False if another worker is at the account.

    Raises ProviderError, and SyncFailure over whatever nobody foresaw.
    """
    entry = work.quarantine.get(account.id, id) if work.quarantine else None
    if entry is None or work.quarantine is None:
        return True
    lease = work.checkpoints.acquire(account.id, LEASE_SECONDS)
    if lease is None:
        return False
    try:
        with (
            foreseen(f"message {entry.remote_id} of folder {entry.folder_id}"),
            closing(work.provider(account)) as provider,
            suppress(Interrupted),
        ):
            folders = {folder.collection: folder for folder in work.mail.folders(account.id)}
            ingest = Ingest(
                mail=work.mail,
                blobs=work.blobs,
                account=account,
                folders=folders,
                now=work.now,
                window=work.window(account).fixed(folders.values()),
            )
            poison_guard = PoisonGuard(work.quarantine, account.id, work.now)
            attempt(work.quarantine, poison_guard, provider, ingest, entry)
    finally:
        work.checkpoints.release(lease)
    return True


def attempt(
    quarantine: Quarantine, poison_guard: PoisonGuard, provider: Provider, ingest: Ingest, entry: Quarantined
) -> bool:
    """Fetch and store one message; True if its entry has gone: it is in, no longer there or no longer wanted.

    Raises Interrupted, once that is noted, if the server hangs up.
    """
    folder = next((one for one in ingest.folders.values() if one.id == entry.folder_id), None)
    if folder is None or ingest.window.excludes(folder.id):
        return quarantine.change(entry, None)
    if _is_in(ingest, entry):
        return quarantine.change(entry, None)
    collection = Collection(id=folder.collection, name=folder.display_name, role=folder.role)
    try:
        found = provider.items(collection, [entry.remote_id])
    except Interrupted:
        poison_guard.withhold(folder, {entry.remote_id: REASON})
        raise
    if found and is_over(ingest.window.expiry(found[0].received_at, [folder.id]), ingest.now()):
        return quarantine.change(entry, None)
    if found:
        return poison_guard.again(Target(ingest, folder), entry, found[0])
    reason = _reason(provider, folder.collection, entry.remote_id)
    if reason is None:
        return quarantine.change(entry, None)
    poison_guard.withhold(folder, {entry.remote_id: reason})
    return False


def _is_in(ingest: Ingest, entry: Quarantined) -> bool:
    """Tell whether the whole message is here meanwhile, not only its beginning."""
    found = ingest.mail.locations(entry.account_id, entry.folder_id, [entry.remote_id])
    ids = [location.message_id for location in found.values()]
    return any(message.raw for message in ingest.mail.messages(entry.account_id, ids).values())


def _reason(provider: Provider, collection_id: str, remote_id: RemoteId) -> str | None:
    """Return why the server does not give a message out, None if it has none. Raises ProviderError."""
    try:
        provider.fetch(collection_id, remote_id)
    except Gone:
        return None
    except (AuthRejected, Throttled):
        raise
    except ProviderError as error:
        return error.message
    return "The mail server gives this message out only now and then."
