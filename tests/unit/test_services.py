from collections.abc import Iterator
from typing import cast

import pytest

from chalicelib.config import Settings
from chalicelib.services import Services, services, use
from tests.integration.aws import fake_aws

PARTS = [
    "vault", "mail", "checkpoints", "blobs", "log", "accounts", "applications", "tokens", "webhooks",
    "deliveries", "polls", "queues", "workspace",
]  # fmt: skip


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with fake_aws():
        yield Services(settings=Settings(table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={}))


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_built_once(built: Services, name: str) -> None:
    assert getattr(built, name) is getattr(built, name)


def test_tests_may_put_something_else_in_their_place(built: Services) -> None:
    other = cast(Services, object())
    with use(built):
        with use(other):
            assert services() is other
        assert services() is built
