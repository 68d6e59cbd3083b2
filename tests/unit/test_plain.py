"""HTML as plain text, in time that grows with its length."""

from __future__ import annotations

import pytest

from chalicelib.formats.text.plain import text_of


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<head><title>x</title></head><style>p{}</style>a<br>b &amp; c", "a\nb & c"),
        ("<p>a < b && c</p>d", "a < b && c\nd"),
        ("a<!-- <b> --!>b<!-->c<!--->d", "abcd"),
        ("</ p>x<?xml ?>y<!DOCTYPE html>z</>", "xyz"),
        ("<p title=it's>text</p>", "text"),
        ("<a href='x>y' title=\"a>b\">in</a>", "in"),
        ("<SCRIPT>if(a<b)'</p>'</SCRIPT >after<script/>x", "afterx"),
        ("<template>a<template>b</template>c</template>d", "d"),
        ("<head><meta><body>hi", "hi"),
        ("<p\n class=x>many\n lines</p>", "many lines"),
        ("a&#99999999999999;b&#xFFFFFFFFFF;c&lt;d&nbsp;e", "a\ufffdb\ufffdc<d e"),
        ("a &#" + "9" * 5000 + "; b", "a \ufffd b"),
        ("seen<!-- never ends", "seen"),
        ("seen<a href='never ends", "seen"),
        ("seen<style>never ends", "seen"),
        ("1 <2 3<", "1 <2 3<"),
        ("", ""),
    ],
)
def test_text_is_what_a_reader_sees(html: str, text: str) -> None:
    assert text_of(html) == f"{text}\n"


@pytest.mark.parametrize(
    "piece",
    [
        "<!--", "<!-- --", "<a x='", '<a x="', "<a =", "<ul><li>", "<div>", "<b><p>", "<p ", "</", "<!",
        "<?", "<", "&", "&#9", "&#xf", '="', "<script>", "<script></scrip", "<style", "<title",
        "<![CDATA[", "--!", "<!-->", "\n\n\n x",
    ],
)  # fmt: skip
def test_two_megabytes_of_anything_come_to_an_end(piece: str) -> None:
    """What is quadratic would run for hours."""
    many = piece * (2_000_000 // len(piece))
    text_of(many)
    text_of(f'<a x="{many}>')
