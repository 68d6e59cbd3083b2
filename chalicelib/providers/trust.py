"""Whom we trust when we speak TLS with servers that users name.

Making a context reads the certificates of every authority, which takes more processor time than a quiet poll.
So contexts are kept, until the system's authorities are others.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_Authorities = tuple[tuple[str, int], ...]


def mail_context(required: bool) -> ssl.SSLContext:
    """Return the context for mail servers: it verifies them, unless TLS is not required at all."""
    return _mail_context(required, _authorities())


def web_context() -> ssl.SSLContext:
    """Return the context for HTTP, which verifies servers; urllib3 changes what is given to it."""
    return _web_context(_authorities())


@lru_cache(maxsize=2)
def _mail_context(required: bool, authorities: _Authorities) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not required:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@lru_cache(maxsize=1)
def _web_context(authorities: _Authorities) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.hostname_checks_common_name = False  # as urllib3's own: only names that a certificate lists count
    return context


def _authorities() -> _Authorities:
    """Return where the system's certificates lie, and when they were changed."""
    paths = ssl.get_default_verify_paths()
    return tuple((path, _changed_at(path)) for path in (paths.cafile, paths.capath) if path)


def _changed_at(path: str) -> int:
    with suppress(OSError):
        return Path(path).stat().st_mtime_ns
    return 0
