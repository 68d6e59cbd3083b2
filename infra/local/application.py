"""Makes the first application once: `python -m infra.local.application`; its secret is that of the home."""

from __future__ import annotations

import hashlib

from chalicelib.domain.accounts.application import Application
from chalicelib.services import services
from infra.machine.state import Home


def id_of(secret: str) -> str:
    """Return the client id that belongs to a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()[:25]


def ensure(client_id: str, secret: str) -> None:
    """Create the application unless it is there."""
    applications = services().applications
    if applications.get(client_id) is None:
        applications.create(Application(id=client_id, name="Local application"), secret)


if __name__ == "__main__":
    own = Home.from_env().secret("client")
    ensure(id_of(own), own)
