"""The part of an account that a batch touches: what the store says, and what it should say.

Every step computes the latter and only what differs is written, so a batch may be repeated after a crash
at any point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.conversation import conversation_key, relative_keys
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message, Place
from chalicelib.domain.mail.retention import PAST, latest
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.mail.threader import anchor_keys
from chalicelib.domain.remote import Flags, RemoteId, RemoteMessage
from chalicelib.store.ports.mail import Mail
from chalicelib.store.values import Location, MailChanges, Revised
from chalicelib.sync.mail.context import Arrival, MailContext
from chalicelib.sync.mail.extent import within_a_row
from chalicelib.sync.mail.identity import is_same, namesake_ids
from chalicelib.sync.mail.loose import listed
from chalicelib.sync.mail.reading import completed


@dataclass(slots=True, kw_only=True)
class UnitOfWork:
    """The part of an account that a batch touches, as stored and as it should be."""

    context: MailContext
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
    parted: set[str] = field(default_factory=set)
    other_locations: dict[tuple[str, RemoteId], Location] = field(default_factory=dict)

    @property
    def mail(self) -> Mail:
        """Where the account's mail is kept."""
        return self.context.mail

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self.context.account.id

    def load(self, arrivals: Sequence[Arrival], others: Mapping[RemoteId, Flags]) -> None:
        """Read everything the batch may touch, strongly consistent."""
        remote_ids = [arrival.remote.id for arrival in arrivals if arrival.remote.id] + list(others)
        self.locations = self.mail.locations(self.account_id, self.folder.id, remote_ids)
        keys_of = relative_keys if self.context.account.traits.threads else anchor_keys
        keys = {key for arrival in arrivals for key in keys_of(arrival.message)}
        keys |= {conversation_key(arrival.remote.thread) for arrival in arrivals if arrival.remote.thread}
        self.anchors = self.mail.anchors(self.account_id, keys)
        ids = {arrival.message.id for arrival in arrivals}
        ids |= {location.message_id for location in self.locations.values()}
        for arrival in arrivals:
            ids.update(namesake_ids(arrival.mail, self.anchors))
        self.stored = self.mail.messages(self.account_id, ids)
        self.wanted = dict(self.stored)

    def place(self, arrival: Arrival) -> str:
        """Say where an arrived message lies; return the id of the message it turns out to be."""
        remote = arrival.remote
        held = self._recognise(arrival)
        self._vacate(remote.id, held)
        message = _completed(held, arrival) if held else arrival.message
        if not remote.id and self._has_place(message):
            self.wanted[message.id] = message  # a mail of ours that the server has shown us already
            return message.id
        place = Place(self.folder.id, remote.id, remote.flags)
        raw = message.raw or arrival.raw
        message = replace(message, places=_sorted((*self._kept(message, remote), place)), raw=raw)
        message = self.context.viewed(self._described(message, remote))
        expires_at = latest(held.expires_at if held else PAST, self.context.expiry(message))
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

    def _vacate(self, remote_id: RemoteId, held: Message | None) -> None:
        """Let go of another mail that was taken for the one that lies in this place."""
        location = self.locations.get(remote_id)
        if location and (held is None or held.id != location.message_id):
            self.displace(remote_id)
            del self.moved_locations[remote_id]  # which is about to lead to the right one

    def _has_place(self, message: Message) -> bool:
        """Whether a copy lies in this folder; mail with labels has one copy only, wherever it is."""
        labels = self.context.account.traits.labels
        return any(labels or place.folder_id == self.folder.id for place in message.places)

    def _kept(self, message: Message, remote: RemoteMessage) -> Iterable[Place]:
        """The other copies; a mail with labels has one only, and what arrives has left its former place."""
        if self.context.account.traits.labels:
            return ()
        return (
            place
            for place in message.places
            if place.folder_id != self.folder.id or (place.remote_id and place.remote_id != remote.id)
        )

    def _described(self, message: Message, remote: RemoteMessage) -> Message:
        """Take over what the provider says of a mail beside its flags."""
        if not self.context.account.traits.labels:
            return message
        identity = remote.identity or message.identity
        return replace(message, label_ids=self.context.label_ids(remote.labels), identity=identity)

    def relabel(self, remote_id: RemoteId, names: Iterable[str]) -> None:
        """Take over the server's labels of a message we hold."""
        if message := self._at(remote_id):
            self.wanted[message.id] = replace(message, label_ids=self.context.label_ids(names))

    def reflag(self, remote_id: RemoteId, flags: Flags) -> None:
        """Take over the server's flags of a message we hold; others are not here yet."""
        message = self._at(remote_id)
        if message is None:
            return
        places = tuple(
            replace(place, flags=flags) if place.is_at(self.folder.id, remote_id) else place
            for place in message.places
        )
        if places != message.places:
            self.wanted[message.id] = self.context.viewed(replace(message, places=places))
        self._locate(remote_id, Location(message.id, flags, message.expires_at))

    def restore(self, remote_id: RemoteId, flags: Flags) -> None:
        """Put a copy back that was to move and has not: it lies here, and nowhere without a name."""
        message = self._at(remote_id)
        if message is None or any(place.is_at(self.folder.id, remote_id) for place in message.places):
            return
        named = (place for place in message.places if place.remote_id)
        places = _sorted((*named, Place(self.folder.id, remote_id, flags)))
        self.wanted[message.id] = self.context.viewed(replace(message, places=places))

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
        if message := self.wanted.get(location.message_id):
            self._leave(message, remote_id)

    def let_go(self, id: str) -> None:
        """Take a message out of this folder as far as its copy has no name; the last place deletes it."""
        if message := self.wanted.get(id):
            self._leave(message, RemoteId(""))

    def _leave(self, message: Message, remote_id: RemoteId) -> None:
        places = tuple(p for p in message.places if not p.is_at(self.folder.id, remote_id))
        self.wanted[message.id] = self.context.viewed(replace(message, places=places)) if places else None

    def changes(self) -> MailChanges:
        """Return what has to be written, its threads included if they are derived."""
        folder_id = self.folder.id
        bodies = {id: body for id, body in self.bodies.items() if self.wanted.get(id) is not None}
        revised = [
            Revised(self.stored.get(id), new) for id, new in self.wanted.items() if self.stored.get(id) != new
        ]
        loose, named = listed(revised)
        return MailChanges(
            messages=revised,
            bodies=bodies,
            bodies_expire={id: m.expires_at for id, m in self.wanted.items() if m and id in bodies},
            threads=[
                Revised(self.threads.get(id), new)
                for id, new in self.wanted_threads.items()
                if self.threads.get(id) != new
            ],
            anchors=list({**self._outlived(), **self.new_anchors}.values()),
            anchors_expire=self.context.anchors_expire(),
            shared=self.context.until != PAST,
            new_locations={(folder_id, id): location for id, location in self.new_locations.items()}
            | self.other_locations
            | loose,
            locations={(folder_id, id): location for id, location in self.moved_locations.items()} | named,
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
                found = self.mail.locations(self.account_id, place.folder_id, [place.remote_id])
                for id, location in found.items():
                    longer = replace(location, expires_at=message.expires_at)
                    self.other_locations[place.folder_id, id] = longer


def _sorted(places: tuple[Place, ...]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: (place.folder_id, place.remote_id)))


def _completed(held: Message, arrival: Arrival) -> Message:
    """Return the message we hold, completed if only its beginning was here, or if only we know of its Bcc."""
    if not arrival.remote.id and arrival.message.bcc:
        held = within_a_row(replace(held, bcc=arrival.message.bcc))
    if held.raw or arrival.raw is None:
        return held
    return completed(held, arrival.mail, arrival.raw, arrival.message.fingerprint)
