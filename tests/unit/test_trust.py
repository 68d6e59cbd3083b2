"""TLS contexts: kept while the authorities are the same, and strict where they must be."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme

from chalicelib.providers.network.tls import mail_context, web_context


def authorities(context: ssl.SSLContext) -> int:
    return len(context.get_ca_certs())


def test_a_context_is_made_once() -> None:
    assert mail_context(True) is mail_context(True)
    assert mail_context(False) is mail_context(False)
    assert web_context() is web_context()


def test_each_use_has_a_context_of_its_own() -> None:
    mail, lax, web = mail_context(True), mail_context(False), web_context()
    assert mail.check_hostname and mail.verify_mode is ssl.CERT_REQUIRED
    assert not lax.check_hostname and lax.verify_mode is ssl.CERT_NONE
    assert web.verify_mode is ssl.CERT_REQUIRED and not web.hostname_checks_common_name
    assert len({id(mail), id(lax), id(web)}) == 3, "urllib3 turns off what others rely on"


def test_authorities_that_change_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ca.pem"
    first, second = trustme.CA().cert_pem.bytes(), trustme.CA().cert_pem.bytes()
    file.write_bytes(first)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    before = mail_context(True), web_context()
    assert [authorities(context) for context in before] == [1, 1]
    file.write_bytes(first + second)
    os.utime(file, ns=(0, 1))
    after = mail_context(True), web_context()
    assert [authorities(context) for context in after] == [2, 2]
    monkeypatch.delenv("SSL_CERT_FILE")
    assert mail_context(True) is not after[0]
