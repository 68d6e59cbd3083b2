"""How long to wait after failures in a row."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling waits between half and the whole of `shortest` * 2^n, at most `longest`; seconds."""

    shortest: float
    longest: float
    chance: Callable[[], float] = random.random

    def wait(self, failures: int, at_least: float = 0.0) -> float:
        """Return the wait after that many failures in a row; a server's own wish is exceeded a little."""
        most = min(self.longest, self.shortest * 2.0 ** min(failures - 1, 30))
        return max(most / 2, at_least) + most / 2 * self.chance()
