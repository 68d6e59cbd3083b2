"""Two client secrets in one row."""

from __future__ import annotations

from chalicelib.domain.account import Application
from chalicelib.store.tables.applications import ApplicationTable
from chalicelib.store.vault import Vault
from tests.integration.aws import deployment, rows

NOW = 1_700_000_000


def test_both_secrets_are_valid_until_the_overlap_ends_and_none_is_stored_in_clear() -> None:
    with deployment() as settings:
        clock = [float(NOW)]
        applications = ApplicationTable(settings, Vault(settings), now=lambda: clock[0])
        applications.create(Application(id="app", name="Desk"), "first-secret")

        def verified() -> list[bool]:
            return [applications.verify("app", secret) for secret in ("first-secret", "second-secret", "")]

        assert applications.secrets("app", NOW) == ["first-secret"]
        applications.rotate("app", "second-secret", NOW + 60)
        assert applications.secrets("app", NOW + 59) == ["first-secret", "second-secret"]
        assert applications.secret("app") == "second-secret"
        assert verified() == [True, True, False]
        clock[0] += 60
        assert applications.secrets("app", NOW + 60) == ["second-secret"]
        assert verified() == [False, True, False]
        assert "-secret" not in str(rows(settings, "core"))
        applications.update(Application(id="app", name="Renamed"))
        assert applications.secrets("app", NOW) == ["first-secret", "second-secret"]
