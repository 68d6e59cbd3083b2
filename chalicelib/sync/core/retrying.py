"""Read, decide, write, and again if somebody else was quicker."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from chalicelib.store.values import Stale

log = logging.getLogger(__name__)
T = TypeVar("T")
TRIES = 8


class Busy(Exception):
    """Another worker has the lease."""


class Overtaken(Exception):
    """Another worker moved the cursors before the lease was ours."""


def until_fresh(step: Callable[[], T]) -> T:
    """Repeat a step while others change the same objects. Raises Stale after eight tries."""
    for _ in range(TRIES - 1):
        try:
            return step()
        except Stale:
            log.info("an object changed meanwhile; reading again")
    return step()
