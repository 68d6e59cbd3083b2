"""Whose message is worked on next: what a fair queue of SQS does with message groups, for a few threads.

A group, which is an application, may keep as many threads busy as it leaves free for others; what is beyond
waits here and is worked on by the threads that its group, or another one, gives back.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

Message = dict[str, Any]


class Turns:
    """Deals messages out to `threads` threads; the same body of a group waits once."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._waiting: dict[str, dict[str, Message]] = {}

    def enter(self, group: str, message: Message) -> bool:
        """Tell whether a message may be worked on now; otherwise it waits here."""
        with self._lock:
            if self._may(group):
                self._busy[group] += 1
                return True
            self._waiting.setdefault(group, {})[message["Body"]] = message
            return False

    def leave(self, group: str) -> tuple[str, Message] | None:
        """Give a thread back; return what it is to do next and for whom, None if nobody may."""
        with self._lock:
            self._busy[group] -= 1
            chosen = next((one for one in self._waiting if self._may(one)), None)
            if chosen is None:
                return None
            waiting = self._waiting.pop(chosen)
            message = waiting.pop(next(iter(waiting)))
            if waiting:
                self._waiting[chosen] = waiting  # behind the others
            self._busy[chosen] += 1
            return chosen, message

    def waiting(self) -> list[Message]:
        """Return what waits."""
        with self._lock:
            return [message for some in self._waiting.values() for message in some.values()]

    def _may(self, group: str) -> bool:
        free = self._threads - self._busy.total()
        return self._busy[group] < max(1, free)


def group_of(message: Message) -> str:
    """Return the group a message was sent with."""
    attribute = message.get("MessageAttributes", {}).get("group", {})
    return str(attribute.get("StringValue", ""))
