"""Two client secrets in one row."""

from __future__ import annotations

import pytest

from chalicelib.domain.accounts.application import Application
from chalicelib.store.aws.connection import client
from chalicelib.store.core.applications import ApplicationTable
from chalicelib.store.core.vault import Vault
from chalicelib.store.values import Stale
from tests.integration.aws import deployment, rows

NOW = 1_700_000_000


def test_both_secrets_are_valid_until_the_overlap_ends_and_none_is_stored_in_clear() -> None:
    with deployment() as settings:
        clock = [float(NOW)]
        applications = ApplicationTable(settings, Vault(settings), now=lambda: clock[0])
        applications.create(Application(id="app", name="Desk"), "first-secret")

        def verified() -> list[bool]:
            secrets = ("first-secret", "second-secret", "")
            return [applications.verify("app", secret) is not None for secret in secrets]

        assert applications.secrets("app", NOW) == ["first-secret"]
        applications.rotate("app", "first-secret", "second-secret", NOW + 60)
        assert applications.secrets("app", NOW + 59) == ["first-secret", "second-secret"]
        assert verified() == [True, True, False]
        clock[0] += 60
        assert applications.secrets("app", NOW + 60) == ["second-secret"]
        assert verified() == [False, True, False]
        assert "-secret" not in str(rows(settings, "core"))
        applications.update(Application(id="app", name="Renamed"))
        assert applications.secrets("app", NOW) == ["first-secret", "second-secret"]


def test_only_the_newest_secret_rotates_and_ends_the_overlap() -> None:
    with deployment() as settings:
        applications = ApplicationTable(settings, Vault(settings), now=lambda: float(NOW))
        applications.create(Application(id="app", name="Desk"), "first")
        applications.rotate("app", "first", "second", NOW + 60)
        for known in ("first", "guessed"):
            with pytest.raises(Stale):
                applications.rotate("app", known, "third", NOW)
            with pytest.raises(Stale):
                applications.end_overlap("app", known)
        assert applications.secrets("app", NOW) == ["first", "second"]
        old, new = applications.verify("app", "first"), applications.verify("app", "second")
        assert old and new and (old.newest, new.newest) == (False, True)
        applications.end_overlap("app", "second")
        applications.end_overlap("app", "second")
        assert applications.secrets("app", NOW) == ["second"] and not applications.verify("app", "first")


def test_a_wrong_secret_costs_the_same_whether_or_not_there_is_such_an_application() -> None:
    with deployment() as settings:
        applications = ApplicationTable(settings, Vault(settings), now=lambda: float(NOW))
        applications.create(Application(id="app", name="Desk"), "first")
        calls: list[str] = []
        events = client(settings, "dynamodb").meta.events
        events.register("before-call.dynamodb", lambda model, **more: calls.append(model.name))
        asked = {}
        for id in ("app", "nobody", "", "app#x"):
            calls.clear()
            assert applications.verify(id, "guess") is None
            asked[id] = list(calls)
        assert set(map(tuple, asked.values())) == {("GetItem",)}
