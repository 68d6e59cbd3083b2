"""Which adapter serves which kind of account; each is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from chalicelib.domain.accounts.mail_settings import MailSettings
    from chalicelib.providers.base import Provider, Transport
    from chalicelib.providers.network.egress import EgressPolicy

PROVIDERS = {
    "imap": "chalicelib.providers.imap.adapter:connect",
    "gmail": "chalicelib.providers.imap.gmail.gmail:connect",
    "detect": "chalicelib.providers.imap.gmail.gmail:detect",
}
TRANSPORTS = dict.fromkeys(("imap", "gmail"), "chalicelib.providers.smtp:SmtpTransport")


def provider(kind: str, settings: MailSettings, reach: EgressPolicy) -> Provider:
    """Connect to an account's mail server, as far as `reach` goes."""
    return cast("Provider", _load(PROVIDERS[kind])(settings, reach))


def transport(kind: str, settings: MailSettings, reach: EgressPolicy) -> Transport:
    """Return the account's way to send, as far as `reach` goes."""
    return cast("Transport", _load(TRANSPORTS[kind])(settings, reach))


def _load(path: str) -> type:
    module, _, name = path.partition(":")
    return cast(type, getattr(import_module(module), name))
