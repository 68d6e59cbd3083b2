"""What one client wants to see of an account's log, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib import bounds, ids
from chalicelib.api.deltas.kinds import BY_KIND, Objects
from chalicelib.api.mail import filters
from chalicelib.api.mail.shown import Shown
from chalicelib.deltas.follow import Feed, Line, LogPosition
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.log.delta import KINDS, Change, Delta, ObjectKey, Operation
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.errors import InvalidRequest
from chalicelib.http.query import Query
from chalicelib.services import services
from chalicelib.wire.log import cursor
from chalicelib.wire.log import delta as wire

PARAMETERS = frozenset(
    {
        "cursor", "include_types", "exclude_types", "excluded_types",
        "exclude_account", "exclude_folders", "exclude_metadata",
        "in", "any_email", "received_before", "received_after", "historical", "seq",
    }
)  # fmt: skip
_FILTERS = ("in", "any_email", "received_before", "received_after")
_DATED = frozenset({"file", "message"})
"""Kinds whose ids begin with the date of their message."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which mail is wanted: tests of messages and threads, and the dates between which it came."""

    query: Query
    after: int | None
    before: int | None

    def for_now(
        self, folders: Mapping[str, Folder]
    ) -> tuple[Callable[[Message], bool], filters.ThreadFilter]:
        """Return the tests, with the folders as they are now."""
        return filters.message_filter(self.query, folders), filters.thread_filter(self.query, folders)

    def in_time(self, moment: int) -> bool:
        """Tell whether mail of that date is wanted."""
        return (self.after is None or moment > self.after) and (self.before is None or moment <= self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaView:
    """The view of one request on the log of one account."""

    account: Account
    kinds: frozenset[str]
    expanded: bool
    historical: bool
    filter: Filter | None

    def feed(self, limit: int, most_bytes: int = bounds.BATCH_BYTES) -> Feed:
        """Return the account's log as it is seen through here."""
        return Feed(
            log=services().log,
            account_id=self.account.id,
            limit=limit,
            show=self.show,
            keep=self._wanted,
            most_bytes=most_bytes,
        )

    def show(self, deltas: Sequence[Delta]) -> list[Line]:
        """Return deltas with their objects as they are now.

        Left out: the creation or change of an object that has vanished since (its deletion follows),
        and mail out of the dates asked for. Mail that no other filter admits is shown as deleted, so
        that who keeps only what is admitted need not know why.
        """
        shown = Shown(self.account, self.expanded)  # anew each time: folders change during a stream
        names = [d.change.name for d in deltas if d.change.event is not Operation.DELETE]
        objects = _loaded(shown, names)
        chosen = [d for d in deltas if d.change.event is Operation.DELETE or d.change.name in objects]
        if self.filter:
            chosen = self._filtered(self.filter, shown, chosen, objects)
        left = {d.change.name for d in chosen if d.change.event is not Operation.DELETE}
        dumped = _dumped(shown, {name: objects[name] for name in left})
        return [(d.seq, self._dump(d, objects, dumped)) for d in chosen]

    def _wanted(self, change: Change) -> bool:
        return change.kind in self.kinds

    def _filtered(
        self, wanted: Filter, shown: Shown, deltas: Sequence[Delta], objects: Mapping[ObjectKey, Any]
    ) -> list[Delta]:
        message_test, thread_test = wanted.for_now(shown.folders)
        of_files = [objects[name][1] for name in objects if name[0] == "file"]
        messages = services().mail.messages(self.account.id, of_files) if of_files else {}

        def admits(name: ObjectKey) -> bool:
            one = messages.get(objects[name][1]) if name[0] == "file" else objects[name]
            if isinstance(one, Thread):
                return thread_test.admits(one, lambda _: ())
            return message_test(one) if isinstance(one, Message) else name[0] != "file"

        in_time = [d for d in deltas if d.change.kind not in _DATED or wanted.in_time(_date(d.change.id))]
        return [
            d if d.change.event is Operation.DELETE or admits(d.change.name) else _as_deleted(d)
            for d in in_time
        ]

    def _dump(
        self, delta: Delta, objects: Mapping[ObjectKey, Any], dumped: Mapping[ObjectKey, dict[str, Any]]
    ) -> dict[str, Any]:
        one = wire.dump(self.account.id, delta, dumped.get(delta.change.name))
        if self.historical:
            one["historical"] = self._is_historical(delta.change, objects.get(delta.change.name))
        return one

    def _is_historical(self, change: Change, object: Any) -> bool:
        """Whether the message (of a file; the latest of a thread) is older than the connection."""
        if change.kind in _DATED:
            return _date(change.id) < self.account.linked_at
        return isinstance(object, Thread) and object.last_at < self.account.linked_at


def of(query: Query, account: Account) -> DeltaView:
    """Return the window a request asks for. Raises InvalidRequest."""
    return DeltaView(
        account=account,
        kinds=_kinds(query),
        expanded=query.view("expanded") == "expanded",
        historical=bool(query.flag("historical")),
        filter=_filter(query),
    )


def _filter(query: Query) -> Filter | None:
    if not any(query.has(name) for name in _FILTERS):
        return None
    wanted = Filter(query, query.moment("received_after"), query.moment("received_before"))
    wanted.for_now({})  # a bad value is told before anything is read
    return wanted


def _kinds(query: Query) -> frozenset[str]:
    included = query.names("include_types")
    excluded = query.names("exclude_types", "excluded_types")
    if included and excluded:
        raise InvalidRequest("include_types and exclude_types cannot be combined")
    if unknown := (included | excluded) - KINDS:
        raise InvalidRequest(f"Unknown types: {', '.join(sorted(unknown))[:200]}")
    query.flag("exclude_metadata")  # metadata never causes a delta
    hidden = {"account"} if query.flag("exclude_account") is not False else set()
    hidden |= {"folder", "label"} if query.flag("exclude_folders") else set()
    return frozenset(included or (KINDS - hidden - excluded))


def _loaded(shown: Shown, names: Sequence[ObjectKey]) -> dict[ObjectKey, Any]:
    wanted: dict[str, list[str]] = {}
    for kind, id in names:
        wanted.setdefault(kind, []).append(id)
    found = {kind: BY_KIND[kind].load(shown, ids) for kind, ids in wanted.items() if kind in BY_KIND}
    return {(kind, id): one for kind, by_id in found.items() for id, one in by_id.items()}


def _dumped(shown: Shown, objects: Mapping[ObjectKey, Any]) -> dict[ObjectKey, dict[str, Any]]:
    by_kind: dict[str, Objects] = {}
    for (kind, id), one in objects.items():
        by_kind.setdefault(kind, {})[id] = one
    dumped = {kind: BY_KIND[kind].dump(shown, some) for kind, some in by_kind.items()}
    return {(kind, id): one for kind, by_id in dumped.items() for id, one in by_id.items()}


def _as_deleted(delta: Delta) -> Delta:
    return replace(delta, change=replace(delta.change, event=Operation.DELETE))


def _date(id: str) -> int:
    return ids.date_of(id)


def place(query: Query, account: Account) -> LogPosition:
    """Return where a request begins to read. Raises InvalidRequest."""
    start = query.raw("cursor")
    if start is None:
        raise InvalidRequest("cursor is required")
    return cursor.decode(account.id, start)


def limit(query: Query) -> int:
    """Return how many log entries a request may take in at a time."""
    return max(query.limit(), 1)
