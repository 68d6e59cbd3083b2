"""Mails made to take a parser's time and memory, of any size.

`python -m tests.corpus.hostile [MEGABYTES] [NAME …]` parses each of them in a process of its own and prints
its seconds and its peak memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable

from chalicelib import bounds

Mail = Callable[[int], bytes]

HEAD = b"From: a@x.example\nTo: b@x.example\nSubject: hostile\n"


def filled(pattern: bytes, size: int) -> bytes:
    return (pattern * (size // len(pattern) + 1))[:size]


def header(name: bytes, pattern: bytes) -> Mail:
    """One header, as long as a head may be, before a text."""

    def mail(size: int) -> bytes:
        long = min(size, bounds.HEAD_BYTES - 1_000)
        return HEAD + name + b": " + filled(pattern, long) + b"\n\n" + filled(b"word ", size - long)

    return mail


def headers(pattern: bytes, every: int = 15_000) -> Mail:
    """Many headers, each of a length that is read as a whole."""
    return lambda size: HEAD + filled(filled(pattern, every).rstrip(b"\n") + b"\n", size) + b"\n\nhello\n"


def body(head: bytes, pattern: bytes, end: bytes = b"") -> Mail:
    return lambda size: HEAD + head + b"\n\n" + filled(pattern, size) + end


def numbered(pattern: bytes, head: bytes = b"", end: bytes = b"\n\nx") -> Mail:
    """Ten thousand pieces that all differ, again and again."""
    return lambda size: HEAD + head + filled(b"".join(pattern % n for n in range(10_000)), size) + end


def nested(kind: str, inner: bytes = b"") -> Mail:
    """Multiparts in multiparts, until the mail is that long."""

    def mail(size: int) -> bytes:
        part = f"Content-Type: multipart/{kind}; boundary=b%d\n\n--b%d\n"
        return b"".join((part % (n, n)).encode() for n in range(size // 50)) + inner

    return mail


def around(kind: str, depth: int, pattern: bytes) -> Mail:
    """A large part within as many multiparts as are read."""
    opening = "".join(f"Content-Type: multipart/{kind}; boundary=b{n}\n\n--b{n}\n" for n in range(depth))
    return lambda size: HEAD + opening.encode() + b"\n" + filled(pattern, size)


def parts(pattern: bytes, kind: bytes = b"mixed") -> Mail:
    return lambda size: (
        HEAD + b"Content-Type: multipart/" + kind + b"; boundary=ab\n\n" + filled(b"--ab\n" + pattern, size)
    )


HTML = b"Content-Type: text/html"
BASE64, QP, UU = (
    b"Content-Transfer-Encoding: " + name for name in (b"base64", b"quoted-printable", b"uuencode")
)
FILE = b"Content-Type: application/x\n"

MAILS: dict[str, Mail] = {
    "headers: short": headers(b"a:\n"),
    "headers: all different": numbered(b"h%d: x\n"),
    "headers: folded": header(b"X", b"\n a"),
    "headers: junk lines": headers(b"junk\n"),
    "headers: junk between": headers(b"junk\njunk\nX-A: b\n"),
    "head: blanks before it": lambda size: filled(b" \n", size) + HEAD + b"\nx",
    "head: no line end": lambda size: filled(b"a", size),
    "head: bare carriage returns": lambda size: filled(b"a: b\r", size),
    **{
        f"{field.decode()}: {pattern!r}"[:60]: header(field, pattern)
        for field in (
            b"To",
            b"Subject",
            b"Content-Type",
            b"Content-Disposition",
            b"Message-ID",
            b"References",
        )
        for pattern in (
            b'"',
            b'"\\',
            b'\\"',
            b"(",
            b"(a",
            b"()",
            b"\\(",
            b"<",
            b'<"',
            b"<a,",
            b"<a@b",
            b"a@b:",
            b":",
            b";",
            b"a@b ",
            b"a@",
            b"@",
            b"@a,",
            b"@ ",
            b" ",
            b"a\n ",
            b"a@b\n c",
            b"=?",
            b"=?a?q?",
            b"=?a?q?b?= ",
            b"=?utf-8?b?w6Q?=",
            b"=?x%d?q?=E4?=",
            b"a",
            b"\xe4",
            b"\x1b$B",
            b"a=b;",
            b"a*0=b;",
            b"a*0*=%ff;",
            b" a a",
            b"; ",
            b'a="',
            b"x/y a",
            b"*",
            b"[",
            b"a@[",
            b"\0",
        )
    },
    "To: many headers": headers(b'To: "\\"\\"\\"\\"\\"'),
    "To: many encoded headers": headers(b"To: =?a?q? =?a?q?"),
    "To: 25 MB of people": header(b"To", b"Someone <a@b.example>, "),
    "To: groups": header(b"To", b"a:b@c;"),
    "parts: small": parts(b"\nx\n"),
    "parts: with heads": parts(b"Content-Type: text/html; name=a\n" + b"X-A: b\n" * 50 + b"\nx\n"),
    "parts: alternatives": parts(b"Content-Type: text/html\n\n \n", b"alternative"),
    "parts: nested pages": parts(HTML + b"\n\n" + b"<ul><li>" * 5_000 + b"\n"),
    "parts: attributes": parts(HTML + b"\n\n<p " + b"".join(b"a%d " % n for n in range(5_000)) + b"\n"),
    "parts: letters sent twice": parts(b"\nab\n--ab\n" + HTML + b"\n\nab" + b"<ul><li>" * 5_000 + b"\n"),
    "parts: base64": parts(FILE + BASE64 + b"\n\n" + b"QUJD" * 3_000 + b"\n"),
    "parts: heads without end": parts(b"Content-Type: text/plain; a\n" * 400),
    "delimiters: one line": body(b"Content-Type: multipart/mixed; boundary=a", b"--ab"),
    "delimiters: false": body(b"Content-Type: multipart/mixed; boundary=a", b"--ab\n"),
    "delimiters: blanks": body(b"Content-Type: multipart/mixed; boundary=a", b"--a" + b" " * 500 + b"x\n"),
    "delimiters: none": body(b"Content-Type: multipart/mixed; boundary=a", b"\n--"),
    "delimiters: almost": body(b"Content-Type: multipart/mixed; boundary=" + b"a" * 60, b"\n--" + b"a" * 59),
    "delimiters: undeclared": body(b"Content-Type: multipart/mixed", b"--" + b"a" * 300 + b"\n"),
    "nested: mixed": nested("mixed"),
    "nested: alternative": nested("alternative", b"\nx"),
    "nested: around a large part": around("mixed", 64, b"line of text\n"),
    "nested: around delimiters": around("mixed", 64, b"--b\n"),
    "nested: around line ends": around("related", 64, b"\n"),
    **{
        f"text: {pattern[:12]!r}": body(b"Content-Type: text/plain", pattern)
        for pattern in (
            *(
                b"\t",
                b"\n ",
                b"\n",
                b" ",
                b"\n\n",
                b"&",
                b"<",
                b">",
                b"\x01",
                b"\xff",
                b"\xe2\x82\xac",
                b"\x1b$B",
            ),
            *(
                b"http://a&",
                b"http://",
                b"a\t",
                b"\n\t",
                b"\r\n",
                b"\n   \n",
                b"\xf0\x9f\x99\x82",
                b"://",
                b"word ",
            ),
        )
    },
    "text: flowed": body(b"Content-Type: text/plain; format=flowed; delsp=yes", b">> a \n"),
    "text: flowed without end": body(b"Content-Type: text/plain; format=flowed", b" \n"),
    **{
        f"charset: {name.decode()} {pattern[:6]!r}": body(
            b'Content-Type: text/plain; charset="%s"' % name, pattern
        )
        for name in (b"punycode!", b"!idna", b"rot13", b"utf-7", b"hz", b"iso-2022-kr", b"iso-2022-jp")
        for pattern in (b"a-b", b"\x1b$B-!", b"+AGE", b"~{1!", b"\xff", b"\x1b")
    },
    **{
        f"html: {pattern[:20]!r}": body(HTML, pattern)
        for pattern in (
            *(
                b"<ul><li>",
                b"<div>",
                b"<p>",
                b"<b>",
                b"<table><tr><td>",
                b"<a>",
                b"<!--",
                b"<!-- -->",
                b"<style>",
            ),
            *(
                b"<style",
                b"<script>",
                b"<title>",
                b"<template>",
                b"<svg>",
                b"<select>",
                b"<!DOCTYPE",
                b"</",
                b"<",
            ),
            *(
                b"&amp;",
                b"&",
                b"&#x10ffff;",
                b"<a href='",
                b'<a href="',
                b"<p a=b ",
                b"<body ",
                b"<br>",
                b"&nbsp;",
            ),
            *(
                b"<form>",
                b"<frameset>",
                b"<math><mi>",
                b"<b><p>",
                b"<font><div>",
                b"<plaintext>",
                b"\x01",
                b'"',
            ),
        )
    },
    "html: attributes": numbered(b"a%d ", HTML + b"\n\n<p ", b">x"),
    "html: deep behind a style": body(HTML, b"<ul><li>", b"<style>" + b"a{} " * 100_000 + b"</style>x"),
    **{
        f"file: {name} {pattern[:8]!r}": body(FILE + encoding, pattern)
        for name, encoding in (("base64", BASE64), ("quoted-printable", QP), ("uu", UU))
        for pattern in (
            b"a!",
            b"abc!",
            b"=",
            b"a=",
            b"\n",
            b"!a\n",
            b"M" + b"a" * 60 + b"\n",
            b"=\n",
            b"= ",
            b"\t\n",
            b"begin ",
        )
    },
    **{
        f"body: {name} {pattern[:8]!r}": body(encoding, pattern)
        for name, encoding in (("base64", BASE64), ("quoted-printable", QP), ("uu", UU))
        for pattern in (b"a!", b"=", b"=3D", b"\n", b"CQkJ", b"M" + b"a" * 60 + b"\n")
    },
}


def _measure(name: str, size: int) -> None:
    from chalicelib.formats.mime.mime import parse

    raw = MAILS[name](size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    parsed = parse(raw)
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size_now = f"{peak / 1024:6.0f} MB (made in {before / 1024:4.0f})"
    print(f"{seconds:7.2f} s {size_now} body {len(parsed.body_html):8}  {name}")


def main() -> None:
    """Measure all mails, or those named, one process each."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        _measure(arguments[1], int(arguments[2]))
        return
    size = int(float(arguments[0]) * 1_000_000) if arguments else 25_000_000
    for name in arguments[1:] or MAILS:
        command = [sys.executable, "-m", "tests.corpus.hostile", "--one", name, str(size)]
        try:
            subprocess.run(command, check=False, timeout=60)
        except subprocess.TimeoutExpired:
            print(f"more than 60 s  {name}", flush=True)


if __name__ == "__main__":
    main()
