"""Sealed values open where they were sealed and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.config import Settings
from chalicelib.store.vault import KEY_SECONDS, Unsealable, Vault
from tests.integration.aws import deployment, rows


@pytest.fixture
def settings() -> Iterator[Settings]:
    with deployment() as settings:
        yield settings


def test_another_process_opens_what_this_one_sealed(settings: Settings) -> None:
    sealed = Vault(settings).seal("app1", "acct1", "password", b"plain")
    assert Vault(settings).open("app1", "acct1", "password", sealed) == b"plain"


def test_sealing_twice_gives_different_bytes(settings: Settings) -> None:
    vault = Vault(settings)
    assert vault.seal("app1", "a", "f", b"plain") != vault.seal("app1", "a", "f", b"plain")


@pytest.mark.parametrize("place", [("app2", "a", "f"), ("app1", "b", "f"), ("app1", "a", "g")])
def test_a_sealed_value_opens_in_its_own_place_only(settings: Settings, place: tuple[str, str, str]) -> None:
    vault = Vault(settings)
    sealed = vault.seal("app1", "a", "f", b"plain")
    with pytest.raises(Unsealable):
        vault.open(*place, sealed)


@pytest.mark.parametrize("position", [0, 1, 13, -1])
def test_an_altered_value_does_not_open(settings: Settings, position: int) -> None:
    vault = Vault(settings)
    sealed = bytearray(vault.seal("app1", "a", "f", b"plain"))
    sealed[position] ^= 1
    with pytest.raises(Unsealable):
        vault.open("app1", "a", "f", bytes(sealed))
    with pytest.raises(Unsealable):
        vault.open("app1", "a", "f", b"")


def test_one_key_per_application_is_stored_and_it_is_wrapped(settings: Settings) -> None:
    vault = Vault(settings)
    for application in ("app1", "app1", "app2"):
        vault.seal(application, "a", "f", b"plain")
    keys = {row["pk"]["S"]: row["wrapped"]["B"] for row in rows(settings, "core")}
    assert set(keys) == {"APP#app1", "APP#app2"}
    for application in ("app1", "app2"):
        assert vault._data_key(application) not in keys[f"APP#{application}"]


def test_two_processes_that_seal_first_agree_on_the_key(settings: Settings) -> None:
    first, second = Vault(settings), Vault(settings)
    sealed = first.seal("app1", "a", "f", b"plain")
    assert second._new_key("app1") == first._data_key("app1")
    assert second.open("app1", "a", "f", sealed) == b"plain"


def test_kms_is_asked_once_in_five_minutes(settings: Settings) -> None:
    clock = [0.0]
    sealed = Vault(settings).seal("app1", "a", "f", b"plain")
    vault = Vault(settings, now=lambda: clock[0])
    counted = vault._kms = Counted(vault._kms)
    for _ in range(3):
        vault.open("app1", "a", "f", sealed)
    assert counted.decryptions == 1
    clock[0] += KEY_SECONDS
    vault.open("app1", "a", "f", sealed)
    assert counted.decryptions == 2


class Counted:
    """A KMS client that counts."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.decryptions = 0

    def decrypt(self, **request: Any) -> Any:
        self.decryptions += 1
        return self._client.decrypt(**request)
