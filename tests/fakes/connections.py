"""Connections and proofs of them, as a browser or an application asks for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.domain.accounts.connection import Connection, Proof
from chalicelib.domain.accounts.mail_settings import MailSettings, Server

SERVER = Server(host="mail.example", port=993, username="mira", password="a password")
WANTED = Connection(
    application_id="app",
    name="Mira",
    email_address="mira@kestrel.example",
    scopes="email",
    settings=MailSettings(imap=SERVER, smtp=replace(SERVER, port=465)),
)


def proof(at: int = 1, *, provider: str = "imap", trusted: bool = False, **wanted: Any) -> Proof:
    """Return the proof of a mailbox; what is named differs from WANTED."""
    return Proof(wanted=replace(WANTED, **wanted), provider=provider, at=at, trusted=trusted)


def body(**wanted: Any) -> dict[str, Any]:
    """Return a body of /connect/authorize; `settings` are merged into those of WANTED."""
    servers = {"imap": WANTED.settings.imap, "smtp": WANTED.settings.smtp}
    fields = ("host", "port", "username", "password")
    settings = {f"{kind}_{key}": getattr(one, key) for kind, one in servers.items() for key in fields}
    made = {
        "client_id": WANTED.application_id,
        "name": WANTED.name,
        "email_address": WANTED.email_address,
        "provider": "imap",
    }
    return made | wanted | {"settings": settings | wanted.get("settings", {})}
