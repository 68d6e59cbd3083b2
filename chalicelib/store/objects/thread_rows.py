"""A thread as rows: its own and, once it is long, parts beside it: its people, and entries of its messages.

One write unit is a kilobyte, about 24 entries. An entry lies in the part that follows from its message's id,
so a message that joins or changes costs the same in a thread of any length. A part is never overwritten: a
new one is written beside it, then the thread's own row names that one, then the former is removed. So a crash
leaves parts that nobody names, and whoever reads just then finds a part missing and reads again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from chalicelib import ids
from chalicelib.domain.mail.message import Address
from chalicelib.domain.mail.thread import Entry, Thread
from chalicelib.json_text import dumps, loads
from chalicelib.store.aws.dynamo import Item, Key
from chalicelib.store.objects.rows import expiry_of, head, reader, texts, thread_key

ALONE = 18
"""So many entries lie in the thread's own row."""

ENTRIES = 14
"""So many lie in a part on average; it grows to twice as many before it is divided."""

_REV, _DIGEST = 8, 7
_NAME = _REV + _DIGEST
_TERM = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ThreadRows:
    """The row of a thread (revision and version as they were), its new parts, and where the former lie."""

    own: Item
    parts: list[Item]
    left: list[Key]


def thread_rows(thread: Thread, old: Thread | None, rev: int) -> ThreadRows:
    """Return what has to be written so that a thread lies as it is now; `rev` is its new revision."""
    is_short = len(thread.entries) <= ALONE
    if is_short and not (old and old.parts):
        return ThreadRows(_own(thread, []), [], [])
    pk, _ = thread_key(thread.account_id, thread.id)
    contents = [] if is_short else _contents(thread)
    ttl = _term(thread.expires_at)
    held = dict(enumerate(old.parts if old else ()))
    names, parts = [], []
    for place, content in enumerate(contents):
        digest = _digest(content, ttl)
        name = held.get(place, "")
        if name[_REV:] != digest:
            name = ids.base36(rev, _REV) + digest
            row = {"pk": {"S": pk}, "sk": {"S": _part_key(place, name)}, "x": {"S": content}}
            parts.append(row | ({"ttl": {"N": str(ttl)}} if ttl else {}))
        names.append(name)
    kept = [_part_key(place, name) for place, name in enumerate(names)]
    left = [where for where in (part_keys(old) if old else ()) if where[1] not in kept]
    return ThreadRows(_own(thread, names), parts, left)


def part_keys(thread: Thread) -> list[Key]:
    """Return where the parts of a stored thread lie."""
    pk, _ = thread_key(thread.account_id, thread.id)
    return [(pk, _part_key(place, name)) for place, name in enumerate(thread.parts)]


def in_parts(row: Item) -> bool:
    """Tell whether the row of a thread is all of it, or names parts."""
    return "x" in row


def is_whole(row: Item, found: Mapping[str, Item]) -> bool:
    """Tell whether all parts that a thread's row names are among rows found (by sort key)."""
    return all(_part_key(place, name) in found for place, name in enumerate(_names(row)))


def thread_of(row: Item, found: Mapping[str, Item]) -> Thread:
    """Return the thread of a row; its parts are among `found` (by sort key), those missing are left out."""
    text = reader(row)
    names = _names(row)
    parts = [found.get(_part_key(place, name)) for place, name in enumerate(names)]
    people, *buckets = [loads(part["x"]["S"]) if part else [] for part in parts] or _inside(row)
    return Thread(
        id=row["id"]["S"],
        account_id=row["acct"]["S"],
        subject=text("su"),
        snippet=text("sn"),
        participants=tuple(Address(*pair) for pair in people),
        entries=dict(_entry_of(entry, some[0]) for some in buckets if some for entry in some[1]),
        version=int(row["v"]["N"]),
        expires_at=expiry_of(row),
        rev=int(row["rev"]["N"]),
        parts=tuple(name if part else "" for name, part in zip(names, parts, strict=True)),
    )


def _own(thread: Thread, names: list[str]) -> Item:
    row = head("thread", thread_key(thread.account_id, thread.id), thread)
    row |= texts(su=thread.subject, sn=thread.snippet, x="".join(names))
    if names:
        return row
    return row | texts(e=_bucket(thread.entries), p=_people(thread))


def _inside(row: Item) -> list[Any]:
    return [loads(row["p"]["S"]), loads(row["e"]["S"])]


def _names(row: Item) -> list[str]:
    joined = reader(row)("x")
    return [joined[place : place + _NAME] for place in range(0, len(joined), _NAME)]


def _part_key(place: int, name: str) -> str:
    return f"T#{place}#{name}"


def _contents(thread: Thread) -> list[str]:
    """Return the people, then the entries as dealt out to the parts."""
    count = -(-len(thread.entries) // ENTRIES)
    dealt: list[dict[str, Entry]] = [{} for _ in range(count)]
    for id in sorted(thread.entries):
        dealt[_place(id, count)][id] = thread.entries[id]
    return [_people(thread), *map(_bucket, dealt)]


def _place(id: str, count: int) -> int:
    """Deal out ids so that one place more takes only from one other (linear hashing)."""
    places = 1 << (count - 1).bit_length()
    place = zlib.crc32(id.encode()) % places
    return place if place < count else place - places // 2


def _people(thread: Thread) -> str:
    return dumps([[p.name, p.email] for p in thread.participants])


def _bucket(entries: Mapping[str, Entry]) -> str:
    """Return entries as text: folder ids stand once, dates only where the message id differs."""
    folders = sorted({id for entry in entries.values() for id in entry.folder_ids})
    index = {id: place for place, id in enumerate(folders)}
    return dumps([folders, [_entry_list(id, entry, index) for id, entry in entries.items()]])


def _digest(content: str, ttl: int) -> str:
    digest = blake2b(f"{ttl} {content}".encode("utf-8", "surrogateescape"), digest_size=8)
    return ids.base36(int.from_bytes(digest.digest(), "big"), _DIGEST)


def _term(expires_at: int) -> int:
    """Return the end of a part's life: a month or two after its thread's, so that it rarely changes."""
    return (expires_at // _TERM + 2) * _TERM if expires_at else 0


def _entry_list(id: str, entry: Entry, index: Mapping[str, int]) -> list[Any]:
    bits = entry.unread | entry.starred << 1 | entry.attachments << 2 | entry.sent << 3
    places = [index[folder] for folder in entry.folder_ids]
    late = entry.date - ids.date_of(id)
    return [id, bits, places, late] if late else [id, bits, places]


def _entry_of(packed: list[Any], folders: list[str]) -> tuple[str, Entry]:
    id, bits, places, *late = packed
    return id, Entry(
        date=ids.date_of(id) + (late[0] if late else 0),
        unread=bool(bits & 1),
        starred=bool(bits & 2),
        attachments=bool(bits & 4),
        sent=bool(bits & 8),
        folder_ids=tuple(folders[place] for place in places),
    )
