"""What the other side of a request said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP status; `body` holds the first 64 KB, `retry_after` seconds if any were named."""

    status: int
    body: bytes
    retry_after: int | None = None
