"""A queue or an event bus that a webhook may write to instead of an HTTP endpoint.

Its callback URL is `sqs://<region>/<account>/<queue>` or `events://<region>/<account>/<bus>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SCHEMES = ("sqs", "events")
_URL = re.compile(r"(sqs|events)://([a-z]{2}(?:-[a-z]+)+-[0-9])/([0-9]{12})/([A-Za-z0-9._-]{1,256})")
_ARN = re.compile(r"arn:aws[a-z-]*:(sqs|events):([a-z0-9-]+):([0-9]{12}):(?:event-bus/)?(.+)")


@dataclass(frozen=True, slots=True)
class Destination:
    """A resource of AWS: `service` is sqs or events."""

    service: str
    region: str
    account: str
    name: str


def of_url(url: str) -> Destination | None:
    """Return the destination that a callback URL names, None if it names none."""
    found = _URL.fullmatch(url)
    return Destination(*found.groups()) if found else None


def allowed(destination: Destination, arns: Iterable[str]) -> bool:
    """Tell whether the owner of this deployment has listed a destination by its ARN."""
    listed = (_ARN.fullmatch(arn) for arn in arns)
    return any(found is not None and Destination(*found.groups()) == destination for found in listed)
