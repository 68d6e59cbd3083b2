"""The terms of a worker's stay in one account."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.clock import Deadline
from chalicelib.sync.core.pace import Pace
from chalicelib.sync.safety.hangups import Hangups


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a worker may stay, at what pace, and what it has learnt of hang-ups."""

    deadline: Deadline
    pace: Pace
    hangups: Hangups
