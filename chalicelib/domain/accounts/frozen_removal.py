"""Removals that are so many that they wait for a second look."""

from __future__ import annotations

from dataclasses import dataclass

FEW = 20
"""So many messages may vanish from a folder at once without a second look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRemoval:
    """A folder of which `count` of `held` messages seemed gone, first seen at `since` (Unix seconds).

    `vanished` says that the folder itself was no longer listed; `confirmed`, that the owner wants it so.
    """

    folder_id: str
    name: str
    count: int
    held: int
    since: int
    vanished: bool = False
    confirmed: bool = False


def is_too_much(count: int, held: int, few: int = FEW) -> bool:
    """Tell whether removing `count` of `held` messages at once is more likely a fault than a wish."""
    return count > few and count * 2 > held
