"""The wire to a mail server that searches in one charset."""

from __future__ import annotations

from typing import Any

from chalicelib.providers.imap.protocol.lines import Reply, Wire


class KnowsAsciiOnly:
    """Refuses what names another charset or holds other characters, and passes everything else on."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def run(self, *items: bytes) -> Reply:
        asked = b" ".join(items)
        if b"UTF-8" in asked or not asked.isascii():
            return Reply("NO", "[BADCHARSET (US-ASCII)] The specified charset is not supported.")
        return self._wire.run(*items)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)
