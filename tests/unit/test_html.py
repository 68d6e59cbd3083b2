"""What becomes of bodies on their way into the API."""

from chalicelib.formats.text.html import html_of_text, snippet_of_html, snippet_of_text


def test_a_snippet_has_no_title_script_or_style() -> None:
    page = "<title>T</title><style>p{}</style><script>x()</script><p>Hello &amp; <b>wel</b>come</p>"
    assert snippet_of_html(page) == "Hello & welcome"


def test_line_breaks_and_block_ends_become_blanks_in_a_snippet() -> None:
    assert snippet_of_html("a<br>b<br/>c<BR />d<div>e</div>f<p>g</p>h") == "a b c d e f g h"


def test_a_snippet_is_cut_at_191_characters() -> None:
    assert len(snippet_of_html("<p>" + "ä" * 500)) == 191
    assert snippet_of_text("x" * 190 + " y") == "x" * 190


def test_a_snippet_is_found_behind_a_huge_style_sheet() -> None:
    assert snippet_of_html("<style>" + "a{} " * 20_000 + "</style><p>Here</p>") == "Here"


def test_a_snippet_of_a_long_page_is_that_of_its_beginning_wherever_it_was_cut() -> None:
    row, end = "<table><tr><td>" + "word " * 60, "</td></tr></table>"
    for looked_at in (1_000, 3_000):
        for shown in range(len(end)):
            page = row.ljust(looked_at - shown) + end + "more " * 5_000
            assert snippet_of_html(page) == ("word " * 60)[:191].rstrip()


def test_characters_that_show_nothing_are_not_in_a_snippet() -> None:
    assert (
        snippet_of_html("<p>Sil\u00adben\u200b\ufeff und\u034f W\u00f6rter</p>") == "Silben und W\u00f6rter"
    )
    assert snippet_of_html("<p>I <3 it, 1 < 2</p>") == "I <3 it, 1 < 2"


def test_plain_text_becomes_paragraphs_with_links_and_indentation() -> None:
    text = "One <1>\r\n  two\r\n\r\nSee https://a.example/x?y=1&z=2."
    assert html_of_text(text) == (
        "<p>One &lt;1&gt;<br>\n&nbsp;&nbsp;two</p>\n"
        '<p>See <a href="https://a.example/x?y=1&amp;z=2">https://a.example/x?y=1&amp;z=2</a>.</p>'
    )


def test_a_single_line_is_one_paragraph() -> None:
    assert html_of_text("Hello") == "<p>Hello</p>"
    assert html_of_text("") == ""
