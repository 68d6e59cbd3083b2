"""`make test` plays the same random stories each time; the long runs (POSTERN_RANDOM=1) draw new ones."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# What is claimed in a world fails with the values, as in a test.
pytest.register_assert_rewrite("tests.worlds", "tests.contract", "tests.e2e")

settings.register_profile("repeatable", derandomize=True)
if os.environ.get("POSTERN_RANDOM") != "1":
    settings.load_profile("repeatable")
