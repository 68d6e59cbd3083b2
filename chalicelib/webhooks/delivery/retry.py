"""What follows an attempt: decisions only.

Five attempts within twenty minutes, as v2. A notification is given up after them only if the
endpoint accepts others meanwhile; one that accepts nothing keeps its place, and its notification
goes on as the probe that is sent once a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from chalicelib.domain.webhooks.circuit import Circuit
from chalicelib.domain.webhooks.delivery import Attempt

# Seconds to wait after each failed attempt: 20, 100, 420 and 1200 seconds after the first.
WAITS = (20, 80, 320, 780)
JITTER = 0.2
PROBE_SECONDS = 60
LONGEST_WAIT = 1200
"""An endpoint's Retry-After counts up to this many seconds."""

MOST_REFUSALS = 60
"""Probes after which a notification that an otherwise silent endpoint keeps refusing is set aside."""

Jitter = Callable[[float, float], float]
_BUSY = frozenset({0, 429, 502, 503, 504})


class Step(Enum):
    """What becomes of a delivery."""

    DONE = "done"
    RETRY = "retry"
    HOLD = "hold"
    GIVE_UP = "give up"
    SWITCH_OFF = "switch off"


@dataclass(frozen=True, slots=True)
class Next:
    """A step, and for RETRY the seconds to wait."""

    step: Step
    wait: int = 0


def decide(number: int, attempt: Attempt, circuit: Circuit, retry_after: int | None, jitter: Jitter) -> Next:
    """Decide what follows the attempt of this number; `circuit` counts it already."""
    if attempt.accepted:
        return Next(Step.DONE)
    if attempt.status == 410:
        return Next(Step.SWITCH_OFF)
    if number <= len(WAITS):
        return Next(Step.RETRY, wait(WAITS[number - 1], retry_after, jitter))
    if not circuit.broken or (number >= MOST_REFUSALS and attempt.status not in _BUSY):
        return Next(Step.GIVE_UP)
    return Next(Step.HOLD)


def wait(seconds: int, retry_after: int | None, jitter: Jitter) -> int:
    """Return the jittered seconds, or what the endpoint asked for if that is longer."""
    asked = min(retry_after or 0, LONGEST_WAIT)
    return max(round(seconds * jitter(1 - JITTER, 1 + JITTER)), asked)
