"""What the API shows of mails, well-formed and not."""

import base64
import time
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.mail.message import Address
from chalicelib.formats.mime.mime import parse, part_content

E_ACUTE = "e\u0301"  # two code points, one letter


def mail(*lines: str | bytes) -> bytes:
    return b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)


def multipart(*parts: bytes, kind: str = "mixed") -> bytes:
    head = mail(f"Content-Type: multipart/{kind}; boundary=xx", "", "")
    return head + b"".join(b"--xx\r\n" + part + b"\r\n" for part in parts) + b"--xx--\r\n"


def test_html_wins_over_its_plain_alternative() -> None:
    message = EmailMessage()
    message.set_content("plain")
    message.add_alternative("<p>rich</p>", subtype="html")
    parsed = parse(message.as_bytes())
    assert (parsed.body_html.strip(), parsed.snippet) == ("<p>rich</p>", "rich")
    assert not any(part.listed for part in parsed.parts)


def test_html_parts_between_images_are_joined_in_order() -> None:
    image = mail("Content-Type: image/png", "", "x")
    one, two = mail("Content-Type: text/html", "", "<p>1"), mail("Content-Type: text/html", "", "<p>2")
    parsed = parse(multipart(one, image, two, image))
    assert parsed.body_html == "<p>1<p>2"
    assert [(part.part, part.listed) for part in parsed.parts] == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]
    assert parsed.parts[1].disposition == "attachment"


def test_an_attachment_knows_its_name_size_and_bytes() -> None:
    for size in range(130, 134):
        message = EmailMessage()
        message.set_content("see file")
        message.add_attachment(b"\1" * size, maintype="application", subtype="pdf", filename="ré.pdf")
        raw = message.as_bytes()
        part = parse(raw).parts[1]
        assert (part.filename, part.size, part.disposition) == ("ré.pdf", size, "attachment")
        assert part_content(raw, part.part) == ("ré.pdf", "application/pdf", b"\1" * size)


def test_an_attached_mail_is_one_file_with_its_own_bytes() -> None:
    inner = mail(
        "Subject: inner", "Content-Type: multipart/mixed; boundary=yy", "", "--yy", "", "hi", "--yy--"
    )
    raw = multipart(mail("", "text"), mail("Content-Type: message/rfc822", "", "") + inner)
    parsed = parse(raw)
    assert [part.content_type for part in parsed.parts] == ["text/plain", "message/rfc822"]
    assert part_content(raw, 2)[2] == inner


def test_an_inline_image_keeps_its_content_id_without_brackets() -> None:
    image = mail(
        "Content-Type: image/png; name=a.png", "Content-ID: <a@b>", "Content-Disposition: inline", "", "x"
    )
    part = parse(multipart(mail("Content-Type: text/html", "", "<p>"), image, kind="related")).parts[1]
    assert (part.content_id, part.disposition, part.listed, part.filename) == ("a@b", "inline", True, "a.png")


def test_an_attached_html_is_a_file_and_an_unknown_disposition_is_none() -> None:
    page = mail("Content-Type: text/html", "Content-Disposition: attachment; filename=a.html", "", "<p>")
    odd = mail("Content-Disposition: alternative", "", "body")
    parsed = parse(multipart(odd, page))
    assert parsed.body_html == "<p>body</p>"
    assert [part.filename for part in parsed.parts if part.listed] == ["a.html"]


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"=?utf-8?B?w6Q=?= =?utf-8?Q?=C3=A4?=", "ää"),
        (b"=?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "ä"),
        (b"Re: =?iso-8859-1?q?caf=E9?= now", "Re: café now"),
        (b"=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
        (b"=?gb2312?B?1tDH4Q==?=", "中轻"),
        (b"=?nonsense?Q?=C3=A4?=", "ä"),
        (b"=?utf-8?B?w6Q?=", "ä"),
        (b"=?windows-1252?Q?=93x=94?=", "“x”"),
        (b"=?iso-8859-1?Q?=93x=94?=", "“x”"),
        (b"caf\xe9", "café"),
        ("grüße".encode(), "grüße"),
        (b"=?utf-8?Q?a=00b?=", "ab"),
        (b"one\r\n two", "one two"),
        (b"x" * 4096, "x" * 255),
        (b"=?utf-7?Q?+2AA-?=", "\ufffd"),
    ],
)
def test_a_subject_is_decoded(header: bytes, subject: str) -> None:
    assert parse(b"Subject: " + header + b"\r\n\r\n").subject.replace("?", "\ufffd") == subject


