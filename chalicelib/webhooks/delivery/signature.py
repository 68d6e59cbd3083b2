"""How an endpoint can tell that a notification is ours.

`X-Nylas-Signature` is v2's. The three `webhook-` headers are those of Standard Webhooks
(https://github.com/standard-webhooks/standard-webhooks); their secret is the client secret too,
written `whsec_` + base64. While two secrets are valid the older one signs `X-Nylas-Signature`, so
that receivers nobody has touched yet go on verifying; the newer one signs `X-Nylas-Signature-Next`,
and `webhook-signature` holds both.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

HEADER = "X-Nylas-Signature"
NEXT_HEADER = "X-Nylas-Signature-Next"


def sign(secret: str, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 of the exact bytes sent, under the client secret."""
    return hmac.digest(secret.encode(), body, hashlib.sha256).hex()


def headers(secrets: Sequence[str], body: bytes, id: str, now: int) -> dict[str, str]:
    """Return every header that vouches for a notification; `secrets` are the valid ones, oldest first."""
    signed = f"{id}.{now}.".encode() + body
    made = {
        HEADER: sign(secrets[0], body),
        "webhook-id": id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(_standard(secret, signed) for secret in secrets),
    }
    return made | ({NEXT_HEADER: sign(secrets[-1], body)} if len(secrets) > 1 else {})


def standard_secret(secret: str) -> str:
    """Return the client secret as libraries for Standard Webhooks take it."""
    return "whsec_" + base64.b64encode(secret.encode()).decode()


def _standard(secret: str, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
