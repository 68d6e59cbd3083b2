"""Sealing of secrets: data keys per application and purpose, themselves wrapped by KMS; and keyed hashes.

A sealed value is one byte of key version, a nonce of 12 bytes and the AES-256-GCM ciphertext. Its
key is derived from a data key for exactly one application, account, field and version, and the same names
are authenticated: moved to another row, a sealed value no longer opens.

The purpose is part of the encryption context, so that KMS can refuse what a function need not open: whoever
signs notifications cannot read mail passwords, whoever reads mail cannot sign. Client secrets of version 1
still lie under the key of the credentials; rotating them moves them to a key of their own.
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
from chalicelib.store.aws.connection import bind, client
from chalicelib.store.core.rows import KeyRow, application_pk

KEY_SECONDS = 300
CREDENTIALS, SIGNING = "credentials", "signing"
_NONCE = 12
_VERSIONS = {"client_secret": 2}
"""Version with which a field is sealed; 1 is the key of the credentials, whatever the field."""

_PURPOSES = {1: CREDENTIALS, 2: SIGNING}


class Unsealable(Exception):
    """The value was sealed for another place or has been altered."""


class Vault:
    """Seals and opens fields of one application's rows."""

    def __init__(self, settings: Settings, now: Clock = time.time) -> None:
        bind(settings)
        self._kms = client(settings, "kms")
        self._key_id = settings.key_id
        self._now = now
        self._keys: dict[tuple[str, str], tuple[bytes, float]] = {}

    def seal(self, application_id: str, account_id: str, field: str, plain: bytes) -> bytes:
        """Return the value sealed for this place; never twice the same bytes."""
        version = _VERSIONS.get(field, 1)
        place = _place(application_id, account_id, field, version)
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(application_id, _PURPOSES[version], place).encrypt(nonce, plain, place)
        return bytes([version]) + nonce + sealed

    def open(self, application_id: str, account_id: str, field: str, sealed: bytes) -> bytes:
        """Return the value sealed for this place. Raises Unsealable."""
        if len(sealed) <= 1 + _NONCE or sealed[0] not in (1, _VERSIONS.get(field, 1)):
            raise Unsealable(field)
        version = sealed[0]
        place = _place(application_id, account_id, field, version)
        cipher = self._cipher(application_id, _PURPOSES[version], place)
        try:
            return cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], place)
        except InvalidTag as error:
            raise Unsealable(field) from error

    def _cipher(self, application_id: str, purpose: str, place: bytes) -> AESGCM:
        key = self._data_key(application_id, purpose)
        return AESGCM(HKDF(SHA256(), 32, application_id.encode(), place).derive(key))

    def _data_key(self, application_id: str, purpose: str) -> bytes:
        name = (application_id, purpose)
        key, until = self._keys.get(name, (b"", 0.0))
        if self._now() >= until:
            key = self._stored_key(*name) or self._new_key(*name)
            self._keys[name] = (key, self._now() + KEY_SECONDS)
        return key

    def _stored_key(self, application_id: str, purpose: str) -> bytes | None:
        try:
            row = KeyRow.get(application_pk(application_id), _key_sk(purpose), consistent_read=True)
        except KeyRow.DoesNotExist:
            return None
        context = _context(application_id, purpose)
        answer = self._kms.decrypt(KeyId=self._key_id, CiphertextBlob=row.wrapped, EncryptionContext=context)
        return bytes(answer["Plaintext"])

    def _new_key(self, application_id: str, purpose: str) -> bytes:
        context = _context(application_id, purpose)
        made = self._kms.generate_data_key(KeyId=self._key_id, NumberOfBytes=32, EncryptionContext=context)
        row = KeyRow(application_pk(application_id), _key_sk(purpose), wrapped=made["CiphertextBlob"])
        try:
            row.save(condition=KeyRow.pk.does_not_exist())
        except PutError as error:
            stored = self._stored_key(application_id, purpose)  # another process was first: its key counts
            if error.cause_response_code != "ConditionalCheckFailedException" or stored is None:
                raise
            return stored
        return bytes(made["Plaintext"])


def keyed_hash(pepper: str, secret: str) -> str:
    """Return the hash under which a random secret is stored and found again. Raises ValueError if unkeyed."""
    if not pepper:
        raise ValueError("POSTERN_PEPPER is not set: this process may not look at secrets")
    return hmac.digest(pepper.encode(), secret.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()


def _place(application_id: str, account_id: str, field: str, version: int) -> bytes:
    return f"app:{application_id}|acct:{account_id}|{field}|v{version}".encode()


def _context(application_id: str, purpose: str) -> dict[str, str]:
    return {"application_id": application_id, "purpose": purpose}


def _key_sk(purpose: str) -> str:
    return "KEY#1" if purpose == CREDENTIALS else f"KEY#1#{purpose}"
