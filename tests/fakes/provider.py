"""A mail server in memory that is its own Provider."""

from __future__ import annotations

import email
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from chalicelib.errors import CursorExpired, Gone

DAY = 86_400
ROLES = {"INBOX": "inbox", "Drafts": "drafts", "Sent": "sent", "Trash": "trash", "Junk": "spam"}


@dataclass
class Box:
    """One folder; every change of it is counted."""

    uidvalidity: int = 1
    uidnext: int = 1
    changes: int = 1
    messages: dict[RemoteId, RemoteMessage] = field(default_factory=dict)

    def add(self, message: RemoteMessage) -> RemoteId:
        id = RemoteId(f"{self.uidvalidity:010d}.{self.uidnext:010d}")
        self.messages[id] = replace(message, id=id)
        self.uidnext += 1
        self.changes += 1
        return id

    def take(self, id: RemoteId) -> RemoteMessage | None:
        self.changes += 1
        return self.messages.pop(id, None)


class MemoryProvider:
    """Provider, and the hands of a person who uses the mailbox with another program.

    A server that `counts` changes shows in its listing which folders moved. `meanwhile` is called at
    the start of each step: what happens on the server while we are at work. Messages of the history with
    more than `large` octets (0: none) come with their headers first.
    """

    def __init__(self, counts: bool = True, large: int = 0) -> None:
        self.counts = counts
        self.large = large
        self.boxes = {name: Box() for name in ROLES}
        self.steps: list[str] = []
        self.searched: list[str] = []
        self.meanwhile: Callable[[str], None] = lambda folder: None

    # The other program.

    def deliver(self, folder: str, raw: bytes, flags: str = "", at: int = 1_600_000_000) -> RemoteId:
        """Put a message into a folder."""
        return self._box(folder).add(
            RemoteMessage(id=RemoteId(""), flags=Flags(flags), received_at=at, raw=raw)
        )

    def flag(self, folder: str, id: RemoteId, flags: str) -> None:
        """Replace the flags of a message."""
        box = self._box(folder)
        box.messages[id] = replace(box.messages[id], flags=Flags(flags))
        box.changes += 1

    def expunge(self, folder: str, id: RemoteId) -> None:
        """Remove a message for good."""
        self._box(folder).take(id)

    def move(self, folder: str, id: RemoteId, target: str) -> None:
        """Move a message to another folder."""
        self.apply([Edit(collection=folder, item=id, move_to=target)])

    def renumber(self, folder: str) -> None:
        """Give a folder a new UIDVALIDITY and its messages new ids."""
        old = self._box(folder)
        self.boxes[folder] = Box(uidvalidity=old.uidvalidity + 1)
        for message in old.messages.values():
            self.boxes[folder].add(message)

    def everything(self) -> dict[tuple[str, str], str]:
        """Return the flags of every message by folder and id."""
        return {(n, id): m.flags for n, box in self.boxes.items() for id, m in box.messages.items()}

    # The Provider.

    def collections(self) -> Sequence[Collection]:
        """List every folder, inbox first."""
        return [
            Collection(id=name, name=name, role=ROLES.get(name), token=self._token(box))
            for name, box in self.boxes.items()
        ]

    def unchanged(
        self, collection: Collection, cursor: Cursor, since: int = 0, *, history: bool = True
    ) -> bool:
        """Tell whether the folder is as the cursor left it."""
        state = json.loads(cursor)
        complete = (state["low"] <= 1 and state["whole"] <= 1) or not history
        current = complete and state["since"] <= since + DAY
        return bool(current and collection.token and state["token"] == collection.token)

    def changes(
        self, collection: Collection, cursor: Cursor | None, known: Known, budget: BatchLimits
    ) -> ChangeBatch:
        """Return new mail, changed flags, removals, then a slice of history."""
        self.steps.append(collection.id)
        self.meanwhile(collection.id)
        box = self._box(collection.id)
        fresh = {"v": box.uidvalidity, "next": box.uidnext, "low": box.uidnext, "since": budget.since}
        fresh["whole"] = fresh["low"] if self.large else 1
        state = json.loads(cursor) if cursor else fresh
        if state["v"] != box.uidvalidity or state["next"] > box.uidnext:
            raise CursorExpired("new UIDVALIDITY, or set back")
        if state["since"] > budget.since + DAY:
            until = state["since"] if max(state["low"], state["whole"]) <= 1 else 0
            state |= {"low": box.uidnext, "whole": fresh["whole"], "since": budget.since, "until": until}
        until = state.get("until", 0)
        new = [m for id, m in box.messages.items() if _uid(id) >= state["next"]]
        below = (m for id, m in box.messages.items() if _uid(id) < state["low"])
        wanted = (m for m in below if m.received_at >= budget.since - DAY)
        old = sorted((m for m in wanted if not until or m.received_at < until), key=_message_uid)
        live, cut = new[: budget.messages], new[budget.messages :]
        live = [m for m in live if m.received_at >= budget.since - DAY]
        older = [] if cut else old[::-1][: max(0, min(budget.history, budget.messages - len(live)))]
        left = len(old) - len(older)
        whole, contents = self._contents(box, state["whole"], budget) if state["low"] <= 1 else (None, [])
        now_known = known() if cursor or not left else {}
        removed = _removed(now_known, box, whole=not left)
        low = 1 if not left else _uid(older[-1].id) if older else state["low"]
        following = _uid(cut[0].id) if cut else box.uidnext
        token = self._token(box) if not cut else ""
        state["whole"] = state["whole"] if whole is None else whole
        return ChangeBatch(
            arrived=(*live, *map(self._beginning, older), *contents),
            flags=_changed(now_known, box),
            removed=removed,
            cursor=Cursor(json.dumps(state | {"next": following, "low": low, "token": token})),
            more=bool(cut or left or state["whole"] > 1),
            history_left=left,
        )

    def narrowed(self, cursor: Cursor, since: int) -> Cursor:
        """Return the cursor of somebody who holds nothing received before `since`."""
        state = json.loads(cursor)
        return Cursor(json.dumps(state | {"since": max(state["since"], since)}))

    def listing(self, collection: Collection, cursor: Cursor, since: int = 0) -> Mapping[RemoteId, Flags]:
        """Return what the cursor claims to have brought."""
        box, state = self._box(collection.id), json.loads(cursor)
        if state["v"] != box.uidvalidity:
            raise CursorExpired("new UIDVALIDITY")
        there = {id: m for id, m in box.messages.items() if state["low"] <= _uid(id) < state["next"]}
        return {id: m.flags for id, m in there.items() if m.received_at >= since}

    def items(self, collection: Collection, ids: Sequence[RemoteId]) -> Sequence[RemoteMessage]:
        """Return those that are still there."""
        box = self._box(collection.id)
        return [box.messages[id] for id in ids if id in box.messages]

    def fetch(self, collection_id: str, id: RemoteId) -> bytes:
        """Return the raw message. Raises Gone."""
        message = self._box(collection_id).messages.get(id)
        if message is None:
            raise Gone("no such message")
        return message.raw

    def apply(self, edits: Sequence[Edit]) -> None:
        """Make changes; an item that is gone is passed over."""
        for edit in edits:
            box = self._box(edit.collection)
            message = box.messages.get(edit.item)
            if message is None:
                continue
            flags = Flags("".join(sorted((set(message.flags) | set(edit.add)) - set(edit.remove))))
            self.flag(edit.collection, edit.item, flags)
            if edit.move_to is not None and edit.move_to != edit.collection:
                box.take(edit.item)
                self._box(edit.move_to).add(replace(message, flags=flags))

    def append(self, collection_id: str, raw: bytes, flags: Flags) -> None:
        """File a message."""
        self.deliver(collection_id, raw, flags)

    def end(self, collection_id: str) -> str:
        """Return where a folder ends."""
        box = self._box(collection_id)
        return f"{box.uidvalidity}.{box.uidnext}"

    def lost_since(self, collection_id: str, end: str) -> bool:
        """Tell whether something that came since has gone."""
        box, (uidvalidity, first) = self._box(collection_id), map(int, end.split("."))
        kept = sum(_uid(id) >= first for id in box.messages)
        return box.uidvalidity != uidvalidity or kept < box.uidnext - first

    def find(self, collection_id: str, message_id: str) -> RemoteId | None:
        """Return the newest message with this Message-ID."""
        for id, message in reversed(self._box(collection_id).messages.items()):
            if email.message_from_bytes(message.raw)["Message-ID"] == message_id:
                return id
        return None

    def search(self, collection_id: str, query: str, limit: int) -> Sequence[RemoteId]:
        """Return messages that hold these very words, newest first."""
        box = self._box(collection_id)
        self.searched.append(collection_id)
        found = [m for m in box.messages.values() if query.encode() in m.raw]
        return [m.id for m in sorted(found, key=lambda m: m.received_at, reverse=True)][:limit]

    def bring(
        self, collection_id: str, ids: Sequence[RemoteId], budget: BatchLimits
    ) -> Sequence[RemoteMessage]:
        """Return those that are still there, as far as the budget goes."""
        brought, left = [], budget.bytes
        box = self._box(collection_id)
        for message in (box.messages[id] for id in ids[: budget.messages] if id in box.messages):
            if len(message.raw) <= left:
                brought.append(message)
                left -= len(message.raw)
        return brought

    def close(self) -> None:
        """Do nothing."""

    def _beginning(self, message: RemoteMessage) -> RemoteMessage:
        if not 0 < self.large < len(message.raw):
            return message
        head = message.raw.index(b"\r\n\r\n") + 4
        return replace(message, raw=message.raw[:head], size=len(message.raw), whole=False)

    def _contents(self, box: Box, below: int, budget: BatchLimits) -> tuple[int, list[RemoteMessage]]:
        """Return some large messages as a whole, and the UID from which on nothing is missing."""
        there = [m for id, m in box.messages.items() if _uid(id) < below and 0 < self.large < len(m.raw)]
        large = sorted(there, key=_message_uid, reverse=True)
        some = large[: budget.messages]
        return (_uid(some[-1].id) if len(some) < len(large) else 1), some

    def _box(self, name: str) -> Box:
        if name not in self.boxes:
            raise Gone("no such folder")
        return self.boxes[name]

    def _token(self, box: Box) -> str:
        return f"{box.uidvalidity}:{box.changes}" if self.counts else ""


def _uid(id: RemoteId) -> int:
    return int(id.partition(".")[2])


def _message_uid(message: RemoteMessage) -> int:
    return _uid(message.id)


def _changed(known: Mapping[RemoteId, Flags], box: Box) -> dict[RemoteId, Flags]:
    there = {id: box.messages[id].flags for id in known if id in box.messages}
    return {id: flags for id, flags in there.items() if flags != known[id]}


def _removed(known: Mapping[RemoteId, Flags], box: Box, *, whole: bool) -> frozenset[RemoteId]:
    """Ids of an older generation are gone only once the whole folder has been seen anew."""
    ours = f"{box.uidvalidity:010d}."
    return frozenset(id for id in known if id and id not in box.messages and (whole or id.startswith(ours)))