@pytest.mark.parametrize(
    ("header", "people"),
    [
        ("a@b.example", [("", "a@b.example")]),
        ("A B <a@b.example>, c@d.example", [("A B", "a@b.example"), ("", "c@d.example")]),
        ('""Foo, Corp."" <info@foo.example>', [("Foo, Corp.", "info@foo.example")]),
        ("Foo, Corp. <info@foo.example>", [("Foo, Corp.", "info@foo.example")]),
        ('"Foo, Corp." <info@foo.example>', [("Foo, Corp.", "info@foo.example")]),
        ("=?utf-8?q?Foo=2C_Corp?= <info@foo.example>", [("Foo, Corp", "info@foo.example")]),
        ("a@b.example (Ann)", [("Ann", "a@b.example")]),
        ('"Ann" <a@b.example> (work)', [("Ann", "a@b.example")]),
        ("Ann <a@b.example", [("Ann", "a@b.example")]),
        ("Ann <a@b.example> ()", [("Ann", "a@b.example")]),
        ("Friends: a@b.example, c@d.example;", [("", "a@b.example"), ("", "c@d.example")]),
        ("undisclosed-recipients:;", []),
        ("", []),
        ("<mailto:a@b.example>", [("", "a@b.example")]),
        ("'a@b.example' <a@b.example>", [("a@b.example", "a@b.example")]),
        ('"a@b.example" <a@b.example>', [("a@b.example", "a@b.example")]),
    ],
)
def test_an_address_header_is_understood(header: str, people: list[tuple[str, str]]) -> None:
    assert parse(mail(f"To: {header}", "", "")).to == tuple(Address(*person) for person in people)


def test_a_repeated_from_counts_once_and_several_to_lines_add_up() -> None:
    parsed = parse(
        mail("From: a@b.example", "From: a@b.example", "To: c@d.example", "To: e@f.example", "", "")
    )
    assert parsed.sender == (Address("", "a@b.example"),)
    assert [person.email for person in parsed.to] == ["c@d.example", "e@f.example"]


def test_a_huge_recipient_list_is_imported() -> None:
    assert len(parse(mail("To: " + ", ".join(["Someone <a@b.example>"] * 4000), "", "")).to) == 1000


def test_references_end_with_what_is_answered() -> None:
    parsed = parse(
        mail(
            "Message-ID: <3@x>",
            "References: <1@x>\t<2@x>",
            'In-Reply-To: Your mail of "Monday" <0@x>',
            "",
            "",
        )
    )
    assert (parsed.message_id, parsed.in_reply_to) == ("<3@x>", "<0@x>")
    assert parsed.references == ("<1@x>", "<2@x>", "<0@x>")


@pytest.mark.parametrize(
    "parameter",
    [
        "filename*=utf-8''na%C3%AFve.txt",
        "filename*0*=utf-8''na%C3%AF; filename*1=ve.txt",
        'filename="=?utf-8?q?na=C3=AFve.txt?="',
    ],
)
def test_a_file_name_is_decoded(parameter: str) -> None:
    part = mail("Content-Type: text/plain", f"Content-Disposition: attachment; {parameter}", "", "x")
    assert parse(multipart(part)).parts[0].filename == "naïve.txt"


