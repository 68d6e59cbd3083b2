"""What may stand in a header: addresses, names of headers, text of one line."""

from __future__ import annotations

import re
from unicodedata import normalize

from chalicelib import bounds
from chalicelib.errors import InvalidRequest, SendFailed

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_IN_NO_ADDRESS = re.compile(r"[\x00-\x20\x7f@<>()\[\]\\,;:\"]")
_BREAK = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_DOT = re.compile("[.\u3002\uff0e\uff61]")
_KEPT_LETTER = re.compile("[\u00df\u1e9e\u03c2]")
"""Letters that IDNA2008 keeps; Python's codec makes others of them, which is another's domain."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,75}")
_REPEATABLE = re.compile(r"x-.*|comments|keywords", re.IGNORECASE)

# What we write ourselves.
_OURS = "bcc cc date from in-reply-to message-id mime-version references reply-to sender subject to"
# What servers write on a mail's way, or read there to tell where it is from and whether it is genuine.
_TRACE = (
    "apparently-to authentication-results delivered-to delivery-date dl-expansion-history "
    "domainkey-signature envelope-from envelope-to errors-to original-authentication-results "
    "original-recipient path received received-spf return-path x-apparently-to x-auth-user "
    "x-authentication-results x-delivered-to x-dkim-signature x-failed-recipients "
    "x-get-message-sender-via x-originating-ip x-rcpt-to x-real-to x-received x-return-path x-sender "
    "x-sender-ip x-source-ip x-virus-scanned xref"
)
_TRACE_KINDS = (
    "arc- authentication-results- content- dkim- dmarc- downgraded- resent- x-arc- x-authenticated- "
    "x-envelope- x-forefront- x-gm- x-google- x-microsoft-antispam x-ms-exchange- x-original- x-spam"
)
# What mailboxes write into a mail they keep.
_KEPT = "status x-keywords x-status x-uid x-uidl"
_KEPT_KINDS = "x-imap x-mozilla-"
_RESERVED = frozenset(f"{_OURS} {_TRACE} {_KEPT}".split())
_RESERVED_KINDS = tuple(f"{_TRACE_KINDS} {_KEPT_KINDS}".split())


def deliverable(email: str, what: str) -> str:
    """Return an address as servers take it, its domain in ASCII. Raises InvalidRequest or SendFailed.

    `what` names the address in the error. Quoted local parts and address literals are not taken.
    """
    local, at, domain = email[: bounds.SENT_ADDRESS_CHARACTERS + 1].rpartition("@")
    wrong = InvalidRequest(f"Invalid {what} {email[: bounds.SENT_ADDRESS_CHARACTERS]}")
    if not at or _IN_NO_ADDRESS.search(local):
        raise wrong
    if not local.isascii():
        raise SendFailed(402, f"The address {email[:255]} holds non-ASCII characters before its @.")
    try:
        host = domain if domain.isascii() else ".".join(map(_ascii, _DOT.split(domain)))
    except UnicodeError as error:
        raise wrong from error
    address = f"{local}@{host}"
    fits = max(len(email), len(address)) <= bounds.SENT_ADDRESS_CHARACTERS
    if not fits or not _LOCAL.fullmatch(local) or "=?" in local or not _is_host(host):
        raise wrong
    return address


def _ascii(label: str) -> str:
    """Return a label of an international domain name as it is looked up. Raises UnicodeError."""
    if _KEPT_LETTER.search(label):
        label = normalize("NFC", label.lower())
        return f"xn--{label.encode('punycode').decode()}"
    return label.encode("idna").decode()


def _is_host(name: str) -> bool:
    return all(map(_LABEL.fullmatch, name.split(".")))


def is_header_name(name: str) -> bool:
    """Tell whether a header of our own may be called so."""
    return _HEADER_NAME.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Tell whether a header is ours, a server's or a mailbox's to write."""
    return name.lower() in _RESERVED or name.lower().startswith(_RESERVED_KINDS)


def may_repeat(name: str) -> bool:
    """Tell whether a mail may have several headers of that name (RFC 5322 §3.6)."""
    return _REPEATABLE.fullmatch(name) is not None


def breaks_lines(text: str) -> bool:
    """Tell whether some reader would see more than one line, or a control character; a tab is a blank."""
    return _BREAK.search(text) is not None


def one_line(text: str, longest: int) -> str:
    """Return a text that nobody has checked on one line of at most so many bytes."""
    line = " ".join(_BREAK.sub(" ", text[:longest]).split())
    return line.encode("utf-8", "replace")[:longest].decode("utf-8", "ignore")
