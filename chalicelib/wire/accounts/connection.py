"""The bodies of POST /connect/authorize and POST /connect/token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib import bounds
from chalicelib.domain.accounts.connection import Connection
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.domain.accounts.retention_wish import RetentionWish
from chalicelib.domain.mail.folder import ROLES
from chalicelib.errors import ConnectFailed, InvalidRequest
from chalicelib.wire import body as read
from chalicelib.wire.accounts import window

DEFAULT_SCOPES = "email,calendar,contacts"
_TEXTS = ("imap_host", "imap_username", "imap_password", "smtp_host", "smtp_username", "smtp_password")
_PORTS = {"imap_port": 993, "smtp_port": 587}
_LONGEST = {
    "client_id": bounds.CLIENT_ID_CHARACTERS,
    "name": bounds.FIELD_CHARACTERS,
    "email_address": bounds.EMAIL_ADDRESS_CHARACTERS,
    "reauth_account_id": bounds.CLIENT_ID_CHARACTERS,
    "imap_host": bounds.HOST_CHARACTERS,
    "smtp_host": bounds.HOST_CHARACTERS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A code and who asks for what it stands for."""

    client_id: str
    client_secret: str
    code: str


def load_exchange(body: read.Body) -> Exchange:
    """Read the body of /connect/token. Raises InvalidRequest."""
    return Exchange(
        client_id=read.required(body, "client_id", bounds.CREDENTIAL_CHARACTERS),
        client_secret=read.required(body, "client_secret", bounds.CREDENTIAL_CHARACTERS),
        code=read.required(body, "code", bounds.CREDENTIAL_CHARACTERS),
    )


def secret(body: read.Body) -> str | None:
    """Return the client secret of a body of /connect/authorize, None if there is none."""
    value = body.get("client_secret")
    return value if isinstance(value, str) and len(value) <= bounds.CREDENTIAL_CHARACTERS else None


def load(body: dict[str, Any]) -> Connection:
    """Read a request for a generic IMAP account. Raises ConnectFailed naming what is missing."""
    _require(body, ("client_id", "name", "email_address", "provider", "settings"))
    provider = body["provider"]
    if not isinstance(provider, str) or provider.lower() not in ("imap", "custom"):
        raise ConnectFailed("Only the provider imap can be connected.", error="Unsupported provider")
    if not isinstance(body["settings"], dict):
        raise ConnectFailed("settings must be an object.", error="Invalid settings")
    for key in ("client_id", "name", "email_address"):
        _text(body, key)
    if "@" not in body["email_address"].strip("@"):
        raise ConnectFailed("email_address is not an address.", error="Invalid email_address")
    return Connection(
        application_id=body["client_id"],
        name=body["name"].strip(),
        email_address=body["email_address"].strip(),
        scopes=_scopes(body.get("scopes")),
        settings=_settings(body["settings"]),
        reauth_account_id=_text(body, "reauth_account_id") if body.get("reauth_account_id") else None,
        window=_window(body),
    )


def _window(body: dict[str, Any]) -> RetentionWish:
    try:
        return window.load_change(body, ROLES)
    except InvalidRequest as error:
        raise ConnectFailed(error.message, error="Invalid history window") from error


def _settings(settings: dict[str, Any]) -> MailSettings:
    _require(settings, _TEXTS)
    for key in _TEXTS:
        _text(settings, key)
    return MailSettings(
        imap=_server(settings, "imap"),
        smtp=_server(settings, "smtp"),
        tls_required=_flag(settings, "ssl_required"),
        tls_verified=_flag(settings, "ssl_verify"),
    )


def _flag(settings: dict[str, Any], key: str) -> bool:
    value = settings.get(key, True)
    if not isinstance(value, bool):
        raise ConnectFailed(f"{key} must be true or false.", error="Invalid settings")
    return value


def _server(settings: dict[str, Any], kind: str) -> Server:
    return Server(
        host=settings[f"{kind}_host"].strip(),
        port=_port(settings, f"{kind}_port"),
        username=settings[f"{kind}_username"],
        password=settings[f"{kind}_password"],
    )


def _port(settings: dict[str, Any], key: str) -> int:
    value = settings.get(key, _PORTS[key])
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:6])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise ConnectFailed(f"{key} must be a port number.", error="Invalid settings")
    return value


def _scopes(value: Any) -> str:
    if value is None or value == "":
        return DEFAULT_SCOPES
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConnectFailed("scopes must be a comma-separated string.", error="Invalid scopes")
    scopes = ",".join(name.strip() for name in names if name.strip())
    if len(scopes) > bounds.SCOPES_CHARACTERS or not _is_text(scopes):
        raise ConnectFailed("scopes must be a comma-separated string.", error="Invalid scopes")
    return scopes


def _require(body: dict[str, Any], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if body.get(key) in (None, "")]
    if missing:
        raise ConnectFailed(
            f"Missing fields: {', '.join(missing)}", error="Missing fields", missing_fields=missing
        )


def _text(body: dict[str, Any], key: str) -> str:
    value, longest = body[key], _LONGEST.get(key, bounds.CREDENTIAL_CHARACTERS)
    if not isinstance(value, str) or any(c in value for c in "\r\n\0") or not _is_text(value):
        raise ConnectFailed(f"{key} must be a string of one line.", error="Invalid settings")
    if len(value) > longest:
        raise ConnectFailed(f"{key} may have at most {longest} characters.", error="Invalid settings")
    return value


def _is_text(value: str) -> bool:
    """Tell whether a string can be encoded: a lone surrogate passes JSON but no encoder further on."""
    return not any("\ud800" <= c <= "\udfff" for c in value)
