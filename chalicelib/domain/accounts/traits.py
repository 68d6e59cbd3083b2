"""What sets the mail of one provider apart from that of another: one row per provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """`labels`: mail bears labels and lies in one place; `threads`: the provider says which mail is one
    conversation; `files_sent`: it puts what it submits into Sent itself.
    """

    labels: bool = False
    threads: bool = False
    files_sent: bool = False


GMAIL = "gmail"

_PLAIN = Traits()
_TRAITS = {GMAIL: Traits(labels=True, threads=True, files_sent=True)}


def traits_of(provider: str) -> Traits:
    """Return the traits of a provider; one that is not listed sorts mail into folders, and no more."""
    return _TRAITS.get(provider, _PLAIN)
