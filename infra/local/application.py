"""Makes the first application once: `python -m infra.local.application CLIENT_ID SECRET`."""

from __future__ import annotations

import sys

from chalicelib.domain.account import Application
from chalicelib.services import services


def ensure(client_id: str, secret: str) -> None:
    """Create the application unless it is there."""
    applications = services().applications
    if applications.get(client_id) is None:
        applications.create(Application(id=client_id, name="Local application"), secret)


if __name__ == "__main__":
    ensure(sys.argv[1], sys.argv[2])
