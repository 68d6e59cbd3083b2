"""Where heads begin, how headers go on, and what Content-Type and its like say."""

import base64
import quopri
from collections.abc import Callable

import pytest

from chalicelib import bounds
from chalicelib.formats.header.parameters import parameters
from chalicelib.formats.mime.mime import ParsedMail, parse, part_content
from chalicelib.formats.text import transfer

HEAD = b"From: ann@a.example\r\nTo: bob@b.example\r\nSubject: Hello\r\nMessage-ID: <1@a.example>\r\n"


def is_read(parsed: ParsedMail) -> bool:
    people = [person.email for person in (*parsed.sender, *parsed.to)]
    return (people, parsed.subject, parsed.snippet) == (["ann@a.example", "bob@b.example"], "Hello", "text")


@pytest.mark.parametrize(
    "before",
    [
        b"\r\n",
        b"\n\n\n",
        b" \t\r\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\r\n",
        b"\0\0",
        b"\x1a\r\n",
        b"+OK 1234 octets\r\n",
        b"220 ready\r\n250 fine\r\n",
        b"------------\r\n",
        b"From ann@a.example Mon Jan  1 00:00:00 2026\r\n",
        b">From ann@a.example Mon Jan  1 00:00:00 2026\r\n",
        b"\r\nFrom ann@a.example Mon Jan  1 00:00:00 2026\r\n",
        b"* 1 FETCH (BODY[] {100}\r\n",
        b"junk without a colon\r\n",
    ],
)
def test_a_head_is_found_behind_what_does_not_belong_to_it(before: bytes) -> None:
    assert is_read(parse(before + HEAD + b"\r\ntext"))


def test_headers_that_are_all_indented_are_headers() -> None:
    assert (
        parse(b"  From: ann@a.example\r\nTo: bob@b.example\r\nSubject: Hello\r\n\r\ntext").subject == "Hello"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"\r\nDear Ann: this is a text\r\nNote: it has colons\r\n\r\nbye",
        b"Hello Ann\r\nNote: this is no head\r\n",
        b"\r\n\r\nsubject: of my letter\r\n",
        b"a\r\n" * 50 + HEAD,
        b"Hello\r\n\r\n" + HEAD,
    ],
)
def test_text_is_not_taken_for_a_head(text: bytes) -> None:
    parsed = parse(text)
    assert (parsed.subject, parsed.sender) == ("", ())
    assert parsed.snippet.split()[-1] in text.decode()


@pytest.mark.parametrize(
    "lines",
    [
        b"Subject: Hello\r\nX-Note: one\r\ntwo lines that\r\nnobody folded\r\n",
        b"X-Note: one\r\ntwo\r\nthree\r\nfour\r\nSubject: Hello\r\n",
        b"Subject:\r\nHello\r\nX-A: b\r\n",
        b"Subject: Hello\r\nContent-Type: text/plain;\r\ncharset=utf-8\r\n",
        b"X-A: b\r\n-\r\n=\r\nSubject: Hello\r\n",
    ],
)
def test_lines_that_nobody_folded_do_not_end_the_head(lines: bytes) -> None:
    head = b"From: ann@a.example\r\n" + lines + b"To: bob@b.example\r\nDate: x\r\n"
    assert is_read(parse(head + b"\r\ntext"))


def test_what_was_not_folded_goes_on_where_it_can_only_go_on() -> None:
    raw = b"To: a@x.example,\r\nb@x.example,\r\nc@x.example\r\nSubject: a long\r\nsubject\r\nDate: x\r\n\r\n"
    parsed = parse(raw)
    assert [person.email for person in parsed.to] == ["a@x.example", "b@x.example", "c@x.example"]
    assert parsed.subject == "a long subject"
    multipart = b'Content-Type: multipart/mixed;\r\nboundary="b"\r\n\r\n--b\r\n\r\ntext\r\n--b--\r\n'
    assert parse(multipart).snippet == "text"


def test_a_body_without_the_blank_line_before_it_stays_a_body() -> None:
    raw = HEAD + b"Content-Type: multipart/mixed; boundary=bb\r\nThis is a message.\r\n--bb\r\n"
    assert parse(raw + b"Content-Type: text/html\r\n\r\n<p>text</p>\r\n--bb--").snippet == "text"
    page = b"Content-Type: text/html;\r\n<p class=a>text</p>\r\n"
    assert parse(HEAD + page).snippet == "text"
    assert parse(HEAD + b"Hello Bob,\r\nhow are you?\r\n").snippet == "Hello Bob, how are you?"


@pytest.mark.parametrize(
    ("value", "kind", "values"),
    [
        ('text/html charset="utf-8"', "text/html", {"charset": "utf-8"}),
        ("text/html charset=utf-8 format=flowed", "text/html", {"charset": "utf-8", "format": "flowed"}),
        ("text/html, charset=utf-8", "text/html", {"charset": "utf-8"}),
        ('multipart/mixed\n boundary="b"', "multipart/mixed", {"boundary": "b"}),
        ('multipart/mixed\n\tboundary = "b c"', "multipart/mixed", {"boundary": "b c"}),
        ('"text/html"; charset="utf-8"', "text/html", {"charset": "utf-8"}),
        ("text / html; charset=utf-8", "text/html", {"charset": "utf-8"}),
        ('TEXT/HTML;charset="utf-8', "text/html", {"charset": "utf-8"}),
        ('text/html; charset="utf-8;boundary=b', "text/html", {"charset": "utf-8", "boundary": "b"}),
        ('text/html;; charset="utf-8";', "text/html", {"charset": "utf-8"}),
        ("text/html (page); charset=utf-8", "text/html", {"charset": "utf-8"}),
        ('attachment filename="a b.pdf"', "attachment", {"filename": "a b.pdf"}),
        ("attachment; filename=a b=c.pdf; size=3", "attachment", {"filename": "a b=c.pdf", "size": "3"}),
        ("attachment; filename=my file.pdf", "attachment", {"filename": "my file.pdf"}),
        ('filename="a.pdf"', "", {"filename": "a.pdf"}),
        ('attachment; filename="a; name=b.pdf"', "attachment", {"filename": "a; name=b.pdf"}),
        ("attachment filename*=utf-8''%C3%A4.pdf", "attachment", {"filename": "ä.pdf"}),
        ("text/plain", "text/plain", {}),
        ("", "", {}),
    ],
)
def test_parameters_are_read_without_their_semicolons(value: str, kind: str, values: dict[str, str]) -> None:
    assert parameters(value) == (kind, values)


