"""What garbage collection need not look at."""

from __future__ import annotations

import gc
from functools import lru_cache


@lru_cache(maxsize=1)
def settle() -> None:
    """Leave out of all later collections what is here after a first call: libraries, clients, tables.

    A process of ours lives on them until it ends, and walking them took 4 % of a first sync.
    """
    gc.collect()
    gc.freeze()