def test_a_long_file_name_keeps_its_extension_and_whole_characters() -> None:
    part = mail(
        "Content-Type: image/png",
        f'Content-Disposition: attachment; filename="{E_ACUTE * 500}.png"',
        "",
        "x",
    )
    name = parse(multipart(part)).parts[0].filename
    assert name is not None and len(name) <= 255 and name.endswith(E_ACUTE + ".png")


def test_an_undeclared_or_wrong_charset_is_repaired() -> None:
    assert "grüße" in parse(mail("", "grüße")).body_html
    assert "gr\u201cn" in parse(mail("Content-Type: text/plain; charset=us-ascii", "", b"gr\x93n")).body_html
    assert "ä" in parse(mail("Content-Type: text/plain; charset=no-such", "", b"\xe4")).body_html
    assert "ä" in parse(mail("Content-Type: text/plain; charset=utf-8", "", b"\xe4")).body_html


def test_structure_survives_bad_headers_and_missing_delimiters() -> None:
    assert parse(mail("Subject: a", "junk line", "To : b@c.example", "", "x")).to == (
        Address("", "b@c.example"),
    )
    unclosed = mail("Content-Type: multipart/mixed; boundary=xx", "", "--xx", "", "hello")
    assert parse(unclosed).snippet == "hello"
    undeclared = mail(
        "Content-Type: multipart/mixed", "", "--zz", "Content-Type: text/plain", "", "hello", "--zz--"
    )
    assert parse(undeclared).snippet == "hello"
    no_division = mail("Content-Type: multipart/mixed; boundary=xx", "", "hello")
    assert parse(no_division).snippet == "hello"
    assert parse(b"hello world").snippet == "hello world"
    assert parse(b"").parts[0].size == 0


def test_base64_is_read_without_padding_and_with_a_footer() -> None:
    head = ("Content-Type: text/plain", "Content-Transfer-Encoding: base64", "")
    text = base64.b64encode(b"hello").rstrip(b"=")
    assert parse(mail(*head, text)).snippet == "hello"
    assert parse(mail(*head, text + b"=", "-- ", "a list")).snippet == "hello"


def test_deep_and_wide_trees_are_bounded() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1000))
    assert len(parse(deep).parts) == 1
    assert len(parse(multipart(*[b"\r\nx"] * 5000)).parts) < 2001


TEXT = st.binary(max_size=60)
PIECES = st.sampled_from(
    b"""Content-Type: multipart/mixed; boundary=x\r\n|--x\r\n|--x--|\r\n|\n|\r|Subject: =?utf-7?q?|?=|To: <
|"|(|'|%ff|\0|<p|In-Reply-To: |Content-Transfer-Encoding: base64\n|Content-Type: text/html; charset*0*=
|Content-Transfer-Encoding: x-uue\n|Content-Disposition: attachment; filename*1*=|From: =?gb2312?b?
|Content-ID: |Content-Type: text/html; charset=""".split(b"|")
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | TEXT, max_size=25).map(b"".join))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    parsed = parse(raw)
    repr(parsed).encode()
    (parsed.subject + parsed.body_html + parsed.snippet).encode()
    for part in parsed.parts:
        part_content(raw, part.part)


@pytest.mark.parametrize(
    "hostile",
    [
        b"To: " + b"<" * 60_000,
        b"To: a" + b" " * 60_000 + b"b",
        b"References: <" + b"a" * 60_000,
        b"Subject: " + b"=?a?q? " * 9_000,
        b"To: " + b'"' * 60_000,
        b"To: " + b"(" * 60_000,
        b"To: " + b"(a" * 30_000,
        b"To: " + b"<a," * 20_000,
        b"Content-Type: a/b;" + b" a" * 30_000,
    ],
)
def test_hostile_headers_take_no_long_time(hostile: bytes) -> None:
    begin = time.process_time()
    parse(hostile + b"\n\n")
    assert time.process_time() - begin < 1
