"""How a batch gets in, and what is done about a message that does not.

A batch that fails with nothing that could pass is taken apart: everything else of it goes in, and the message
to blame is tried three times, each attempt counted before it is made, and set aside. Where a worker has died
without giving its lease back, the next one counts before it parses: first whole batches, then, should it
die again, each message of that batch alone. As long as nothing fails, nothing is counted and nothing written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from chalicelib.clock import Clock
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.remote import ChangeBatch, Cursor, RemoteId, RemoteMessage
from chalicelib.domain.sync.quarantine import TRIES, Cause, Quarantined, QuarantineState, entry_id
from chalicelib.store.ports.sync import Quarantine
from chalicelib.store.transient import is_refusal, is_transient
from chalicelib.store.values import Lease
from chalicelib.sync.accounts.foreseen import named
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.mail.context import Arrival
from chalicelib.sync.mail.ingest import Ingest, Stored

OUR_FAULT = 10
"""If more than so many messages fail and none goes in, the fault is ours and not theirs."""

_NOWHERE = Cursor("")
DIED = "The worker died while it took this message in."
_REASON_CHARACTERS = 300

log = logging.getLogger(__name__)
RemoteKey = tuple[str, RemoteId]


@dataclass(slots=True)
class Target:
    """Where messages are put; `ids` are those that went in, `new` counts copies that were not there."""

    ingest: Ingest
    folder: Folder
    ids: list[str] = field(default_factory=list)
    new: int = 0

    def put(self, remotes: Sequence[RemoteMessage]) -> None:
        """Parse and store. Raises whatever a parser may raise."""
        self._count(self.ingest.absorb(self.folder, self.ingest.arrivals(remotes), {}))

    def note(self, batch: ChangeBatch, arrivals: Sequence[Arrival] = ()) -> None:
        """Store changes of flags and labels with what arrived and is parsed."""
        self._count(self.ingest.absorb(self.folder, arrivals, batch.flags, batch.labels))

    def _count(self, absorbed: Stored) -> None:
        self.ids += absorbed.ids
        self.new += absorbed.new

    def name(self, remote: RemoteMessage) -> RemoteKey:
        """Return the message's place among all of the account."""
        return self.folder.id, remote.id


