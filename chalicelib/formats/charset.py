"""Bytes to text, whatever the sender claims about them."""

from __future__ import annotations

from typing import Final

# What senders name is often a subset of what they mean (WHATWG Encoding, section 4.2).
_MEANT: Final = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "big5": "big5hkscs",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
}
_NO_CLAIM: Final = frozenset(
    {"", "us-ascii", "ascii", "unknown", "unknown-8bit", "x-unknown", "default", "binary", "8bit", "none"}
)
# Python codecs that are no charsets; they would rewrite plain ASCII.
_NO_CHARSET: Final = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})


def decode(data: bytes, charset: str | None) -> str:
    """Return the text of `data`: by its declared charset, else UTF-8, else Windows-1252. Never raises."""
    claim = (charset or "").strip("\"' \t<>").lower()
    if claim not in _NO_CLAIM:
        text = _declared(data, _MEANT.get(claim, claim))
        if text is not None:
            return encodable(text.removeprefix("\ufeff"))
    return _undeclared(data).removeprefix("\ufeff")


def encodable(text: str) -> str:
    """Return the text with lone surrogates and NUL removed, so that it can be stored as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "") if "\0" in text else text


def _declared(data: bytes, charset: str) -> str | None:
    if charset.replace("-", "_") in _NO_CHARSET:
        return None
    try:
        return data.decode(charset)
    except UnicodeDecodeError:
        pass
    except (LookupError, ValueError):
        return None
    if charset == "cp1252":  # its five holes are control characters in Latin-1
        return data.decode("latin-1")
    return _mostly(data, charset)


def _mostly(data: bytes, charset: str) -> str | None:
    """Decode with holes if the charset fits all but a few characters; else it is simply wrong."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return None
    text = data.decode(charset, "replace")
    holes = text.count("\ufffd")
    foreign = sum(1 for char in text if char > "\x7f") - holes
    return text if foreign >= 2 * holes else None


def _undeclared(data: bytes) -> str:
    if b"\x1b$" in data:  # ISO-2022-JP is the one old charset that shows itself
        text = _declared(data, "iso2022_jp_ext")
        if text is not None:
            return encodable(text)
    try:
        return encodable(data.decode("utf-8"))
    except UnicodeDecodeError:
        text = _mostly(data, "utf-8") or _declared(data, "cp1252") or ""
        return encodable(text)
