"""What an SMTP refusal means to a v2 client: status and message by reply code and enhanced code."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.errors import SendFailed

_QUOTA = "Daily sending quota exceeded"
_RATE = "The mail server asks to send more slowly"
_RECIPIENT = "The mail server rejected a recipient"
_SECURITY = "Message content rejected for security reasons"
_SPAM = "The mail server takes the message for spam"

# (code, text that occurs in the reply) -> (HTTP status, message); the first match counts.
_MEANINGS: tuple[tuple[int, str, int, str], ...] = (
    (421, "4.4.5", 503, "The mail server is busy"),
    (421, "4.7.", 429, _RATE),
    (450, "4.2.1", 429, _RATE),
    (450, "4.3.0", 429, _RATE),
    (450, "4.7.1", 429, _RATE),
    (451, "4.3.5", 429, _RATE),
    (451, "4.7.1", 429, _RATE),
    (452, "4.5.3", 402, "Too many recipients"),
    (454, "4.7.0", 429, "The mail server cannot authenticate now"),
    (522, "5.7.1", 402, _RECIPIENT),
    (530, "5.7.0", 402, _RECIPIENT),
    (535, "5.7.1", 429, "The user must log in by a browser first"),
    (550, "5.1.1", 402, "Sending to all recipients failed"),
    (550, "5.2.1", 402, "Sending to all recipients failed"),
    (550, "5.3.2", 429, _RATE),
    (550, "5.4.5", 429, _QUOTA),
    (550, "5.4.6", 429, _QUOTA),
    (550, "5.7.1", 429, _QUOTA),
    (550, "5.7.0", 402, "The mail server refuses to relay"),
    (552, "5.2.3", 402, "Message too large"),
    (552, "5.3.4", 402, "Message too large"),
    (552, "5.7.", 402, _SECURITY),
    (553, "5.1.2", 402, "The recipient's domain is unknown"),
    (553, "5.7.1", 402, "The mail server rejected the sender"),
    (554, "5.6.0", 402, "The mail server calls the message malformed"),
    (554, "5.7.1", 402, _SPAM),
)


def refusal(code: int, text: str, failures: Mapping[str, tuple[int, str]] | None = None) -> SendFailed:
    """Return the error for a reply to MAIL, RCPT or DATA; `failures` holds refused recipients."""
    details = {"server_error": f"{code} : {text}"}
    listed = {"failures": {who: list(reply) for who, reply in failures.items()}} if failures else {}
    for meant, part, status, message in _MEANINGS:
        if meant == code and part in text:
            return SendFailed(status, message, **details, **listed)
    if failures:
        return SendFailed(402, "Sending to all recipients failed", **details, **listed)
    return SendFailed(422 if code >= 500 else 503, "Sending failed", **details)
