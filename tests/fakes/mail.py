"""The mail most tests deliver."""

from __future__ import annotations

LARGE = 200
"""Octets of a `mail` that answers no other are fewer, those of one that does are more."""


def mail(subject: str, number: int, references: str = "") -> bytes:
    refs = f"References: {references}\r\nIn-Reply-To: {references.split()[-1]}\r\n" if references else ""
    return (
        f"From: tide@harbour.example\r\nTo: mira@kestrel.example\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@harbour.example>\r\n{refs}Date: Thu, 15 Dec 2022 10:00:00 +0000\r\n"
        f"\r\nbody of {number}\r\n"
    ).encode()
