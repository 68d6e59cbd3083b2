"""What happens to the labels of a mail when some are added and removed: Gmail's rules.

A mail is in exactly one of all, spam and trash. It leaves the inbox when it is binned or marked as spam,
and comes back from there when it is put into the inbox or into all.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from chalicelib.errors import InvalidRequest

PLACES = frozenset({"all", "spam", "trash"})
_FIXED = frozenset({"drafts", "sent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """Labels to be added and removed, by id; `by_role` are the ids of those that have a role."""

    add: frozenset[str]
    remove: frozenset[str]
    by_role: Mapping[str, str]

    def check(self) -> None:
        """Raise InvalidRequest for what Gmail does not do."""
        added, removed = self._roles(self.add), self._roles(self.remove)
        if len(added & PLACES) > 1:
            raise InvalidRequest('Only one of the labels "all", "spam" and "trash" can be added')
        if removed >= PLACES:
            raise InvalidRequest('The labels "all", "spam" and "trash" cannot all be removed')
        if (added | removed) & _FIXED:
            raise InvalidRequest(
                'The labels "sent" and "drafts" cannot be added or removed: repeat those that are there'
            )

    def applied(self, current: Set[str]) -> frozenset[str]:
        """Return the labels of a mail that bears `current`, where it lies included."""
        added = self._roles(self.add)
        places = {self.by_role[role] for role in PLACES if role in self.by_role}
        after = (set(current) | self.add) - (self.remove - places)
        place = next((role for role in ("trash", "spam", "all") if role in added), None)
        if place in ("trash", "spam"):
            after.discard(self.by_role.get("inbox", ""))
        elif "inbox" in added:
            place = "all"
        if place and place in self.by_role:
            after = (after - places) | {self.by_role[place]}
        return frozenset(after)

    def place_of(self, labels: Set[str]) -> str | None:
        """Return the one of `labels` that says where the mail lies."""
        return next((id for role in sorted(PLACES) if (id := self.by_role.get(role)) in labels), None)

    def _roles(self, ids: Set[str]) -> frozenset[str]:
        return frozenset(role for role, id in self.by_role.items() if id in ids)
