"""Messages over which the mail server hangs up: found by asking for each alone, on a new connection.

Some servers end the connection when they cannot read a message themselves. Whoever asks for a hundred at once
learns only that it is one of these; alone it is counted like any other message that cannot be taken in.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import replace

from chalicelib.domain.accounts.account import Account
from chalicelib.domain.remote import BatchLimits, RemoteId
from chalicelib.errors import Interrupted
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.safety.poison import PoisonGuard

MOST = 12
"""So many hang-ups in a row are looked into; then the pass has failed."""

PAUSE_SECONDS = 10.0
"""Between two attempts at one message: what fails for seconds is the network, not the message."""

REASON = "The mail server hangs up when it is asked for this message."

log = logging.getLogger(__name__)


class Hangups:
    """What has been learnt from hang-ups during one call."""

    def __init__(self, work: SyncStores, account: Account) -> None:
        self._poison_guard = PoisonGuard(work.quarantine, account.id, work.now)
        self._sleep = work.sleep
        self._account_id = account.id
        self._times = 0
        self._alone: defaultdict[str, set[RemoteId]] = defaultdict(set)
        self._avoid: defaultdict[str, set[RemoteId]] = defaultdict(set)
        self._blamed: set[tuple[str, RemoteId]] = set()

    def budget(self, folder_id: str, budget: BatchLimits) -> BatchLimits:
        """Return a budget of a folder with what has been learnt of it."""
        if not self._times:
            return budget
        alone, avoid = self._alone[folder_id], self._avoid[folder_id]
        return replace(budget, alone=frozenset(alone), avoid=frozenset(avoid), careful=True)

    def learn(self, error: Interrupted) -> bool:
        """Take a hang-up in; wait if it was over one message. False if trying again would teach nothing."""
        asked = [RemoteId(name) for name in error.asked]
        self._times += 1
        if not asked:
            return self._times == 1  # now the messages are named before their contents are asked for
        if self._times > MOST or not self._poison_guard.sets_aside:
            return False
        log.warning("account %s: the server hung up over %d messages", self._account_id, len(asked))
        self._alone[error.folder_id].update(asked)
        if len(asked) == 1:
            self._blame(error.folder_id, asked[0])
        return True

    def _blame(self, folder_id: str, id: RemoteId) -> None:
        self._blamed.add((folder_id, id))
        if self._poison_guard.blame(folder_id, id, REASON):
            self._avoid[folder_id].add(id)
        else:
            self._sleep(PAUSE_SECONDS)

    def acquit(self) -> None:
        """Forget what messages were blamed for that are not set aside: all is in."""
        for folder_id, id in self._blamed:
            self._poison_guard.acquit(folder_id, id)
