"""Bytes to text, whatever the sender claims about them."""

from __future__ import annotations

import re
from encodings.aliases import aliases
from functools import lru_cache
from typing import Final

from chalicelib.formats.text import seven_bit

# Every codec that is a charset; the others rewrite plain ASCII, and some take quadratic time.
_CHARSETS: Final = frozenset(
    """big5 big5hkscs cp037 cp1006 cp1026 cp1125 cp1140 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256
    cp1257 cp1258 cp273 cp424 cp437 cp500 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861
    cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp875 cp932 cp949 cp950 euc_jis_2004 euc_jisx0213 euc_jp
    euc_kr gb18030 gb2312 gbk hp_roman8 hz iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3
    iso2022_jp_ext iso2022_kr iso8859_1 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16
    iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 johab koi8_r koi8_t
    koi8_u kz1048 latin_1 mac_arabic mac_croatian mac_cyrillic mac_farsi mac_greek mac_iceland mac_latin2
    mac_roman mac_romanian mac_turkish palmos ptcp154 shift_jis shift_jis_2004 shift_jisx0213 tis_620 utf_16
    utf_16_be utf_16_le utf_32 utf_32_be utf_32_le utf_7 utf_8 utf_8_sig""".split()
)
# What senders name is often a subset of what they mean (WHATWG Encoding, section 4.2).
_MEANT: Final = {
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "latin_1": "cp1252",
    "shift_jis": "cp932",
    "tis_620": "cp874",
}
# Names that Python does not know.
_FURTHER: Final = {
    "cp50220": "iso2022_jp",
    "cp50221": "iso2022_jp",
    "cp50222": "iso2022_jp",
    "cp936": "gbk",
    "csiso2022jp": "iso2022_jp",
    "csiso88598i": "iso8859_8",
    "iso2022jpms": "iso2022_jp",
    "iso88598e": "iso8859_8",
    "iso88598i": "iso8859_8",
    "ksc5601": "euc_kr",
    "macintosh": "mac_roman",
    "sjis": "shift_jis",
    "unicode11utf7": "utf_7",
    "unicode11utf8": "utf_8",
    "utf8mb4": "utf_8",
    "windows31j": "cp932",
    "windows874": "cp874",
    "windows932": "cp932",
    "windows949": "cp949",
}
_STATEFUL: Final = frozenset(
    "hz iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr utf_7".split()
)
_OCTETS: Final = re.compile(r"cp125\d|iso8859_\d+|latin_1|cp874")
_CHARACTER: Final = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")
_CONTROLS: Final = re.compile("[\x80-\x9f\ufffd]")
_BY_CHANCE: Final = 2
"""So many different characters may look like UTF-8 in text of single octets."""
_JAPANESE: Final = b"\x1b$"
_NO_NAME = re.compile(r"[^a-z0-9]+")


def _names() -> dict[str, str]:
    known = {name: name for name in _CHARSETS} | {a: c for a, c in aliases.items() if c in _CHARSETS}
    names = {_NO_NAME.sub("", name): codec for name, codec in known.items()} | _FURTHER
    return {name: _MEANT.get(codec, codec) for name, codec in names.items()}


_CODECS: Final = _names()


def decode(data: bytes, charset: str | None) -> str:
    """Return the text of `data`: by its declared charset, else UTF-8, else Windows-1252. Never raises."""
    codec = _codec(charset[:64]) if charset else None
    text = _declared(data, codec) if codec else None
    if text is None or (_JAPANESE in data and _JAPANESE.decode() in text):
        text = _undeclared(data)
    return encodable(text.removeprefix("\ufeff"))


@lru_cache(256)
def _codec(claim: str) -> str | None:
    name = _NO_NAME.sub("", claim.lower())
    return _CODECS.get(name) or _CODECS.get(name.removeprefix("x"))


def encodable(text: str) -> str:
    """Return the text with lone surrogates and NUL removed, so that it can be stored as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "") if "\0" in text else text


def _declared(data: bytes, codec: str) -> str | None:
    if _is_rather_utf8(data, codec):
        return None
    try:
        return data.decode(codec)
    except ValueError:
        pass
    if codec in _STATEFUL and data.isascii():
        return seven_bit.decode(data, codec)
    if _is_utf8(data):
        return None
    if codec == "cp1252":  # its five holes are control characters in Latin-1
        return data.decode("latin-1")
    mixed = codec in _STATEFUL and _JAPANESE in data
    return seven_bit.decode(data, codec) if mixed else _mostly(data, codec)


def _is_rather_utf8(data: bytes, codec: str) -> bool:
    """Tell whether text that claims a charset of single octets is UTF-8; it seldom is by chance."""
    if data.isascii() or not _OCTETS.fullmatch(codec) or not _is_utf8(data):
        return False
    if len(set(_CHARACTER.findall(data))) > _BY_CHANCE:
        return True
    return _CONTROLS.search(data.decode(codec, "replace")) is not None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _mostly(data: bytes, codec: str) -> str | None:
    """Decode with holes if the charset fits all but a few characters; else it is simply wrong."""
    text = data.decode(codec, "replace")
    holes = text.count("\ufffd")
    foreign = sum(1 for char in text if char > "\x7f") - holes
    return text if foreign >= 2 * holes else None


def _undeclared(data: bytes) -> str:
    if _JAPANESE in data:  # ISO-2022-JP is the one old charset that shows itself
        text = _declared(data, "iso2022_jp_ext")
        if text is not None:
            return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _mostly(data, "utf-8") or _declared(data, "cp1252") or ""
