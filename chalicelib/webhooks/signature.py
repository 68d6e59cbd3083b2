"""How an endpoint can tell that a notification is ours."""

import hashlib
import hmac

HEADER = "X-Nylas-Signature"


def sign(secret: str, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 of the exact bytes sent, under the client secret."""
    return hmac.digest(secret.encode(), body, hashlib.sha256).hex()
