"""Bytes become text by whatever name a charset has, and never raise."""

import encodings.aliases

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.formats.mime.mime import parse
from chalicelib.formats.text.charset import decode


def jis(text: bytes) -> bytes:
    return b"\x1b$B" + text + b"\x1b(B"


@pytest.mark.parametrize(
    "name", ["iso-2022-jp", "ISO-2022-JP", "iso-2022-jp-ms", "cp50220", "csISO2022JP", None]
)
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (jis(b"-!2q5D"), "①会議"),
        (jis(b"-j"), "㈱"),
        (jis(b"-b") + b" 1", "№ 1"),
        (jis(b"|bEg20"), "髙島屋"),
        (jis(b"-!") + b"\x1b(I12\x1b(B", "①ｱｲ"),
        (b"\x1b$@-!\x1b(J\\", "①\\"),
        (b"a" + jis(b"2q") + b"\n" + jis(b"-@5D"), "a会\n㍉議"),
        (b"\x1b$B2q-!", "会①"),
    ],
)
def test_japanese_in_seven_bits_is_read_as_windows_writes_it(
    name: str | None, data: bytes, text: str
) -> None:
    assert decode(data, name) == text


def test_japanese_is_read_in_subjects_names_and_bodies() -> None:
    raw = b"Subject: =?ISO-2022-JP?B?GyRCLSEycTVEGyhC?=\nFrom: =?ISO-2022-JP?B?GyRCLWobKEI=?= <a@x.example>\n"
    parsed = parse(raw + b"Content-Type: text/plain; charset=us-ascii\n\n" + jis(b"-!2q5D"))
    assert (parsed.subject, parsed.sender[0].name, parsed.snippet) == ("①会議", "㈱", "①会議")


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        (b"\x1b$B2q\x7f\x7f5D\x1b(B ok", "iso-2022-jp", "ok"),
        (b"\x1b$)C\x0e0!\x7f\x7f\x0f ok", "iso-2022-kr", "ok"),
        (b"~{VPNDzz~} ok", "hz-gb-2312", "中文"),
        (b"a +AOQ- +2AA- ok", "utf-7", "a ä"),
        (b"\x1b$B2q5D\x1b(B \x1b$(Zab\x1b(B ok", "iso-2022-jp-2", "会議"),
        (b"\x1b$B2q5D\x1b(B \xff", "iso-2022-jp", "会議"),
    ],
)
def test_one_unknown_character_costs_itself_not_the_text(data: bytes, name: str, text: str) -> None:
    assert text in decode(data, name)
    assert "\x1b" not in decode(data, name)


def test_text_that_is_utf8_in_spite_of_its_claim_stays_utf8() -> None:
    for name in ("iso-2022-jp", "windows-1252", "us-ascii", "shift_jis", None):
        assert decode("grüße \x1b$ メール".encode(), name) == "grüße \x1b$ メール"


@pytest.mark.parametrize(
    "name",
    """!idna idna punycode! punycode pun-y_code rot13 rot_13 rot-13! base64 base64_codec hex bz2 zip zlib uu
    quopri quoted-printable unicode_escape raw-unicode-escape undefined string_escape mbcs oem
    unicode_internal encodings.idna ../idna \0idna utf-8-\udcff""".split(),
)
def test_what_is_no_charset_is_not_used_as_one(name: str) -> None:
    assert decode(b"xn--mnchen-3ya \\u0041 68656c6c6f", name) == "xn--mnchen-3ya \\u0041 68656c6c6f"
    assert decode(b"\xe4" * 300, name) == "ä" * 300


def test_a_hostile_charset_name_hides_no_mail() -> None:
    for name in ("!idna", "punycode!", "rot13", "x" * 5_000):
        raw = f'Subject: =?{name}?Q?a=E4?=\nContent-Type: text/plain; charset="{name}"\n\n'.encode()
        assert parse(raw + b"a." * 200 + b"\xe4").snippet.startswith("a.a.")
        assert parse(raw).subject == "aä"


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("UTF8", b"\xc3\xa4", "ä"),
        ("utf-8;", b"\xc3\xa4", "ä"),
        ("'ISO_8859-1:1987'", b"\xe4", "ä"),
        ("x-sjis", b"\x83\x81", "メ"),
        ("x-euc-jp", b"\xa5\xe1", "メ"),
        ("ks_c_5601-1987", b"\xb0\xa1", "가"),
        ("x-gbk", b"\xd6\xd0", "中"),
        ("csBig5", b"\xa4\xa4", "中"),
        ("KOI8-R", b"\xd6", "ж"),
        ("cp-1251", b"\xe6", "ж"),
        ("x-mac-cyrillic", b"\xe6", "ж"),
        ("tis-620", b"\xa1", "ก"),
        ("utf-16", b"\xff\xfea\0", "a"),
    ],
)
def test_a_charset_has_many_names(name: str, data: bytes, text: str) -> None:
    assert decode(data, name) == text


def test_every_codec_of_python_is_a_charset_or_refused() -> None:
    for name in {*encodings.aliases.aliases, *encodings.aliases.aliases.values()}:
        assert isinstance(decode(b"a\xe4" * 40, name), str)
    for (
        name
    ) in "base64_codec bz2_codec hex_codec quopri_codec rot_13 uu_codec zlib_codec idna punycode".split():
        assert decode(b"a\xe4" * 40, name) == "aä" * 40


@settings(deadline=None)
@given(
    st.binary(max_size=80),
    st.text(max_size=12) | st.sampled_from(["iso-2022-jp", "hz", "utf-7", "iso-2022-kr"]),
)
def test_decoding_never_raises_and_its_text_can_be_stored(data: bytes, name: str) -> None:
    assert "\0" not in decode(data, name)
    decode(data, name).encode()


@pytest.mark.parametrize(
    "name", ["iso-8859-1", "iso-8859-2", "iso-8859-15", "windows-1250", "windows-1252", "cp1251"]
)
@pytest.mark.parametrize(
    "text", ["Dzień dobry, saldo \u2013 prośba", "Grüße, schöne Füße", "naïve café déjà", "Привет, мир"]
)
def test_text_in_utf8_is_read_whatever_charset_of_single_octets_it_claims(name: str, text: str) -> None:
    assert decode(text.encode(), name) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\u041d\u0456. \u041d\u0456!", "cp1251"),
        ("Straße", "iso-8859-1"),
        ("ÅÄÖ åäö", "iso-8859-1"),
        ("Příliš žluťoučký kůň", "iso-8859-2"),
        ("Â°C Ã", "cp1252"),
        ("Καλημέρα", "cp1253"),
        ("שלום", "cp1255"),
        ("สวัสดี", "tis-620"),
    ],
)
def test_text_of_single_octets_stays_what_it_claims(text: str, name: str) -> None:
    codec = {"tis-620": "cp874"}.get(name, name)
    assert decode(text.encode(codec), name) == text
