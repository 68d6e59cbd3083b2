"""What is shown of a mail: which parts, joined how, and how much of them."""

import orjson
import pytest
from selectolax.lexbor import LexborHTMLParser

from chalicelib import bounds
from chalicelib.formats.mime.mime import ParsedMail, parse
from chalicelib.formats.text import clipping, flowed, html
from chalicelib.formats.text.html import html_of_text, snippet_of_html


def part(kind: str, content: str, *headers: str) -> str:
    return "\r\n".join([f"Content-Type: {kind}", *headers, "", content])


def multipart(kind: str, *parts: str, boundary: str = "xx") -> str:
    divided = "".join(f"--{boundary}\r\n{one}\r\n" for one in parts)
    return f"Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n{divided}--{boundary}--\r\n"


def files(parsed: ParsedMail) -> list[str | None]:
    return [one.filename for one in parsed.parts if one.listed]


LETTER, FOOTER = part("text/plain", "Dear Ann"), part("text/html", "<p>footer</p>")
PLAIN, PAGE = part("text/plain", "the letter in short"), part("text/html", "<p>The Letter</p>")


def test_a_letter_and_the_html_footer_behind_it_are_both_shown() -> None:
    parsed = parse(multipart("mixed", LETTER, FOOTER).encode())
    assert parsed.body_html == "<p>Dear Ann</p>\n<p>footer</p>"
    assert parsed.snippet == "Dear Ann footer"


@pytest.mark.parametrize(
    ("mail", "shown"),
    [
        (multipart("mixed", PAGE, LETTER), "The Letter Dear Ann"),
        (multipart("mixed", LETTER, part("image/png", "x"), FOOTER), "Dear Ann footer"),
        (multipart("report", LETTER, part("message/delivery-status", "x"), FOOTER), "Dear Ann footer"),
        (
            multipart("mixed", multipart("alternative", PLAIN, PAGE, boundary="yy"), LETTER),
            "The Letter Dear Ann",
        ),
        (
            multipart("mixed", multipart("alternative", PLAIN, boundary="yy"), FOOTER),
            "the letter in short footer",
        ),
        (multipart("signed", multipart("mixed", LETTER, FOOTER, boundary="yy"), "x"), "Dear Ann footer x"),
        (
            multipart("alternative", PLAIN, multipart("mixed", PAGE, LETTER, boundary="yy")),
            "The Letter Dear Ann",
        ),
        (multipart("alternative", multipart("related", PAGE, boundary="yy"), PLAIN), "The Letter"),
        (multipart("alternative", PLAIN, part("text/html", " \r\n")), "the letter in short"),
        (multipart("alternative", PLAIN, part("text/calendar", "x")), "the letter in short"),
    ],
)
def test_html_hides_only_its_own_alternatives(mail: str, shown: str) -> None:
    assert parse(mail.encode()).snippet == shown


def test_a_letter_sent_twice_is_shown_once() -> None:
    words = "word " * 100
    twice = multipart("mixed", part("text/plain", words), part("text/html", f"<p>{words}</p>"))
    assert parse(twice.encode()).body_html.count("word") == 100
    other = multipart("mixed", part("text/plain", words + "end"), part("text/html", f"<p>{words}</p>"))
    assert "end" in parse(other.encode()).body_html


def test_a_named_text_is_the_body_where_the_body_stands() -> None:
    plain, page = part("text/plain; name=mail.txt", "short"), part("text/html; name=mail.html", "<p>long</p>")
    inline = 'Content-Disposition: inline; filename="note.txt"'
    note, pdf = part("text/plain", "note", inline), part("application/pdf; name=a.pdf", "x")
    for mail, shown, listed in (
        (multipart("alternative", plain, page), "long", []),
        (multipart("mixed", multipart("alternative", plain, page, boundary="yy"), pdf), "long", ["a.pdf"]),
        (multipart("mixed", note), "note", []),
        (multipart("mixed", plain, pdf), "short", ["a.pdf"]),
        (multipart("mixed", multipart("related", page, boundary="yy"), note), "long", ["note.txt"]),
        (multipart("mixed", LETTER, note, plain), "Dear Ann", ["note.txt", "mail.txt"]),
        (note, "note", []),
    ):
        parsed = parse(mail.encode())
        assert (parsed.snippet, files(parsed)) == (shown, listed)


def test_a_text_that_says_it_is_an_attachment_is_one() -> None:
    attached = part("text/plain", "x", "Content-Disposition: attachment; filename=a.txt")
    assert files(parse(multipart("mixed", attached).encode())) == ["a.txt"]
    assert files(parse(multipart("alternative", PLAIN, attached).encode())) == ["a.txt"]