class PoisonGuard:
    """The way in for one account's mail; without a quarantine every failure is raised."""

    def __init__(self, quarantine: Quarantine | None, account_id: str, now: Clock) -> None:
        self._quarantine = quarantine
        self._account_id = account_id
        self._now = now
        self._suspects: set[RemoteKey] | None = None
        self._noted: frozenset[RemoteKey] = frozenset()

    @property
    def sets_aside(self) -> bool:
        """Whether there is a place for messages that do not go in."""
        return self._quarantine is not None

    def begin(self, lease: Lease) -> None:
        """Be careful from now on if the holder before died."""
        if not lease.died or self._quarantine is None:
            return
        log.warning(
            "account %s: a worker died; every message is counted before it is parsed", lease.account_id
        )
        self._noted = self._quarantine.suspects(self._account_id)
        self._suspects = set(self._noted)

    def end(self) -> None:
        """Forget the suspects that went in: this worker lives."""
        if self._suspects is not None:
            self._note_suspects(self._suspects)

    def parse(self, ingest: Ingest, arrived: Sequence[RemoteMessage]) -> list[Arrival] | None:
        """Parse a batch ahead of its turn; None if `take` must do it, piece by piece."""
        parsed: list[Arrival] = []
        if arrived and self._suspects is not None:
            return None
        return None if self._failure(lambda: parsed.extend(ingest.arrivals(arrived))) else parsed

    def take(self, place: Target, batch: ChangeBatch, arrivals: list[Arrival] | None) -> None:
        """Store what a batch brings. Raises what may pass: Stale, LeaseLost, errors of AWS."""
        if arrivals is not None:
            if not self._failure(partial(place.note, batch, arrivals)):
                return
            if not arrivals:  # flags alone blame no message
                place.note(batch)
        if self._suspects is None:
            self._take_apart(place, batch.arrived)
        else:
            self._take_carefully(place, batch.arrived, self._suspects)
        until_fresh(partial(place.note, batch))

    def put(self, place: Target, remotes: Sequence[RemoteMessage]) -> None:
        """Parse and store messages, setting aside what cannot be."""
        batch = ChangeBatch(arrived=tuple(remotes), cursor=_NOWHERE)
        self.take(place, batch, self.parse(place.ingest, remotes))

    def offer(self, place: Target, remotes: Sequence[RemoteMessage]) -> None:
        """Parse and store what a search has found; what cannot be is set aside, in a storm only left out."""
        guilty = self._sift(place, remotes)
        if len(guilty) > OUR_FAULT and len(guilty) == len(remotes):
            log.error("none of %d messages that a search found went in", len(guilty))
            return
        for remote, error in guilty:
            self._alone(place, remote, _words(error))

    def withhold(self, folder: Folder, unreadable: Mapping[RemoteId, str]) -> None:
        """Set aside what the mail server does not give out."""
        for remote_id, reason in unreadable.items():
            log.warning("message %s in folder %s is passed over: %s", remote_id, folder.id, reason)
            if self._quarantine is None:
                continue
            old = self._quarantine.get(self._account_id, entry_id(self._account_id, folder.id, remote_id))
            if old is None or old.state is not QuarantineState.SKIPPED:
                entry = self._entry(folder.id, remote_id, old)
                attempts = entry.attempts + 1
                self._note(old, replace(entry, cause=Cause.WITHHELD, reason=reason, attempts=attempts))

    def blame(self, folder_id: str, remote_id: RemoteId, reason: str) -> bool:
        """Count an attempt that the server ended for a message alone; True if it is set aside (now)."""
        if self._quarantine is None:
            return False
        old = self._quarantine.get(self._account_id, entry_id(self._account_id, folder_id, remote_id))
        if old and old.state is not QuarantineState.SUSPECT:
            return True
        entry = self._entry(folder_id, remote_id, old)
        held = entry.attempts + 1 >= TRIES
        state = QuarantineState.HELD if held else QuarantineState.SUSPECT
        counted = replace(
            entry, attempts=entry.attempts + 1, cause=Cause.WITHHELD, reason=reason, state=state
        )
        self._note(old, counted)
        if held:
            _tell(counted)
        return held

    def acquit(self, folder_id: str, remote_id: RemoteId) -> None:
        """Forget the attempts at a message that went in after all."""
        if self._quarantine is None:
            return
        entry = self._quarantine.get(self._account_id, entry_id(self._account_id, folder_id, remote_id))
        if entry and entry.state is QuarantineState.SUSPECT:
            self._forget(entry)

    def again(self, place: Target, entry: Quarantined, remote: RemoteMessage) -> bool:
        """Try a message that was set aside once more; True if it is in now."""
        entry = self._note(entry, replace(entry, attempts=entry.attempts + 1))
        error = self._failure(partial(place.put, [remote]))
        if error is None:
            self._forget(entry)
            return True
        self._note(entry, replace(entry, cause=Cause.POISON, reason=_words(error)))
        return False

    def _take_apart(self, place: Target, remotes: Sequence[RemoteMessage]) -> None:
        guilty = self._sift(place, remotes)
        if len(guilty) > OUR_FAULT and len(guilty) == len(remotes):
            raise guilty[0][1]
        for remote, error in guilty:
            self._alone(place, remote, _words(error))

    def _sift(self, place: Target, remotes: Sequence[RemoteMessage]) -> list[tuple[RemoteMessage, Exception]]:
        """Put in what goes in, by halves; return what does not."""
        error = self._failure(partial(place.put, remotes)) if remotes else None
        if error is None:
            return []
        if len(remotes) == 1:
            return [(remotes[0], error)]
        half = len(remotes) // 2
        return [*self._sift(place, remotes[:half]), *self._sift(place, remotes[half:])]

    def _take_carefully(
        self, place: Target, remotes: Sequence[RemoteMessage], suspects: set[RemoteKey]
    ) -> None:
        """Note a batch before it is parsed; what was noted when a worker died goes in alone, last of all."""
        alone = [remote for remote in remotes if place.name(remote) in suspects]
        rest = [remote for remote in remotes if place.name(remote) not in suspects]
        if rest:
            names = {place.name(remote) for remote in rest}
            self._note_suspects(suspects | names)
            self._take_apart(place, rest)
        for remote in alone:
            self._alone(place, remote, DIED)
            suspects.discard(place.name(remote))

    def _alone(self, place: Target, remote: RemoteMessage, reason: str) -> None:
        """Try one message until it is in or has had its attempts; one was made already, in company."""
        if self._quarantine is None:
            return
        old = self._quarantine.get(self._account_id, entry_id(self._account_id, place.folder.id, remote.id))
        if old and old.state is not QuarantineState.SUSPECT:
            return
        entry = self._entry(place.folder.id, remote.id, old)
        entry = replace(entry, attempts=max(entry.attempts, 1), reason=reason, state=QuarantineState.SUSPECT)
        while entry.attempts < TRIES:
            old = self._note(old, replace(entry, attempts=entry.attempts + 1))
            error = self._failure(partial(place.put, [remote]))
            if error is None:
                self._forget(old)
                return
            entry = replace(old, reason=_words(error))
        self._note(old, replace(entry, state=QuarantineState.HELD))
        _tell(entry)

    def _entry(self, folder_id: str, remote_id: RemoteId, old: Quarantined | None) -> Quarantined:
        return old or Quarantined(
            id=entry_id(self._account_id, folder_id, remote_id),
            account_id=self._account_id,
            folder_id=folder_id,
            remote_id=remote_id,
            cause=Cause.POISON,
            reason="",
            state=QuarantineState.HELD,
            attempts=0,
            first_at=int(self._now()),
            last_at=0,
        )

    def _note(self, old: Quarantined | None, new: Quarantined) -> Quarantined:
        """Store an entry, unless its owner has changed it meanwhile; return what is stored."""
        new = replace(new, last_at=int(self._now()), reason=new.reason[:_REASON_CHARACTERS])
        if self._quarantine is None or self._quarantine.change(old, new):
            return new
        return self._quarantine.get(self._account_id, new.id) or new

    def _forget(self, entry: Quarantined) -> None:
        if self._quarantine is not None:
            self._quarantine.change(entry, None)

    def _note_suspects(self, names: set[RemoteKey]) -> None:
        if self._quarantine is not None and self._noted != names:
            self._quarantine.suspect(self._account_id, names)
            self._noted = frozenset(names)

    def _failure(self, step: Callable[[], None]) -> Exception | None:
        """Return what a step fails with if that is the message's fault, None if it worked."""
        try:
            until_fresh(step)
        except Exception as error:  # a message can make a parser raise anything; what may pass goes on
            if self._quarantine is None or is_transient(error):
                raise
            return error
        return None


def _tell(entry: Quarantined) -> None:
    log.error(
        "account %s needs a look: message %s of folder %s is set aside: %s",
        entry.account_id, entry.remote_id, entry.folder_id, entry.reason,
    )  # fmt: skip


def _words(error: Exception) -> str:
    """Name an error without its text, which may quote the mail; one of the store is named in the log only."""
    if is_refusal(error):
        log.error("the store does not take a message: %s", named(error))
        return "The message could not be stored."
    return f"The message could not be read: {named(error)}."
