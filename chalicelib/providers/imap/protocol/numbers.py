"""Numbers of messages and mailboxes: what can be one, and sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

UINT32 = 2**32 - 1
"""The largest UID, and the largest of most numbers there are in IMAP (RFC 9051 section 9)."""

_LARGER = {b"HIGHESTMODSEQ": 2**63 - 1}  # RFC 7162 section 7
_SET_OCTETS = 900


def state_numbers(told: Iterable[tuple[bytes, bytes]]) -> dict[bytes, int]:
    """Return those of the numbers of a mailbox, by upper-case name, that can be such numbers."""
    read = ((name.upper(), number(digits, _LARGER.get(name.upper(), UINT32))) for name, digits in told)
    return {name: value for name, value in read if value is not None}


def number(digits: bytes, most: int = UINT32) -> int | None:
    """Return a number of digits alone, None if it is none or larger than such numbers can be."""
    if not digits.isdigit() or len(digits) > len(str(most)):
        return None
    value = int(digits)
    return value if value <= most else None


def uid_sets(uids: Sequence[int]) -> Iterator[bytes]:
    """Yield UIDs as ranges in sets short enough for every server."""
    current = b""
    for part in _ranges(sorted(uids)):
        if current and len(current) + len(part) >= _SET_OCTETS:
            yield current
            current = b""
        current += b"," + part if current else part
    if current:
        yield current


def _ranges(uids: Sequence[int]) -> Iterator[bytes]:
    runs: list[list[int]] = []
    for uid in uids:
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return (b"%d" % first if first == last else b"%d:%d" % (first, last) for first, last in runs)
