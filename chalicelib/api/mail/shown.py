"""Objects of an account, loaded in batches and turned into JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, TypeVar

from chalicelib import bounds
from chalicelib.domain.accounts.account import Account
from chalicelib.domain.mail.folder import Folder
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.thread import Thread
from chalicelib.http.query import Query
from chalicelib.services import services
from chalicelib.wire.mail import message as message_wire
from chalicelib.wire.mail import thread as thread_wire

T = TypeVar("T", Message, Thread)


def listing(query: Query, view: str | None, found: Iterator[T], show: Callable[[list[T]], Any]) -> Any:
    """Return what a list answers in its views: a count, ids, or objects as `show` makes them."""
    if view == "count":
        return {"count": sum(1 for _ in found)}
    page = list(query.page(found))
    return [one.id for one in page] if view == "ids" else show(page)


@dataclass(frozen=True)
class Shown:
    """An account's objects as one request shows them; folders are read once."""

    account: Account
    expanded: bool = False

    @cached_property
    def folders(self) -> dict[str, Folder]:
        """The account's folders by id."""
        return {folder.id: folder for folder in services().mail.folders(self.account.id)}

    def message(self, message: Message) -> dict[str, Any]:
        """Return one message, its body fetched from the mail server if need be."""
        message = services().contents.whole(self.account, message)
        body = services().contents.body(self.account, message)
        return message_wire.dump(message, body, self.folders, self.expanded)

    def messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return messages with the bodies at hand."""
        bodies = services().contents.bodies(self.account, messages)
        return [message_wire.dump(m, bodies.get(m.id, ""), self.folders, self.expanded) for m in messages]

    def whole_messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return messages; those of which only the beginning is here are fetched."""
        return self.messages(services().contents.wholes(self.account, messages))

    def thread(self, thread: Thread) -> dict[str, Any]:
        """Return one thread; an expanded one with all its messages."""
        return self._threads([thread], bounds.THREAD_MESSAGES)[0]

    def threads(self, threads: Sequence[Thread]) -> list[dict[str, Any]]:
        """Return threads of a list; expanded ones with their latest messages."""
        return self._threads(threads, bounds.LISTED_THREAD_MESSAGES)

    def _threads(self, threads: Sequence[Thread], most: int) -> list[dict[str, Any]]:
        """Return threads; expanded ones get their messages in one read."""
        if not self.expanded:
            return [thread_wire.dump(thread, self.folders) for thread in threads]
        shown = _smallest(threads, most, bounds.MESSAGES_IN_THREADS)
        ids = [id for thread in threads if thread.id in shown for id in thread.message_ids[-most:]]
        found = services().mail.messages(self.account.id, ids)
        return [
            thread_wire.dump_expanded(thread, self.folders, found if thread.id in shown else None)
            for thread in threads
        ]


def _smallest(threads: Sequence[Thread], each: int, most: int) -> set[str]:
    """Return the ids of the threads with the fewest messages, `each` at the most, as far as all fit."""
    ranked = sorted(threads, key=lambda thread: len(thread.entries))
    totals = accumulate(min(len(thread.entries), each) for thread in ranked)
    return {thread.id for thread, total in zip(ranked, totals, strict=True) if total <= most}
