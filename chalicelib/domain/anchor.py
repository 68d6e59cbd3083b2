"""Look-ups that lead from a Message-ID or a subject to a thread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thread one might join; `emails` and `reply` matter for subjects only."""

    thread_id: str
    emails: tuple[str, ...] = ()
    reply: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """`key` is m:<hash of a Message-ID>, s:<hash of a normalised subject> or p:<hash of a provider's thread>.

    A Message-ID anchor has one candidate, and `message_ids` are the messages that bear that
    Message-ID (none while only a reference to it was seen).
    """

    key: str
    candidates: tuple[Candidate, ...]
    message_ids: tuple[str, ...] = ()
