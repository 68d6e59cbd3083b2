"""Charsets that write everything in seven bits and switch by escapes, for text that breaks their rules."""

from __future__ import annotations

import re
from functools import lru_cache

_ESCAPE = re.compile(rb"\x1b(\$[@AB]|\$\([A-Z]|\([A-Z]|\.[AF])")
_PAIR = re.compile(rb"[\x21-\x7e]{2}")
_HIGH = bytes(byte | 0x80 if 0x21 <= byte <= 0x5F else byte for byte in range(256))
_JIS_X_0208 = frozenset({b"$@", b"$B"})
_KATAKANA = b"(I"
_OTHER = {b"$A": "iso2022_jp_2", b"$(C": "iso2022_jp_2", b"$(D": "iso2022_jp_2", b"$(O": "iso2022_jp_3"}
_OTHER |= {b"$(P": "iso2022_jp_3", b"$(Q": "iso2022_jp_2004"}


def decode(data: bytes, codec: str) -> str:
    """Return the text of data in `codec` with a hole for each character it lacks. Never raises.

    ISO-2022-JP is read as Windows writes it (CP50220): with the circled digits, units and names of firms
    in row 13, and the rows of IBM.
    """
    if codec.startswith("iso2022_jp"):
        return _japanese(data)
    return data.decode(codec, "replace")


def _japanese(data: bytes) -> str:
    first, *rest = _ESCAPE.split(data)
    runs = zip(rest[::2], rest[1::2], strict=True)
    return first.decode("cp932", "replace") + "".join(_run(escape, run) for escape, run in runs)


def _run(escape: bytes, run: bytes) -> str:
    """Return the text between two escapes."""
    if escape in _JIS_X_0208:
        run = _PAIR.sub(lambda pair: _shift_jis(pair[0]), run)
    elif escape == _KATAKANA:
        run = run.translate(_HIGH)
    elif escape in _OTHER:
        return (b"\x1b" + escape + run).decode(_OTHER[escape], "replace")
    elif escape.startswith(b"$("):
        return "\ufffd" * (len(run) // 2)
    return run.decode("cp932", "replace")


@lru_cache(94 * 94)
def _shift_jis(pair: bytes) -> bytes:
    """Return a character of JIS X 0208 as Shift_JIS has it."""
    row, cell = pair
    lead = ((row + 1) >> 1) + (0x70 if row < 0x5F else 0xB0)
    if row % 2:
        return bytes((lead, cell + (0x1F if cell < 0x60 else 0x20)))
    return bytes((lead, cell + 0x7E))
