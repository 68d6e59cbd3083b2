"""Making what is stored fit a history window that was changed.

The window that everything was stored under lies beside the cursors, as the cursor of a folder that does
not exist, so looking at it costs nothing. When it is no longer the one that is wanted, two things happen:

1. Each cursor is told from when on we hold mail, so that the provider walks again what a wider window lacks.
2. A pass through the stored messages, newest first and a few seconds at a time: what the former window
   wanted and the new one does not is removed; what stays gets its new end of life, with all its rows.

Mail that neither wanted (it was found by a search) is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from chalicelib.clock import Deadline
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.retention import STAY_SECONDS, Retention, is_over, latest, widest
from chalicelib.domain.mail.thread import Thread, with_messages, without_messages
from chalicelib.domain.mail.threader import anchor_keys
from chalicelib.domain.remote import Cursor, RemoteId
from chalicelib.ids import LAST_SECOND
from chalicelib.providers.base import Provider
from chalicelib.store.values import Location, MailChanges, Revised
from chalicelib.sync.core.retrying import until_fresh
from chalicelib.sync.core.stores import SyncStores
from chalicelib.sync.mail.ingest import Ingest

KEY = "window"
SECONDS = 5.0
_CHUNK = 100
_PATIENCE = 86_400
"""Rows outlive their window by two days; a pass that takes longer than one was broken off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionState:
    """The window cursors agree with; rows of mail up to `place` may still be of the one before, `was`.

    The pass that fits them began at `begun` (Unix seconds).

    With `torn` a pass for yet another window did not come to its end: what belongs to a message may have
    another end of life than the message itself.
    """

    window: Retention
    was: Retention | None = None
    place: int = LAST_SECOND
    begun: int = 0
    torn: bool = False

    def dump(self) -> Cursor:
        """Return this as it is stored."""
        facts = {"window": _dumped(self.window), "was": self.was and _dumped(self.was), "place": self.place}
        facts |= {"begun": self.begun} if self.was else {}
        facts |= {"torn": True} if self.torn else {}
        return Cursor(json.dumps(facts, separators=(",", ":"), sort_keys=True))


def load(stored: Cursor | None) -> RetentionState | None:
    """Return what is stored, None if nothing is."""
    if stored is None:
        return None
    facts = json.loads(stored)
    was = facts["was"]
    return RetentionState(
        window=_window(facts["window"]),
        was=was and _window(was),
        place=facts["place"],
        begun=facts.get("begun", 0),
        torn=facts.get("torn", False),
    )


