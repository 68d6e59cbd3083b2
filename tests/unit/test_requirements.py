"""Both lists of packages are complete and pinned."""

from __future__ import annotations

from tests.worlds.packages import pinned


def test_what_runs_in_lambda_is_what_is_tested() -> None:
    assert pinned("requirements.txt").items() <= pinned("requirements-dev.txt").items()
