"""One account: log in, keep vigil, and begin again when the connection ends."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum

from chalicelib.errors import ApiError, AuthRejected, ProviderError
from chalicelib.providers.imap.protocol.session import Session
from infra.watcher.backoff import Backoff
from infra.watcher.debounce import Debounce
from infra.watcher.gate import Gate, Visit
from infra.watcher.limits import Limits
from infra.watcher.outbox import Outbox
from infra.watcher.store import Mailbox, Store
from infra.watcher.vigil import Vigil
from infra.watcher.wire import Wire

log = logging.getLogger(__name__)


class State(Enum):
    """How a watch goes."""

    CONNECTING = "connecting"
    WATCHING = "watching"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """What all watches share."""

    store: Store
    gate: Gate
    outbox: Outbox
    limits: Limits

    def backoff(self) -> Backoff:
        """Return the waits of one account."""
        return Backoff(self.limits.shortest_wait, self.limits.longest_wait)


class Watch:
    """The life of one account's watch; cancel its task to end it."""

    __slots__ = ("_account_id", "_changed", "_failures", "_mailbox", "_station", "state")

    def __init__(self, account_id: str, station: Station) -> None:
        loop = asyncio.get_running_loop()
        self._account_id = account_id
        self._station = station
        self._failures = 0
        self._mailbox: Mailbox | None = None
        self._changed = Debounce(self._enqueue, station.limits.quiet_seconds, loop.time, loop.call_at)
        self.state = State.CONNECTING

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            try:
                await self._connect_and_watch()
            except AuthRejected as error:
                await self._rest(error)
            except (ApiError, OSError) as error:
                await self._wait(error)
            except Exception as error:  # the edge: one account must not end the others' watch
                log.exception("watch of %s", self._account_id)
                await self._wait(error)

    async def is_outdated(self) -> bool:
        """Tell whether to begin anew when the account was active: after a refusal, or to log in elsewhere."""
        if self.state is State.REFUSED:
            return True
        try:
            return self._mailbox not in (None, await self._station.store.mailbox(self._account_id))
        except ApiError:  # gone: the list will say so
            return False

    async def _connect_and_watch(self) -> None:
        station = self._station
        self.state = State.CONNECTING
        self._mailbox = await station.store.mailbox(self._account_id)
        async with station.gate.turn(self._mailbox.host) as visit:
            session = await self._log_in(visit)
        idles = session.can("IDLE")
        wire = Wire(*session.hand_over())
        del session  # what the login needed is twice as large as what the vigil needs
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await Vigil(wire, self._on_change, station.limits).keep(idles=idles)
        finally:
            wire.close()
            if loop.time() - began >= station.limits.settled_seconds:
                self._failures = 0

    async def _log_in(self, visit: Visit) -> Session:
        login = self._station.store.log_in(self._account_id)
        try:
            await asyncio.wait([login.ended], timeout=self._station.limits.login_seconds)
        finally:
            if not login.ended.done():
                visit.stays = login.abandon()
        if visit.stays:
            raise ProviderError("The login takes too long.", step="tcp")
        return login.ended.result()

    def _on_change(self) -> None:
        self.state = State.WATCHING
        self._changed()

    def _enqueue(self) -> None:
        self._station.outbox.put(self._account_id)

    async def _wait(self, error: Exception) -> None:
        self.state = State.CONNECTING
        self._failures += 1
        wish = float(error.details.get("retry_after", 0)) if isinstance(error, ProviderError) else 0.0
        wish = min(wish, self._station.limits.refused_wait)
        seconds = self._station.backoff().wait(self._failures, at_least=wish)
        reason = str(error) or type(error).__name__
        log.info("watch of %s pauses for %.0f s: %s", self._account_id, seconds, reason)
        await asyncio.sleep(seconds)

    async def _rest(self, error: AuthRejected) -> None:
        """Stop; a change of the account brings a new watch.

        The sync that is asked for meets the same refusal and takes the account off the list. If it does
        not, the refusal was no word about the credentials, and an hour later we try again.
        """
        log.warning("watch of %s is refused: %s", self._account_id, error)
        self.state = State.REFUSED
        self._changed()
        await asyncio.sleep(self._station.limits.refused_wait)
