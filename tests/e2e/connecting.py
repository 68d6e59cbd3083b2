"""How a customer connects an account."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import requests

from infra.demo.dovecot import PASSWORD
from infra.demo.submission import Submission
from infra.demo.visitor import Listening


def connect(
    info: dict[str, Any],
    imap: Listening,
    smtp: Submission,
    user: str,
    more: Mapping[str, Any] = MappingProxyType({}),
    **settings: Any,
) -> Any:
    """Return the answer of /connect/authorize; `more` stands beside the settings."""
    return requests.post(
        f"{info['api_url']}/connect/authorize",
        timeout=60,
        json={
            "client_id": info["client_id"],
            "name": "Mira Okafor",
            "email_address": user,
            "provider": "imap",
            "scopes": "email",
            "settings": {
                "imap_host": "127.0.0.1",
                "imap_port": imap.imap,
                "imap_username": user,
                "imap_password": PASSWORD,
                "smtp_host": "127.0.0.1",
                "smtp_port": smtp.port,
                "smtp_username": user,
                "smtp_password": PASSWORD,
                "ssl_required": False,
                "ssl_verify": False,
                **settings,
            },
            **more,
        },
    )


def exchange(info: dict[str, Any], code: str) -> Any:
    """Return the answer of /connect/token."""
    return requests.post(
        f"{info['api_url']}/connect/token",
        timeout=30,
        json={"client_id": info["client_id"], "client_secret": info["client_secret"], "code": code},
    )


def token_of(info: dict[str, Any], code: str) -> dict[str, Any]:
    """Trade a code for the account and its access token."""
    answer = exchange(info, code)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