@pytest.mark.parametrize(
    ("text", "plain", "delsp"),
    [
        ("one \ntwo\nthree", "one two\nthree", "onetwo\nthree"),
        ("https://a.example/ \nlong/path", "https://a.example/ long/path", "https://a.example/long/path"),
        ("> one \n> two\n>> three \nfour", "> one two\n>> three \nfour", "> onetwo\n>> three\nfour"),
        ("one \n-- \nAnn", "one \n-- \nAnn", "one\n-- \nAnn"),
        (" >not quoted \n  two", ">not quoted  two", ">not quoted two"),
        ("one \n\ntwo", "one \ntwo", "one\ntwo"),
        ("> one \n two", "> one \ntwo", "> one\ntwo"),
        ("end ", "end ", "end"),
        ("", "", ""),
    ],
)
def test_soft_line_breaks_are_joined_within_one_depth_of_quotes(text: str, plain: str, delsp: str) -> None:
    assert flowed.joined(text, delete_space=False) == plain
    assert flowed.joined(text, delete_space=True) == delsp


def test_a_flowed_mail_has_no_breaks_but_its_own_and_whole_links() -> None:
    head = 'Content-Type: text/plain; charset=utf-8; format="Flowed"; DelSp=Yes\r\n\r\n'
    parsed = parse((head + "see https://a.example/one \r\n/two  \r\nthere\r\nbye\r\n").encode())
    link = '<a href="https://a.example/one/two">https://a.example/one/two</a>'
    assert parsed.body_html == f"<p>see {link} there<br>\nbye</p>"
    fixed = parse(b"Content-Type: text/plain; format=fixed\r\n\r\none \r\ntwo")
    assert fixed.body_html == "<p>one <br>\ntwo</p>"


BLOWN_UP = [
    "\t",
    "\n ",
    "&",
    "\n",
    "\n\n",
    "<",
    "http://a& ",
    "\x01",
    "\u20ac",
    "\n\t",
    " \t",
    "\U0001f642",
    "x\t",
    '"',
]


@pytest.mark.parametrize("pattern", BLOWN_UP)
def test_a_body_has_a_bound_of_bytes_and_says_what_is_missing(pattern: str) -> None:
    raw = b"Content-Type: text/plain; charset=utf-8\n\n." + pattern.encode() * 1_500_000
    page = parse(raw).body_html
    assert len(page.encode()) <= bounds.BODY_BYTES + len(clipping.MARK)
    assert page.endswith(clipping.MARK)


def test_128_kilobytes_of_tabs_stay_small() -> None:
    assert len(parse(b"\n\n." + b"\t" * 128_000).body_html) < 1_100_000
    assert len(parse(b"\n\n.\n" + b"\t" * 128_000 + b"x").body_html) < 1_000
    assert html_of_text("\n" + " " * 500 + "x").count("&nbsp;") == bounds.INDENT_COLUMNS


@pytest.mark.parametrize(
    "end",
    [
        "<!-- ",
        "<style>a{}",
        "<script>",
        "<a href='",
        "<title>",
        "<TEXTAREA>",
        '<a href="x',
        "</di",
        "<!--><b",
    ],
)
def test_the_mark_is_not_inside_a_tag_comment_style_or_script(end: str) -> None:
    page = "<p>" + "x" * (bounds.BODY_BYTES - 60) + end + "y" * 100
    shown = clipping.clipped(page)
    assert shown.endswith("x" + clipping.MARK) or end == "<!--><b"
    assert shown.endswith(clipping.MARK)


def test_a_page_within_the_bound_is_left_as_it_is() -> None:
    page = "<p>" + "x" * (bounds.BODY_BYTES - 3)
    assert clipping.clipped(page) == page
    assert clipping.clipped(page + "y").endswith(clipping.MARK)


def test_a_body_takes_little_more_room_in_json_than_in_bytes() -> None:
    for pattern in (b"\x01", b"\x1f\x02", b"\x0b"):
        assert len(orjson.dumps(parse(b"\n\na" + pattern * 500_000).body_html)) < 2 * bounds.BODY_BYTES


@pytest.mark.parametrize(
    "tag", ["<ul><li>", "<div>", "<p>", "<a>", "<b><p>", "<table><tr><td>", "<!--", "<style>"]
)
def test_a_snippet_is_looked_for_in_a_bounded_piece_of_a_page(
    tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def parser(page: str) -> LexborHTMLParser:
        seen.append(len(page))
        return LexborHTMLParser(page)

    monkeypatch.setattr(html, "LexborHTMLParser", parser)
    snippet_of_html(tag * 100_000)
    assert len(seen) <= 6
    assert max(seen) <= 2 * bounds.SNIPPET_SOURCE_CHARACTERS


@pytest.mark.parametrize(
    "hidden",
    [
        "<style>" + "a{} " * 20_000 + "</style>",
        "<!-- " + "x " * 20_000 + "-->",
        "<script>" + "x<y;" * 20_000 + "</script>",
        '<img src="data:image/png;base64,' + "QUJD" * 20_000 + '">',
        "<!--[if mso]>" + "<xml></xml>" * 5_000 + "<![endif]-->",
        "<title>" + "t" * 50_000 + "</title>",
    ],
)
def test_a_snippet_is_found_behind_much_that_nobody_sees(hidden: str) -> None:
    assert snippet_of_html(hidden + "<p>Here</p>") == "Here"
