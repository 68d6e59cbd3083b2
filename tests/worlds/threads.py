"""What a store would keep of threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chalicelib.domain.mail.anchor import Anchor
from chalicelib.domain.mail.message import Message
from chalicelib.domain.mail.parting import parting, redirected
from chalicelib.domain.mail.thread import Thread, empty_thread, with_messages
from chalicelib.domain.mail.threader import Assignment, anchor_keys, assign, near
from tests.worlds.sync import ACCOUNT

ANN, BOB, CLEO, DAN = (f"{name}@x.example" for name in ("ann", "bob", "cleo", "dan"))


class Account:
    """What a store would keep, and the rule for merged threads."""

    def __init__(self, id: str = "acc") -> None:
        self.id = id
        self.owner = replace(ACCOUNT, id=id, email_address=ANN)
        self.messages: dict[str, Message] = {}
        self.anchors: dict[str, Anchor] = {}

    def add(self, *batch: Message) -> Assignment:
        self.messages |= {m.id: m for m in batch if m.id not in self.messages}
        first: Assignment | None = None
        turned: dict[str, tuple[str, str]] = {}
        while batch:
            result = self._assign(batch)
            first = first or result
            turned |= result.turned
            batch = tuple(replace(m, thread_id=result.merged[m.thread_id]) for m in self.of(result.merged))
            if not batch:
                batch, turned = self._gone(turned), {}
        assert first
        return first

    def _assign(self, batch: Sequence[Message]) -> Assignment:
        known = {key: self.anchors[key] for m in batch for key in anchor_keys(m) if key in self.anchors}
        threads = {id: self.stored(id) for id in near(self.owner, batch, known) if self.of([id])}
        result = assign(self.owner, batch, known, threads)
        for m in batch:
            self.messages[m.id] = replace(m, thread_id=result.thread_of[m.id])
        self.anchors |= {anchor.key: anchor for anchor in result.anchors}
        return result

    def _gone(self, turned: Mapping[str, tuple[str, str]]) -> tuple[Message, ...]:
        gone: list[Message] = []
        for left, joined in dict.fromkeys(turned.values()):
            mine = self.of([left])
            ids = parting(
                self.owner, mine, {id for id in turned if turned[id] == (left, joined)} & {m.id for m in mine}
            )
            going = [replace(m, thread_id=joined) for m in mine if m.id in ids]
            self.anchors |= redirected(self.owner, self.anchors, going, left, joined)
            gone += going
        return tuple(gone)

    def stored(self, id: str) -> Thread:
        return with_messages(empty_thread(id, self.id), self.of([id]), None)

    def of(self, thread_ids: Iterable[str]) -> list[Message]:
        return [m for m in self.messages.values() if m.thread_id in set(thread_ids)]

    def thread(self, id: str) -> str:
        return self.messages[id].thread_id

    def partition(self) -> set[frozenset[str]]:
        return {frozenset(m.id for m in self.of([t])) for t in {m.thread_id for m in self.messages.values()}}
