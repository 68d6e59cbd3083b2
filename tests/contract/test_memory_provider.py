"""The memory provider keeps the promises of a Provider."""

from __future__ import annotations

import pytest

from tests.contract.provider import ProviderContract
from tests.fakes.provider import MemoryProvider


class TestMemoryProvider(ProviderContract):
    @pytest.fixture
    def provider(self) -> MemoryProvider:
        return MemoryProvider(large=64_000)

    @pytest.fixture
    def other(self, provider: MemoryProvider) -> MemoryProvider:
        return provider
