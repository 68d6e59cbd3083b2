"""Sealed values open where they were sealed and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.config import Settings
from chalicelib.store.core.vault import CREDENTIALS, KEY_SECONDS, SIGNING, Unsealable, Vault, keyed_hash
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
        assert vault._data_key(application, CREDENTIALS) not in keys[f"APP#{application}"]


def test_client_secrets_have_a_key_of_their_own_and_kms_is_told_what_it_is_for(settings: Settings) -> None:
    vault = Vault(settings)
    counted = vault._kms = Counted(vault._kms)
    password = vault.seal("app1", "acct1", "credentials", b"password")
    secret = vault.seal("app1", "", "client_secret", b"secret")
    assert counted.purposes == [CREDENTIALS, SIGNING]
    assert {row["sk"]["S"] for row in rows(settings, "core")} == {"KEY#1", "KEY#1#signing"}
    assert vault._data_key("app1", CREDENTIALS) != vault._data_key("app1", SIGNING)
    assert (password[0], secret[0]) == (1, 2)


class Refusing:
    """KMS as a function meets it that may open one purpose only."""

    def __init__(self, client: Any, purpose: str) -> None:
        self._client, self._purpose = client, purpose

    def decrypt(self, **request: Any) -> Any:
        if request["EncryptionContext"]["purpose"] != self._purpose:
            raise PermissionError(request["EncryptionContext"]["purpose"])
        return self._client.decrypt(**request)


@pytest.mark.parametrize(
    ("purpose", "opens", "fails"),
    [(CREDENTIALS, "credentials", "client_secret"), (SIGNING, "client_secret", "credentials")],
)
def test_who_may_open_one_kind_cannot_open_the_other(
    settings: Settings, purpose: str, opens: str, fails: str
) -> None:
    sealed = {field: Vault(settings).seal("app1", "a", field, b"plain") for field in (opens, fails)}
    vault = Vault(settings)
    vault._kms = Refusing(vault._kms, purpose)
    assert vault.open("app1", "a", opens, sealed[opens]) == b"plain"
    with pytest.raises(PermissionError):
        vault.open("app1", "a", fails, sealed[fails])


def test_a_client_secret_sealed_before_there_were_purposes_still_opens(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("chalicelib.store.core.vault._VERSIONS", {})
        sealed = Vault(settings).seal("app1", "", "client_secret", b"plain")
    assert sealed[0] == 1 and Vault(settings).open("app1", "", "client_secret", sealed) == b"plain"


def test_a_version_is_not_taken_for_another(settings: Settings) -> None:
    vault = Vault(settings)
    secret = vault.seal("app1", "", "client_secret", b"plain")
    for field, sealed in (("client_secret", b"\1" + secret[1:]), ("credentials", secret)):
        with pytest.raises(Unsealable):
            vault.open("app1", "", field, sealed)


def test_without_a_pepper_no_secret_is_hashed() -> None:
    with pytest.raises(ValueError, match="POSTERN_PEPPER"):
        keyed_hash("", "secret")


def test_two_processes_that_seal_first_agree_on_the_key(settings: Settings) -> None:
    first, second = Vault(settings), Vault(settings)
    sealed = first.seal("app1", "a", "f", b"plain")
    assert second._new_key("app1", CREDENTIALS) == first._data_key("app1", CREDENTIALS)
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
        self.purposes: list[str] = []

    def generate_data_key(self, **request: Any) -> Any:
        self.purposes.append(request["EncryptionContext"]["purpose"])
        return self._client.generate_data_key(**request)

    def decrypt(self, **request: Any) -> Any:
        self.decryptions += 1
        return self._client.decrypt(**request)
