"""When a message came in, where its server does not say so: as the message says, else now."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib import bounds
from chalicelib.formats.header.dates import seconds
from chalicelib.formats.header.head import beginning, read
from chalicelib.formats.header.headers import Headers
from chalicelib.providers.imap.protocol.metadata import FIRST_MAIL, Meta

AHEAD_SECONDS = 2 * 86_400
"""A date so far ahead of now is no date: clocks are wrong, but seldom by more."""


def received_at(meta: Meta, raw: bytes, now: float, oldest: int = 0) -> int:
    """Return Unix seconds: the server's word, else the Date header, else Received, else now.

    What a message says of itself is not believed if that is before `oldest`.
    """
    if meta.received_at is not None and meta.received_at <= now + AHEAD_SECONDS:
        return meta.received_at
    start = beginning(raw[: bounds.DATED_HEADER_BYTES])
    headers, _ = read(raw, start, min(len(raw), bounds.DATED_HEADER_BYTES))
    plausible = (at for at in _claims(headers) if max(FIRST_MAIL, oldest) <= at <= now + AHEAD_SECONDS)
    return next(plausible, int(now))


def _claims(headers: Headers) -> Iterator[int]:
    """Yield what a message says of its date, the best claim first."""
    texts = [headers.get("date"), *(one.rpartition(";")[2] for one in headers.get_all("received"))]
    for text in texts[: bounds.DATE_CLAIMS]:
        if (at := seconds(text[: bounds.DATE_CHARACTERS])) is not None:
            yield at
