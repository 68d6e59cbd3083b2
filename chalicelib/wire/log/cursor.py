"""Delta cursors: 25 base-36 characters made of an account tag, a sequence number and a time."""

from chalicelib.errors import InvalidRequest
from chalicelib.ids import LENGTH, base36, derived_id, is_id

START = "0"
_TAG, _SEQ, _AT = 7, 10, 8


def encode(account_id: str, seq: int, at: int) -> str:
    """Return the cursor behind entry `seq`, logged at `at`; "0" before the first entry."""
    if seq == 0:
        return START
    return _tag(account_id) + base36(seq, _SEQ) + base36(at, _AT)


def decode(account_id: str, text: str) -> tuple[int, int]:
    """Return sequence number and time. Raises InvalidRequest for another account's or a made-up cursor."""
    if text == START:
        return 0, 0
    if len(text) != LENGTH or not is_id(text) or not text.startswith(_tag(account_id)):
        raise InvalidRequest(f"Invalid cursor: {text[:100]}")
    return int(text[_TAG : _TAG + _SEQ], 36), int(text[-_AT:], 36)


def _tag(account_id: str) -> str:
    return derived_id(account_id, "cursor")[:_TAG]
