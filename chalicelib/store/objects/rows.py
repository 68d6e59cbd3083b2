"""Domain objects as compact rows of the table `mail`, and back.

Rows seen by the stream say `kind`, `acct`, `id` and `rev`. The names in INTERNAL are of no concern
to API clients: a change of nothing else is no delta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from chalicelib import ids
from chalicelib.domain.mail.anchor import Anchor, Candidate
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Address, File, Message, Place, RawRef
from chalicelib.domain.mail.thread import Thread
from chalicelib.domain.remote import Flags, RemoteId
from chalicelib.json_text import dumps, loads
from chalicelib.store.aws.dynamo import Item, Key

T = TypeVar("T")
INTERNAL = frozenset({"pk", "sk", "rev", "ttl", "pl", "raw", "v", "pi", "mk", "fp"})

_ADDRESSES = ("sender", "to", "cc", "bcc", "reply_to")


def message_key(account_id: str, id: str) -> Key:
    """Return where a message lies."""
    return f"{account_id}#{ids.month_of(ids.date_of(id))}", f"M#{id}"


def file_key(account_id: str, id: str) -> Key:
    """Return where a file lies: beside its message, whose date its id shares."""
    return f"{account_id}#{ids.month_of(ids.date_of(id))}", f"A#{id}"


def thread_key(account_id: str, id: str) -> Key:
    """Return where a thread lies."""
    return f"{account_id}#T#{id}", "T"


def folder_key(account_id: str, id: str) -> Key:
    """Return where a folder lies."""
    return account_id, f"F#{id}"


def anchor_key(account_id: str, key: str) -> Key:
    """Return where an anchor lies."""
    return f"{account_id}#K#{key}", "K"


def message_item(message: Message) -> Item:
    """Return the row of a message; what is empty is left out."""
    row = head("message", message_key(message.account_id, message.id), message)
    people = [[[p.name, p.email] for p in getattr(message, name)] for name in _ADDRESSES]
    row |= {"d": {"N": str(message.date)}, "z": {"N": str(message.size)}, "a": {"S": dumps(people)}}
    row |= texts(
        t=message.thread_id,
        su=message.subject,
        sn=message.snippet,
        mi=message.message_id,
        ir=message.in_reply_to,
        fo=message.folder_id,
        fl="u" * message.unread + "s" * message.starred,
        rf=dumps(message.references) if message.references else None,
        f=dumps([_file_list(f) for f in message.files]) if message.files else None,
        pl=dumps([[p.folder_id, p.remote_id, p.flags] for p in message.places]) if message.places else None,
        raw=dumps(_raw_list(message.raw)) if message.raw else None,
        la=dumps(message.label_ids) if message.label_ids else None,
        pi=message.identity,
        fp=message.fingerprint,
    )
    return row


def message_of(row: Item) -> Message:
    """Return the message of a row."""
    text = reader(row)
    people = [tuple(Address(*pair) for pair in group) for group in loads(row["a"]["S"])]
    flags = text("fl")
    return Message(
        id=row["id"]["S"],
        account_id=row["acct"]["S"],
        thread_id=text("t"),
        subject=text("su"),
        **dict(zip(_ADDRESSES, people, strict=True)),
        date=int(row["d"]["N"]),
        size=int(row["z"]["N"]),
        snippet=text("sn"),
        files=_listed(row, "f", lambda f: File(**dict(zip(_FILE, f, strict=True)))),
        message_id=text("mi") or None,
        in_reply_to=text("ir") or None,
        references=tuple(loads(text("rf") or "[]")),
        folder_id=text("fo") or None,
        unread="u" in flags,
        starred="s" in flags,
        places=_listed(row, "pl", lambda p: Place(p[0], RemoteId(p[1]), Flags(p[2]))),
        raw=RawRef(*loads(text("raw"))) if "raw" in row else None,
        expires_at=expiry_of(row),
        rev=int(row["rev"]["N"]),
        label_ids=_listed(row, "la", str),
        identity=text("pi"),
        fingerprint=text("fp"),
    )


def file_items(message: Message) -> list[Item]:
    """Return a row per file; only attachments and named parts are objects of their own in the API."""
    rows = []
    for file in message.files:
        pk, sk = file_key(message.account_id, file.id)
        row = {"pk": {"S": pk}, "sk": {"S": sk}, "m": {"S": message.id}, "f": {"S": dumps(_file_list(file))}}
        if file.disposition == "attachment" or file.filename:
            row |= head("file", (pk, sk), message) | {"id": {"S": file.id}}
        rows.append(row)
    return rows


def file_of(row: Item) -> tuple[File, str]:
    """Return a file and the id of its message."""
    return File(**dict(zip(_FILE, loads(row["f"]["S"]), strict=True))), row["m"]["S"]


def folder_item(folder: Folder) -> Item:
    """Return the row of a folder."""
    row = head(folder.kind, folder_key(folder.account_id, folder.id), folder)
    row |= {"c": {"N": str(folder.created_at)}}
    return row | texts(n=folder.collection, dn=folder.display_name, ro=folder.role, mk=folder.mark)


def folder_of(row: Item) -> Folder:
    """Return the folder of a row."""
    text = reader(row)
    return Folder(
        id=row["id"]["S"],
        account_id=row["acct"]["S"],
        collection=text("n"),
        display_name=text("dn"),
        role=text("ro") or None,
        created_at=int(row["c"]["N"]),
        rev=int(row["rev"]["N"]),
        label=text("kind") == "label",
        mark=text("mk"),
    )


def anchor_item(account_id: str, anchor: Anchor) -> Item:
    """Return the row of an anchor."""
    pk, sk = anchor_key(account_id, anchor.key)
    candidates = [_candidate_list(c) for c in anchor.candidates]
    facts = dumps([anchor.key, candidates, anchor.message_ids])
    return {"pk": {"S": pk}, "sk": {"S": sk}, "k": {"S": facts}}


def anchor_of(row: Item) -> Anchor:
    """Return the anchor of a row."""
    key, candidates, message_ids = loads(row["k"]["S"])
    found = tuple(Candidate(thread, tuple(emails), *rest) for thread, emails, *rest in candidates)
    return Anchor(key=key, candidates=found, message_ids=tuple(message_ids))


def expiry_of(row: Item) -> int:
    """Return when a row leaves by itself (Unix seconds), 0 for never."""
    return int(row["ttl"]["N"]) if "ttl" in row else 0


def live(rows: Iterable[Item], now: float) -> list[Item]:
    """Return the rows whose time to live has not passed: DynamoDB removes them days later."""
    return [row for row in rows if "ttl" not in row or int(row["ttl"]["N"]) > now]


_CANDIDATE = ("thread_id", "emails", "reply", "sign", "date", "message_id")
_ALWAYS = 3
_FILE = ("id", "filename", "content_type", "size", "disposition", "content_id", "part")


def head(kind: str, key: Key, object: Message | Thread | Folder) -> Item:
    """Return what the rows of all public objects have in common."""
    return {
        "pk": {"S": key[0]},
        "sk": {"S": key[1]},
        "kind": {"S": kind},
        "acct": {"S": object.account_id},
        "id": {"S": object.id},
        "rev": {"N": str(object.rev)},
    }


def texts(**values: str | None) -> Item:
    """Return attributes; what is empty is left out."""
    return {name: {"S": value} for name, value in values.items() if value}


def reader(row: Item) -> Callable[[str], str]:
    """Return what looks up the text of an attribute, empty if there is none."""

    def text(name: str) -> str:
        return str(row[name]["S"]) if name in row else ""

    return text


def _listed(row: Item, name: str, make: Callable[[Any], T]) -> tuple[T, ...]:
    return tuple(map(make, loads(row[name]["S"]))) if name in row else ()


def _file_list(file: File) -> list[str | int | None]:
    return [getattr(file, name) for name in _FILE]


def _raw_list(raw: RawRef) -> list[str | int]:
    return [raw.key, raw.offset, raw.length, raw.stored_at]


def _candidate_list(candidate: Candidate) -> list[Any]:
    packed: list[Any] = [getattr(candidate, name) for name in _CANDIDATE]
    while len(packed) > _ALWAYS and not packed[-1]:
        packed.pop()
    return packed
