"""Whom we trust when we speak TLS with servers that users name.

Making a context reads the certificates of every authority, which takes more processor time than a quiet poll.
So contexts are kept, until the system's authorities are others.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from chalicelib.errors import ProviderError

_Authorities = tuple[tuple[str, int], ...]


def mail_context(verified: bool, ca_file: str = "") -> ssl.SSLContext:
    """Return the context for mail servers, which are verified or not; `ca_file` names further authorities.

    Raises ProviderError if that file cannot be read.
    """
    return _mail_context(verified, ca_file, _authorities(ca_file))


def web_context() -> ssl.SSLContext:
    """Return the context for HTTP, which verifies servers; urllib3 changes what is given to it."""
    return _web_context(_authorities())


@lru_cache(maxsize=2)
def _mail_context(verified: bool, ca_file: str, authorities: _Authorities) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        _add(context, ca_file)
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _add(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(ca_file)
    except OSError:  # SSLError is one
        raise ProviderError("The file of POSTERN_MAIL_CA_FILE cannot be read.", step="tls") from None


@lru_cache(maxsize=1)
def _web_context(authorities: _Authorities) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.hostname_checks_common_name = False  # as urllib3's own: only names that a certificate lists count
    return context


def _authorities(ca_file: str = "") -> _Authorities:
    """Return where the system's certificates lie, and those of a file, and when they were changed."""
    paths = ssl.get_default_verify_paths()
    return tuple((path, _changed_at(path)) for path in (paths.cafile, paths.capath, ca_file) if path)


def _changed_at(path: str) -> int:
    with suppress(OSError):
        return Path(path).stat().st_mtime_ns
    return 0