@dataclass(slots=True, kw_only=True)
class RetentionChange:
    """One worker's care for the window, under the lease.

    `save` moves a cursor (None forgets it), `recount` sets right how many messages a folder holds.
    """

    work: SyncStores
    account: Account
    provider: Provider
    ingest: Ingest
    save: Callable[[str, Cursor | None], None]
    recount: Callable[[str], None]

    def begin(self, cursors: Mapping[str, Cursor]) -> None:
        """Store the window for the first time, if it is not: before any mail, or a crash would hide from the
        next worker what that was stored under.
        """
        if KEY not in cursors:
            self.save(KEY, RetentionState(window=self.ingest.window).dump())

    def run(self, cursors: Mapping[str, Cursor], deadline: Deadline) -> bool:
        """Go on fitting for some seconds; True if all fits. Nothing is read or written if it does."""
        fit, wanted = load(cursors.get(KEY)), self.ingest.window
        if fit is None or (fit.window == wanted and fit.was is None):
            return True
        now = int(self.work.now())
        late = fit.was is not None and fit.begun + _PATIENCE < now
        if late or fit.window != wanted:
            self._narrow(fit.window, cursors, late=late)
            fit = RetentionState(
                window=wanted,
                was=widest(fit.window, fit.was or fit.window),
                begun=now,
                torn=fit.was is not None,
            )
            self.save(KEY, fit.dump())
        return self._pass(fit, deadline)

    def _narrow(self, old: Retention, cursors: Mapping[str, Cursor], *, late: bool) -> None:
        """Tell cursors how far back we hold mail: as far as the narrower of both windows.

        If a pass was broken off and comes too `late`, rows it should have kept have ended meanwhile; then
        nothing is sure to be here.
        """
        now = self.work.now()
        for folder in self.ingest.folders.values():
            cursor, wanted = cursors.get(folder.id), self.ingest.window
            if cursor is None or (not late and old.days_of(folder.id) == wanted.days_of(folder.id)):
                continue
            since = int(now) if late else max(old.since(folder.id, now), wanted.since(folder.id, now))
            gone = wanted.excludes(folder.id) or old.excludes(folder.id)
            self.save(folder.id, None if gone else self.provider.narrowed(cursor, since))

    def _pass(self, fit: RetentionState, deadline: Deadline) -> bool:
        pause = Deadline.after(SECONDS)
        for some in _chunks(self.work.mail.newest_messages(self.account.id, before=fit.place)):
            for start in range(0, len(some), _CHUNK):
                ids = [message.id for message in some[start : start + _CHUNK]]
                until_fresh(partial(self._fit, fit, ids))
            if deadline.passed() or pause.passed():
                self.save(KEY, replace(fit, place=some[-1].date - 1).dump())
                return False
        for folder in self.ingest.folders.values():
            if fit.was and fit.was.days_of(folder.id) != fit.window.days_of(folder.id):
                self.recount(folder.id)
        self.save(KEY, RetentionState(window=fit.window).dump())
        return True

    def _fit(self, fit: RetentionState, ids: Iterable[str]) -> None:
        """Make some messages fit, with everything that belongs to them. Raises Stale.

        What only a message leads to goes first: after a crash the message is still seen not to fit.
        """
        mail, account_id = self.work.mail, self.account.id
        stored = mail.messages(account_id, ids)
        wanted = {id: self._fitting(message, fit) for id, message in stored.items()}
        changed = {id: message for id, message in stored.items() if fit.torn or wanted[id] != message}
        kept = [message for id in changed if (message := wanted[id])]
        keys = {key for message in kept for key in anchor_keys(message)}
        before = MailChanges(
            locations=self._locations(changed, wanted),
            anchors=list(mail.anchors(account_id, keys).values()),
            anchors_expire=self.ingest.anchors_expire(),
        )
        threads = self._threads(stored, wanted)
        if changed or threads:
            mail.save(account_id, before)
            after = MailChanges(
                messages=[Revised(old, wanted[id]) for id, old in changed.items()],
                bodies=mail.bodies(account_id, [message.id for message in kept]),
                bodies_expire={message.id: message.expires_at for message in kept},
                threads=threads,
            )
            mail.save(account_id, after)

    def _fitting(self, message: Message, fit: RetentionState) -> Message | None:
        """Return the message as the window wants it, None if it does not."""
        now = self.work.now()
        was = fit.was or fit.window

        def stays(folder_id: str) -> bool:
            wanted = fit.window.expiry(message.date, [folder_id])
            return not is_over(wanted, now) or is_over(was.expiry(message.date, [folder_id]), now)

        places = tuple(place for place in message.places if stays(place.folder_id))
        if not places:
            return None
        if places != message.places:
            message = self.ingest.viewed(replace(message, places=places))
        expires_at = self.ingest.expiry(message)
        if not is_over(expires_at, now):
            return replace(message, expires_at=expires_at)
        visits = 0 < message.expires_at <= now + STAY_SECONDS  # else a place now gone has kept it here
        return message if visits else None

    def _threads(
        self, stored: Mapping[str, Message], wanted: Mapping[str, Message | None]
    ) -> list[Revised[Thread]]:
        threads = self.work.mail.threads(self.account.id, {m.thread_id for m in stored.values()})
        gone = [id for id, message in wanted.items() if message is None]
        revised = []
        for thread in threads.values():
            own = [m for m in wanted.values() if m and m.thread_id == thread.id]
            new = self._rethreaded(thread, own, [id for id in gone if id in thread.entries])
            revised.append(Revised(thread, new))
        return [one for one in revised if one.new != one.old]

    def _rethreaded(self, thread: Thread, own: list[Message], gone: list[str]) -> Thread | None:
        sent = self.ingest.role("sent")
        new: Thread | None = with_messages(thread, own, sent.id if sent else None) if own else thread
        if new and gone:
            new = without_messages(new, gone)
        if new is None:
            return None
        window = self.ingest.window
        ends = [window.expiry(entry.date, entry.folder_ids) for entry in new.entries.values()]
        expires_at = latest(*ends, *(message.expires_at for message in own))
        if is_over(expires_at, self.work.now()):
            expires_at = thread.expires_at
        version = thread.version + (new != thread)
        return replace(new, expires_at=expires_at, version=version)

    def _locations(
        self, stored: Mapping[str, Message], wanted: Mapping[str, Message | None]
    ) -> dict[tuple[str, RemoteId], Location | None]:
        places = {(p.folder_id, p.remote_id): m.id for m in stored.values() for p in m.places if p.remote_id}
        by_folder: dict[str, list[RemoteId]] = {}
        for folder_id, remote_id in places:
            by_folder.setdefault(folder_id, []).append(remote_id)
        revised: dict[tuple[str, RemoteId], Location | None] = {}
        for folder_id, remote_ids in by_folder.items():
            found = self.work.mail.locations(self.account.id, folder_id, remote_ids)
            for remote_id, location in found.items():
                message = wanted[places[folder_id, remote_id]]
                at = folder_id, remote_id
                lies = message and any((p.folder_id, p.remote_id) == at for p in message.places)
                kept = replace(location, expires_at=message.expires_at) if message and lies else None
                revised[at] = kept
        return revised


def _chunks(messages: Iterator[Message]) -> Iterator[list[Message]]:
    """Yield messages in groups that part no second, so that a pass can go on behind any of them."""
    some: list[Message] = []
    for message in messages:
        if len(some) >= _CHUNK and message.date != some[-1].date:
            yield some
            some = []
        some.append(message)
    if some:
        yield some


def _dumped(window: Retention) -> list[object]:
    return [window.days, dict(window.exceptions)]


def _window(stored: tuple[int, dict[str, int | None]]) -> Retention:
    days, exceptions = stored
    return Retention(days=days, exceptions=exceptions)
