"""Sealing of secrets: a data key per application, itself wrapped by KMS; and keyed hashes.

A sealed value is one byte of key version, a nonce of 12 bytes and the AES-256-GCM ciphertext. Its
key is derived from the application's data key for exactly one application, account, field and version, and
the same names are authenticated: moved to another row, a sealed value no longer opens.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pynamodb.exceptions import PutError

from chalicelib.clock import Clock
from chalicelib.config import Settings
from chalicelib.store.connection import bind, client
from chalicelib.store.tables.core import KeyRow, application_pk

KEY_SECONDS = 300
_VERSION = 1
_NONCE = 12


class Unsealable(Exception):
    """The value was sealed for another place or has been altered."""


class Vault:
    """Seals and opens fields of one application's rows."""

    def __init__(self, settings: Settings, now: Clock = time.time) -> None:
        bind(settings)
        self._kms = client(settings, "kms")
        self._key_id = settings.key_id
        self._now = now
        self._keys: dict[str, tuple[bytes, float]] = {}

    def seal(self, application_id: str, account_id: str, field: str, plain: bytes) -> bytes:
        """Return the value sealed for this place; never twice the same bytes."""
        place = _place(application_id, account_id, field, _VERSION)
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(application_id, place).encrypt(nonce, plain, place)
        return bytes([_VERSION]) + nonce + sealed

    def open(self, application_id: str, account_id: str, field: str, sealed: bytes) -> bytes:
        """Return the value sealed for this place. Raises Unsealable."""
        if len(sealed) <= 1 + _NONCE or sealed[0] != _VERSION:
            raise Unsealable(field)
        place = _place(application_id, account_id, field, _VERSION)
        cipher = self._cipher(application_id, place)
        try:
            return cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], place)
        except InvalidTag as error:
            raise Unsealable(field) from error

    def _cipher(self, application_id: str, place: bytes) -> AESGCM:
        key = self._data_key(application_id)
        return AESGCM(HKDF(SHA256(), 32, application_id.encode(), place).derive(key))

    def _data_key(self, application_id: str) -> bytes:
        key, until = self._keys.get(application_id, (b"", 0.0))
        if self._now() >= until:
            key = self._stored_key(application_id) or self._new_key(application_id)
            self._keys[application_id] = (key, self._now() + KEY_SECONDS)
        return key

    def _stored_key(self, application_id: str) -> bytes | None:
        try:
            row = KeyRow.get(application_pk(application_id), _key_sk(), consistent_read=True)
        except KeyRow.DoesNotExist:
            return None
        answer = self._kms.decrypt(
            KeyId=self._key_id, CiphertextBlob=row.wrapped, EncryptionContext=_context(application_id)
        )
        return bytes(answer["Plaintext"])

    def _new_key(self, application_id: str) -> bytes:
        made = self._kms.generate_data_key(
            KeyId=self._key_id, NumberOfBytes=32, EncryptionContext=_context(application_id)
        )
        row = KeyRow(application_pk(application_id), _key_sk(), wrapped=made["CiphertextBlob"])
        try:
            row.save(condition=KeyRow.pk.does_not_exist())
        except PutError as error:
            stored = self._stored_key(application_id)  # another process was first: its key counts
            if error.cause_response_code != "ConditionalCheckFailedException" or stored is None:
                raise
            return stored
        return bytes(made["Plaintext"])


def keyed_hash(pepper: str, secret: str) -> str:
    """Return the hash under which a random secret is stored and found again."""
    return hmac.digest(pepper.encode(), secret.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()


def _place(application_id: str, account_id: str, field: str, version: int) -> bytes:
    return f"app:{application_id}|acct:{account_id}|{field}|v{version}".encode()


def _context(application_id: str) -> dict[str, str]:
    return {"application_id": application_id, "purpose": "credentials"}


def _key_sk() -> str:
    return f"KEY#{_VERSION}"
