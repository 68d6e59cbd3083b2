"""A certificate authority of one's own for https on this machine."""

from __future__ import annotations

import trustme

from infra.machine.state import Home, write

NAMES = ("localhost", "127.0.0.1", "::1")


def ensure(home: Home) -> None:
    """Make the authority and the server's certificate once."""
    if home.ca.exists() and home.certificate.exists():
        return
    authority = trustme.CA(organization_name="Postern local runtime")
    server = authority.issue_cert(*NAMES)
    write(home.certificate, server.private_key_and_cert_chain_pem.bytes().decode())
    write(home.ca, authority.cert_pem.bytes().decode())
