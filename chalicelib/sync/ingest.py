"""One batch from the server into messages, threads and look-ups.

Every step computes what the store should say and writes only what differs, so a batch may be
repeated after a crash at any point.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from types import MappingProxyType

from chalicelib.clock import Clock
from chalicelib.domain.account import Account
from chalicelib.domain.anchor import Anchor
from chalicelib.domain.change import Flags, RemoteId, RemoteMessage
from chalicelib.domain.conversation import conversation_id, conversation_key, converse
from chalicelib.domain.folder import Folder, preference
from chalicelib.domain.message import Message, Place, RawRef
from chalicelib.domain.thread import Thread, empty_thread, with_messages, without_messages
from chalicelib.domain.threader import Assignment, anchor_keys, assign
from chalicelib.domain.window import PAST, Window, latest
from chalicelib.formats.mime import ParsedMail, parse
from chalicelib.store.ports import Blobs, Mail
from chalicelib.store.values import Location, MailChanges, Revised
from chalicelib.sync.identity import is_same, namesake_ids
from chalicelib.sync.reading import completed, message_of
from chalicelib.sync.stale import until_fresh

Labels = Mapping[RemoteId, tuple[str, ...]]
"""Ids of collections by message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message on its way in: what the server gave and what it looks like before we know our own.

    `raw` is None while only its beginning is here.
    """

    remote: RemoteMessage
    mail: ParsedMail
    message: Message
    raw: RawRef | None


@dataclass(frozen=True, slots=True)
class Absorbed:
    """The ids of the messages that arrived, and how many copies were not here before."""

    ids: tuple[str, ...]
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where one account's mail is put; `folders` is by collection.

    Mail stays as long as `window` (a fixed one) says, and until `until` (Unix seconds) at least.
    """

    mail: Mail
    blobs: Blobs
    account: Account
    folders: Mapping[str, Folder]
    now: Clock = time.time
    window: Window = field(default_factory=Window)
    until: int = PAST

    def folder(self, collection_id: str) -> Folder:
        """Return the folder of a collection that was listed."""
        return self.folders[collection_id]

    def absorb(
        self,
        folder: Folder,
        arrivals: Sequence[Arrival],
        flags: Mapping[RemoteId, Flags],
        labels: Labels = MappingProxyType({}),
    ) -> Absorbed:
        """Store arrivals and changes of flags and labels. Raises Stale."""
        if not arrivals and not flags:
            return Absorbed((), 0)
        draft = _Draft(shelf=self, folder=folder)
        draft.load(arrivals, flags)
        ids = [draft.place(arrival) for arrival in arrivals]
        for remote_id, letters in flags.items():
            draft.reflag(remote_id, letters)
        for remote_id, names in labels.items():
            draft.relabel(remote_id, names)
        draft.thread(ids)
        self.mail.save(self.account.id, draft.changes())
        return Absorbed(tuple(ids), len(draft.new_locations))

    def restate(
        self,
        folder: Folder,
        flags: Mapping[RemoteId, Flags],
        settled: int,
        labels: Labels = MappingProxyType({}),
    ) -> None:
        """Let copies be what the server says they are, except where we wrote after `settled`.

        The server may still be at work on those. Raises Stale.
        """
        draft = _Draft(shelf=self, folder=folder)
        draft.load([], flags)
        for remote_id, letters in flags.items():
            if draft.written(remote_id) <= settled:
                draft.restore(remote_id, letters)
                draft.reflag(remote_id, letters)
                if remote_id in labels:
                    draft.relabel(remote_id, labels[remote_id])
        self.mail.save(self.account.id, draft.changes())

    def remove(self, folder: Folder, removed: frozenset[RemoteId]) -> int:
        """Forget places, return how many; a message left without any is deleted. Raises Stale."""
        draft = _Draft(shelf=self, folder=folder)
        draft.load([], dict.fromkeys(removed, Flags("")))
        for remote_id in removed:
            draft.displace(remote_id)
        self.mail.save(self.account.id, draft.changes())
        return len(draft.moved_locations)

    def label_ids(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the ids of labels by their collections; those that are not shown to us are left out."""
        return tuple(sorted({self.folders[name].id for name in names if name in self.folders}))

    def role(self, name: str) -> Folder | None:
        """Return the folder of a role."""
        return next((folder for folder in self.folders.values() if folder.role == name), None)

    def viewed(self, message: Message) -> Message:
        """Show folder and flags of the copy in the preferred folder."""
        by_id = {folder.id: folder for folder in self.folders.values()}
        places = [place for place in message.places if place.folder_id in by_id] or list(message.places)
        shown = min(places, key=lambda p: _rank(by_id.get(p.folder_id), p))
        return replace(
            message,
            folder_id=shown.folder_id,
            unread="s" not in shown.flags,
            starred="f" in shown.flags,
        )

    def expiry(self, message: Message) -> int:
        """Return when a message leaves by itself, as it lies now."""
        return latest(
            self.window.expiry(message.date, [place.folder_id for place in message.places]), self.until
        )

    def anchors_expire(self) -> int:
        """Return the life's end of anchors written now: no earlier than that of messages that bear them."""
        return latest(self.window.longest(self.now()), self.until)

    def arrivals(self, arrived: Sequence[RemoteMessage]) -> list[Arrival]:
        """Parse messages and keep their raw bytes."""
        kept, arrivals = self._keep([remote.raw for remote in arrived if remote.whole]), []
        for remote in arrived:
            parsed = parse(remote.raw)
            message = message_of(self.account.id, remote, parsed)
            raw = next(kept) if remote.whole else None
            arrivals.append(Arrival(remote=remote, mail=parsed, message=message, raw=raw))
        return arrivals

    def _keep(self, raws: Sequence[bytes]) -> Iterator[RawRef]:
        """Keep raw mails in one object: a PUT per message would be the dearest part of a sync."""
        data = b"".join(raws)
        key = f"raw/{self.account.id}/{hashlib.sha256(data).hexdigest()}"
        if raws:
            self.blobs.put(key, data)
        offsets = accumulate(map(len, raws), initial=0)
        stored_at = int(self.now())
        return (RawRef(key, offset, len(raw), stored_at) for raw, offset in zip(raws, offsets, strict=False))


@dataclass(slots=True, kw_only=True)
class _Draft:
    """The part of an account that a batch touches, as stored and as it should be."""

    shelf: Shelf
    folder: Folder
    stored: dict[str, Message] = field(default_factory=dict)
    wanted: dict[str, Message | None] = field(default_factory=dict)
    threads: dict[str, Thread] = field(default_factory=dict)
    wanted_threads: dict[str, Thread | None] = field(default_factory=dict)
    anchors: dict[str, Anchor] = field(default_factory=dict)
    new_anchors: dict[str, Anchor] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    locations: dict[RemoteId, Location] = field(default_factory=dict)
    new_locations: dict[RemoteId, Location] = field(default_factory=dict)
    moved_locations: dict[RemoteId, Location | None] = field(default_factory=dict)
    conversations: dict[str, str] = field(default_factory=dict)
    other_locations: dict[tuple[str, RemoteId], Location] = field(default_factory=dict)

    @property
    def _mail(self) -> Mail:
        return self.shelf.mail

    @property
    def _account_id(self) -> str:
        return self.shelf.account.id

    def load(self, arrivals: Sequence[Arrival], others: Mapping[RemoteId, Flags]) -> None:
        """Read everything the batch may touch, strongly consistent."""
        remote_ids = [arrival.remote.id for arrival in arrivals if arrival.remote.id] + list(others)
        self.locations = self._mail.locations(self._account_id, self.folder.id, remote_ids)
        keys = {key for arrival in arrivals for key in anchor_keys(arrival.message)}
        keys |= {conversation_key(arrival.remote.thread) for arrival in arrivals if arrival.remote.thread}
        self.anchors = self._mail.anchors(self._account_id, keys)
        ids = {arrival.message.id for arrival in arrivals}
        ids |= {location.message_id for location in self.locations.values()}
        for arrival in arrivals:
            ids.update(namesake_ids(arrival.mail, self.anchors))
        self.stored = self._mail.messages(self._account_id, ids)
        self.wanted = dict(self.stored)

    def place(self, arrival: Arrival) -> str:
        """Say where an arrived message lies; return the id of the message it turns out to be."""
        remote = arrival.remote
        held = self._recognise(arrival)
        message = _completed(held, arrival) if held else arrival.message
        if self.shelf.account.labelled and message.places and not remote.id:
            return message.id  # a mail of ours that the provider has shown us already
        place = Place(self.folder.id, remote.id, remote.flags)
        raw = message.raw or arrival.raw
        message = replace(message, places=_sorted((*self._kept(message, remote), place)), raw=raw)
        message = self.shelf.viewed(self._described(message, remote))
        expires_at = latest(held.expires_at if held else PAST, self.shelf.expiry(message))
        message = replace(message, expires_at=expires_at)
        if held and expires_at != held.expires_at:
            self._outlive(message)
        if remote.thread:
            self.conversations[message.id] = remote.thread
        self.wanted[message.id] = message
        if remote.whole:
            self.bodies[message.id] = arrival.mail.body_html
        if remote.id:
            self._locate(remote.id, Location(message.id, remote.flags, message.expires_at))
        return message.id

    def _kept(self, message: Message, remote: RemoteMessage) -> Iterable[Place]:
        """The other copies; a mail with labels has one only, and what arrives has left its former place."""
        if self.shelf.account.labelled:
            return ()
        return (
            place
            for place in message.places
            if place.folder_id != self.folder.id or (place.remote_id and place.remote_id != remote.id)
        )

    def _described(self, message: Message, remote: RemoteMessage) -> Message:
        """Take over what the provider says of a mail beside its flags."""
        if not self.shelf.account.labelled:
            return message
        identity = remote.identity or message.identity
        return replace(message, label_ids=self.shelf.label_ids(remote.labels), identity=identity)

    def relabel(self, remote_id: RemoteId, names: Iterable[str]) -> None:
        """Take over the server's labels of a message we hold."""
        if message := self._at(remote_id):
            self.wanted[message.id] = replace(message, label_ids=self.shelf.label_ids(names))

    def reflag(self, remote_id: RemoteId, flags: Flags) -> None:
        """Take over the server's flags of a message we hold; others are not here yet."""
        message = self._at(remote_id)
        if message is None:
            return
        places = tuple(
            replace(place, flags=flags) if _is_at(place, self.folder.id, remote_id) else place
            for place in message.places
        )
        if places != message.places:
            self.wanted[message.id] = self.shelf.viewed(replace(message, places=places))
        self._locate(remote_id, Location(message.id, flags, message.expires_at))

    def restore(self, remote_id: RemoteId, flags: Flags) -> None:
        """Put a copy back that was to move and has not: it lies here, and nowhere without a name."""
        message = self._at(remote_id)
        if message is None or any(_is_at(place, self.folder.id, remote_id) for place in message.places):
            return
        named = (place for place in message.places if place.remote_id)
        places = _sorted((*named, Place(self.folder.id, remote_id, flags)))
        self.wanted[message.id] = self.shelf.viewed(replace(message, places=places))

    def written(self, remote_id: RemoteId) -> int:
        """Return the second in which the message of a copy was last written, 0 if we hold none."""
        message = self._at(remote_id)
        return message.rev // 1000 if message else 0

    def displace(self, remote_id: RemoteId) -> None:
        """Take a message out of a place; the last one deletes it."""
        location = self.locations.get(remote_id)
        if location is None:
            return
        self.moved_locations[remote_id] = None
        message = self.wanted.get(location.message_id)
        if message is None:
            return
        places = tuple(p for p in message.places if not _is_at(p, self.folder.id, remote_id))
        self.wanted[message.id] = self.shelf.viewed(replace(message, places=places)) if places else None

    def thread(self, ids: Iterable[str]) -> None:
        """Give these messages their threads, merging threads that turn out to be one."""
        waiting = [message for id in dict.fromkeys(ids) if (message := self.wanted[id]) is not None]
        if self.shelf.account.labelled:
            self._converse(waiting)
            return
        while waiting:
            assignment = assign(self._account_id, waiting, self.anchors)
            for message in waiting:
                self.wanted[message.id] = replace(message, thread_id=assignment.thread_of[message.id])
            for anchor in assignment.anchors:
                self.anchors[anchor.key] = self.new_anchors[anchor.key] = anchor
            waiting = self._moved_over(assignment)

    def _converse(self, messages: Sequence[Message]) -> None:
        """Give these messages the threads of their provider."""
        ids = {conversation_id(self._account_id, name) for name in self.conversations.values()}
        self._load_threads(ids | {message.thread_id for message in messages if message.thread_id})
        placed = converse(self._account_id, messages, self.conversations, self.anchors, self.threads)
        for id, thread_id in placed.thread_of.items():
            self.wanted[id] = replace(self.wanted[id] or self.stored[id], thread_id=thread_id)
        for anchor in placed.anchors:
            self.anchors[anchor.key] = self.new_anchors[anchor.key] = anchor

    def changes(self) -> MailChanges:
        """Return what has to be written."""
        self._rethread()
        folder_id = self.folder.id
        bodies = {id: body for id, body in self.bodies.items() if self.wanted.get(id) is not None}
        return MailChanges(
            messages=[
                Revised(self.stored.get(id), new)
                for id, new in self.wanted.items()
                if self.stored.get(id) != new
            ],
            bodies=bodies,
            bodies_expire={id: m.expires_at for id, m in self.wanted.items() if m and id in bodies},
            threads=[
                Revised(self.threads.get(id), new)
                for id, new in self.wanted_threads.items()
                if self.threads.get(id) != new
            ],
            anchors=list({**self._outlived(), **self.new_anchors}.values()),
            anchors_expire=self.shelf.anchors_expire(),
            shared=self.shelf.until != PAST,
            new_locations={(folder_id, id): location for id, location in self.new_locations.items()}
            | self.other_locations,
            locations={(folder_id, id): location for id, location in self.moved_locations.items()},
        )

    def _outlived(self) -> dict[str, Anchor]:
        """Return the anchors of messages that live longer than before: they must, too."""
        ends = {id: message.expires_at for id, message in self.stored.items()}
        longer = [m for id, m in self.wanted.items() if m and ends.get(id) != m.expires_at]
        keys = {key for message in longer for key in anchor_keys(message)[:1]}
        return {key: self.anchors[key] for key in keys & self.anchors.keys()}

    def _recognise(self, arrival: Arrival) -> Message | None:
        """Find the message we hold: by its place, by its id, by its Message-ID."""
        location = self.locations.get(arrival.remote.id)
        candidates = [location.message_id] if location else []
        candidates += [arrival.message.id, *namesake_ids(arrival.mail, self.anchors)]
        held = (self.wanted.get(id) for id in candidates)
        return next((m for m in held if m and is_same(m, arrival.message, arrival.remote)), None)

    def _at(self, remote_id: RemoteId) -> Message | None:
        location = self.locations.get(remote_id)
        return self.wanted.get(location.message_id) if location else None

    def _locate(self, remote_id: RemoteId, location: Location) -> None:
        if remote_id not in self.locations or remote_id in self.new_locations:
            self.new_locations[remote_id] = location
        elif self.locations[remote_id] != location:
            self.moved_locations[remote_id] = location
        self.locations[remote_id] = location

    def _outlive(self, message: Message) -> None:
        """Let a message's places in other folders be known for as long as it lives now."""
        for place in message.places:
            if place.folder_id != self.folder.id and place.remote_id:
                found = self._mail.locations(self._account_id, place.folder_id, [place.remote_id])
                for id, location in found.items():
                    longer = replace(location, expires_at=message.expires_at)
                    self.other_locations[place.folder_id, id] = longer

    def _moved_over(self, assignment: Assignment) -> list[Message]:
        """Return the messages of swallowed threads under their survivor; their anchors must follow."""
        swallowed = self._mail.threads(self._account_id, assignment.merged.keys() - self.threads.keys())
        self.threads.update(swallowed)
        self.wanted_threads.update(dict.fromkeys(swallowed))
        ids = {id for thread in swallowed.values() for id in thread.entries} - self.wanted.keys()
        found = self._mail.messages(self._account_id, ids)
        self.stored.update(found)
        self.wanted.update(found)
        moved = [
            replace(message, thread_id=assignment.merged[message.thread_id])
            for message in self.wanted.values()
            if message is not None and message.thread_id in assignment.merged
        ]
        keys = {key for message in moved for key in anchor_keys(message)} - self.anchors.keys()
        self.anchors.update(self._mail.anchors(self._account_id, keys))
        return moved

    def _rethread(self) -> None:
        """Derive the touched threads from their messages."""
        sent = self.shelf.role("sent")
        joining: dict[str, list[Message]] = {}
        leaving: dict[str, list[str]] = {}
        for id, message in self.wanted.items():
            old = self.stored.get(id)
            if message is not None:
                joining.setdefault(message.thread_id, []).append(message)
            if old is not None and (message is None or message.thread_id != old.thread_id):
                leaving.setdefault(old.thread_id, []).append(id)
        self._load_threads(joining.keys() | leaving.keys())
        for thread_id in joining.keys() | leaving.keys():
            self.wanted_threads[thread_id] = _revised(
                self.threads.get(thread_id) or empty_thread(thread_id, self._account_id),
                joining.get(thread_id, []),
                leaving.get(thread_id, []),
                sent.id if sent else None,
            )

    def _load_threads(self, ids: Iterable[str]) -> None:
        missing = set(ids) - self.threads.keys()
        self.threads.update(self._mail.threads(self._account_id, missing))


def _revised(
    thread: Thread, joining: list[Message], leaving: list[str], sent_folder: str | None
) -> Thread | None:
    revised: Thread | None = with_messages(thread, joining, sent_folder) if joining else thread
    if revised and leaving:
        revised = without_messages(revised, leaving)
    if revised is None or not revised.entries:
        return None
    is_new = not thread.entries
    if not is_new and revised != thread:
        revised = replace(revised, version=thread.version + 1)
    held = PAST if is_new else thread.expires_at
    return replace(revised, expires_at=latest(held, *(message.expires_at for message in joining)))


def _rank(folder: Folder | None, place: Place) -> tuple[int, str, str]:
    rank, id = preference(folder) if folder else (99, place.folder_id)
    return rank, id, place.remote_id


def _is_at(place: Place, folder_id: str, remote_id: RemoteId) -> bool:
    return place.folder_id == folder_id and place.remote_id == remote_id


def _sorted(places: tuple[Place, ...]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: (place.folder_id, place.remote_id)))


