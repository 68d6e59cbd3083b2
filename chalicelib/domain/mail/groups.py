"""Disjoint sets of names (union-find), none of which may come to hold too many messages."""

from __future__ import annotations

from collections.abc import Iterable


class Groups:
    """Sets of names; each set has members, which are counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parents: dict[str, str] = {}
        self._members: dict[str, set[str]] = {}

    def add(self, name: str, members: Iterable[str] = ()) -> None:
        """Begin a set, unless there is one of that name, and give it members."""
        self._members.setdefault(self.find(name), set()).update(members)

    def find(self, name: str) -> str:
        """Return the name that stands for the whole set."""
        root = name
        while (parent := self._parents.setdefault(root, root)) != root:
            root = parent
        while name != root:
            self._parents[name], name = root, self._parents[name]
        return root

    def join(self, one: str, other: str) -> bool:
        """Make two sets one and tell whether they are; they stay two if together they are too large."""
        one, other = self.find(one), self.find(other)
        if one == other:
            return True
        fewer, more = sorted((self._members.get(one, set()), self._members.get(other, set())), key=len)
        added = fewer - more
        if added and len(more) + len(added) > self._most:
            return False
        more.update(fewer)
        self._parents[one] = other
        self._members[other] = more
        return True