def test_a_page_without_a_semicolon_in_its_type_is_a_page() -> None:
    raw = b'Content-Type: text/html charset="utf-8"\r\n\r\n<p>gr\xc3\xbc\xc3\x9fe</p>'
    assert parse(raw).snippet == "grüße"
    raw = b'Content-Type: multipart/mixed\r\n boundary="b"\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n'
    raw += (
        b"Content-Type: application/pdf\r\nContent-Disposition: attachment filename=a.pdf\r\n\r\nx\r\n--b--"
    )
    assert [part.filename for part in parse(raw).parts if part.listed] == ["a.pdf"]


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        ("quoted-printable (generic)", "quoted-printable"),
        ("quoted printable", "quoted-printable"),
        ("Quoted_Printable;", "quoted-printable"),
        ('"quoted-printable"', "quoted-printable"),
        ("quotedprintable", "quoted-printable"),
        ("(generic) quoted-printable", "quoted-printable"),
        ("base-64", "base64"),
        ("BASE64 ; x=y", "base64"),
        ("base64, 7bit", "base64"),
        ("x-base64", "base64"),
        ("base64.", "base64"),
        ("x-uuencode", "uu"),
        ("x-uue", "uu"),
        ("7bit (base64)", ""),
        ("8bit", ""),
        ("base9000", ""),
        ("(((", ""),
        ("", ""),
    ],
)
def test_an_encoding_is_known_by_more_than_its_exact_name(value: str, encoding: str) -> None:
    assert transfer.named(value) == encoding


def test_a_body_is_decoded_whatever_the_encoding_is_called() -> None:
    for name, data in (("quoted-printable (generic)", b"gr=C3=BC=C3=9Fe"), ("base-64", b"Z3LDvMOfZQ==")):
        assert parse(f"Content-Transfer-Encoding: {name}\r\n\r\n".encode() + data).snippet == "grüße"


def test_a_head_is_read_up_to_its_bounds_and_the_body_is_found_behind_it() -> None:
    many = b"".join(b"X-%d: y\n" % number for number in range(bounds.HEAD_LINES))
    assert parse(HEAD + many + b"Reply-To: c@x.example\n\ntext").reply_to == ()
    assert is_read(parse(HEAD + many * 30 + b"\ntext"))
    assert is_read(parse(HEAD + b"X: " + b"y" * bounds.HEAD_BYTES + b"\r\n\r\ntext"))


PARTS = (
    b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nAA\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/mixed; boundary=b",
        b'multipart/related; boundary="b"; type="text/plain"',
        b"multipart/mixed;\r\n boundary=b",
        b"multipart/mixed boundary=b",
    ],
)
def test_a_head_ends_at_its_own_delimiter_where_the_blank_line_is_missing(kind: bytes) -> None:
    mail = parse(HEAD + b"Content-Type: " + kind + b"\r\n" + PARTS)
    assert mail.body_html == "<p>hello</p>"
    assert [part.filename for part in mail.parts if part.listed] == ["a.pdf"]


def test_a_part_ends_its_head_at_its_own_delimiter_too() -> None:
    outer = b"--o\r\nContent-Type: multipart/mixed; boundary=b\r\n" + PARTS + b"--o--\r\n"
    mail = parse(HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n" + outer)
    assert mail.body_html == "<p>hello</p>"


@pytest.mark.parametrize("line", [b"--", b"--x", b"-- ", b"--b-", b"---"])
def test_another_line_of_dashes_ends_no_head(line: bytes) -> None:
    mail = parse(b"Content-Type: multipart/mixed; boundary=b\r\n" + line + b"\r\n" + HEAD + b"\r\n" + PARTS)
    assert mail.subject == "Hello"


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("base64", base64.encodebytes),
        ("quoted-printable", quopri.encodestring),
        ("Base-64", base64.encodebytes),
    ],
)
def test_a_multipart_that_is_encoded_as_a_whole_is_divided(
    name: str, encode: Callable[[bytes], bytes]
) -> None:
    kind = b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: " + name.encode()
    body = encode(PARTS).replace(b"--b", b"=2D-b")
    raw = HEAD + kind + b"\r\n\r\n" + body
    mail = parse(raw)
    assert mail.body_html == "<p>hello</p>"
    (file,) = [part for part in mail.parts if part.listed]
    assert part_content(raw, file.part) == ("a.pdf", "application/pdf", b"AA")


def test_a_multipart_that_only_claims_an_encoding_is_read_as_it_is() -> None:
    kind = b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert parse(HEAD + kind + PARTS).body_html == "<p>hello</p>"
