"""What a server promises that does not count changes."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.remote import BatchLimits
from tests.contract.provider import Copy, ProviderContract, mail


class Uncounted(ProviderContract):
    """The server does not count changes."""

    def test_a_quiet_folder_is_known_from_the_listing(self, provider: Any, other: Any) -> None:
        """Without counted changes the listing never says so."""
        assert not Copy(provider).catch_up().is_quiet()

    def test_new_mail_beyond_the_budget_follows_in_order(self, provider: Any, other: Any) -> None:
        copy = Copy(provider, budget=BatchLimits(messages=2)).catch_up()
        ids = [other.deliver("INBOX", mail(n)) for n in range(5)]
        assert copy.catch_up().order == ids
