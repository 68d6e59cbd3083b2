"""Look-ups that lead from a Message-ID or a subject to a thread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thread one might join.

    With `sign` (a hash of a subject or of a person) only mail that bears it may. At a subject each candidate
    is a mail: `message_id` is our id of it, `emails` are hashes of the people it names.
    """

    thread_id: str
    emails: tuple[str, ...] = ()
    reply: bool = False
    sign: str = ""
    date: int = 0
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """`key` is m:<hash of a Message-ID>, s:<hash of subject and fortnight>, p:<hash of a provider's thread>.

    At a Message-ID the first candidate is the thread around it, the last one where it goes on since that is
    full; `message_ids` are the messages that bear it (none while only a reference to it was seen).
    """

    key: str
    candidates: tuple[Candidate, ...]
    message_ids: tuple[str, ...] = ()
