"""`make test` plays the same random stories each time; the long runs (POSTERN_RANDOM=1) draw new ones."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
if os.environ.get("POSTERN_RANDOM") != "1":
    settings.load_profile("repeatable")
