"""The API as the client of one account sees it, for the demo and the bench."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from infra.demo.dovecot import PASSWORD, Dovecot
from infra.demo.mailbox import OWNER
from infra.demo.submission import Submission


class Client:
    """Speaks to a running instance; `token` is there once a mailbox is connected. Threads may share it."""

    def __init__(self, info: dict[str, Any]) -> None:
        self.info = info
        self.token = ""
        self._http = urllib3.PoolManager(maxsize=16, retries=False, timeout=60)

    def connect(self, imap: Dovecot, smtp: Submission) -> None:
        """Connect the owner's mailbox as an application does: authorize, then exchange the code."""
        body = {
            "client_id": self.info["client_id"],
            "name": OWNER[0],
            "email_address": OWNER[1],
            "provider": "imap",
            "settings": _settings(imap, smtp),
        }
        code = self.post("/connect/authorize", body)["code"]
        body = {key: self.info[key] for key in ("client_id", "client_secret")} | {"code": code}
        self.token = self.post("/connect/token", body)["access_token"]

    def state(self) -> str:
        """Return the account's sync_state."""
        return str(self.get("/account")["sync_state"])

    def messages(self) -> int:
        """Return how many messages the API has."""
        return int(self.get("/messages?view=count")["count"])

    def get(self, path: str) -> Any:
        """Return the parsed answer of a GET. Raises RuntimeError unless it is a 200."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Any = None) -> Any:
        """Return the parsed answer of a POST. Raises RuntimeError unless it is a 200."""
        return self._call("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        """Return the parsed answer of a PUT. Raises RuntimeError unless it is a 200."""
        return self._call("PUT", path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        secret = self.info["client_secret"] if path.startswith("/a/") else self.token
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        text = json.dumps(body) if body else None
        answer = self._http.request(method, self.info["api_url"] + path, body=text, headers=headers)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {answer.data[:300]!r}")
        return json.loads(answer.data)


def mailbox(imap: Dovecot, smtp: Submission) -> dict[str, Any]:
    """Return the owner's mailbox as the commands of the README name it."""
    servers = {
        "imap_host": "127.0.0.1",
        "imap_port": imap.imap,
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp.port,
    }
    return {"email": OWNER[1], "password": PASSWORD, "tls": "false", **servers}


def _settings(imap: Dovecot, smtp: Submission) -> dict[str, Any]:
    """Return the servers of the account in the shape /connect/authorize takes."""
    server = {"host": "127.0.0.1", "username": OWNER[1], "password": PASSWORD}
    settings: dict[str, Any] = {
        f"{kind}_{key}": value for kind in ("imap", "smtp") for key, value in server.items()
    }
    return settings | {
        "imap_port": imap.imap,
        "smtp_port": smtp.port,
        "ssl_required": False,
        "ssl_verify": False,
    }