def record_sent(
    mail: Mail,
    blobs: Blobs,
    account: Account,
    raw: bytes,
    folder: Folder | None,
    at: int,
    *,
    window: Window | None = None,
) -> Message:
    """Store a mail just sent, before sync has seen its copy in Sent; that copy keeps this id."""
    folders = {one.collection: one for one in mail.folders(account.id)}
    fixed = (window or Window()).fixed(folders.values())
    shelf = Shelf(mail=mail, blobs=blobs, account=account, folders=folders, window=fixed)
    home = folder or Folder(
        id="", account_id=account.id, collection="", display_name="", role=None, created_at=at
    )
    remote = RemoteMessage(id=RemoteId(""), flags=Flags("s"), received_at=at, raw=raw)
    if account.labelled and (all_mail := shelf.role("all")):  # where Gmail will file it itself
        home, remote = all_mail, replace(remote, labels=(home.collection,))
    [arrival] = shelf.arrivals([remote])

    def store() -> Message:
        draft = _Draft(shelf=shelf, folder=home)
        draft.load([arrival], {})
        id = draft.place(arrival)
        draft.thread([id])
        mail.save(account.id, draft.changes())
        return mail.messages(account.id, [id])[id]

    return until_fresh(store)


def _completed(held: Message, arrival: Arrival) -> Message:
    """Return the message we hold, completed if only its beginning was here."""
    return held if held.raw or arrival.raw is None else completed(held, arrival.mail, arrival.raw)
