"""A file name that a stranger has chosen reaches whoever saves the file as one harmless name."""

from __future__ import annotations

import re
from email.message import Message
from urllib.parse import unquote

import pytest
from chalice.test import Client
from hypothesis import given
from hypothesis import strategies as st

from app import app as APP
from chalicelib.wire.mail.disposition import attachment
from infra.gateway import gateway
from infra.gateway.answering import Answering
from tests.fakes.connections import proof
from tests.fakes.services import MemoryServices
from tests.worlds.api import Call
from tests.worlds.api import call as call  # a fixture
from tests.worlds.api import here as here  # a fixture

_GRAMMAR = re.compile(
    r"attachment; filename=(?:[A-Za-z0-9!#$&+.^_`|~-]+|\"[^\"\\%;\x00-\x1f\x7f-\U0010ffff]+\")"
    r"(?:; filename\*=UTF-8''(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+)?"
)


def saved_as(header: str) -> str:
    """Return the name that a browser uses: `filename*` before `filename`."""
    exact = re.search(r"filename\*=UTF-8''(\S+)$", header)
    return unquote(exact[1]) if exact else header.partition("filename=")[2].strip('"')


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("tides.csv", "attachment; filename=tides.csv"),
        ("a b.csv", 'attachment; filename="a b.csv"'),
        ("Gebühr.pdf", "attachment; filename=\"Gebuhr.pdf\"; filename*=UTF-8''Geb%C3%BChr.pdf"),
        ("潮汐.csv", "attachment; filename=\"__.csv\"; filename*=UTF-8''%E6%BD%AE%E6%B1%90.csv"),
        ('a"; filename=evil.exe; x="', None),
        ("50%; now", "attachment; filename=\"50__ now\"; filename*=UTF-8''50%25%3B%20now"),
        ("", "attachment; filename=attachment"),
        ("\u202e\u2066", "attachment; filename=attachment"),
    ],
)  # fmt: skip
def test_a_name_is_said_as_the_rfc_has_it(name: str, header: str | None) -> None:
    assert header in (None, attachment(name))


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\..\\autorun.inf", "_.._autorun.inf"),
        ("C:\\boot.ini", "C__boot.ini"),
        ("/etc/shadow", "_etc_shadow"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u2066b\u2069\u200f\u200e.txt", "ab.txt"),
        ("a\r\nSet-Cookie: x=1.txt", "aSet-Cookie_ x=1.txt"),
        ("nul\x00.txt\x7f", "nul.txt"),
        ("line\u2028end\u2029.txt", "lineend.txt"),
        ("next\x85line.txt", "nextline.txt"),
        (".htaccess", "htaccess"),
        ("trailing. . ", "trailing"),
        ("zero\u200bwidth\ufeff.pdf", "zerowidth.pdf"),
        ("lone\ud800.txt", "lone.txt"),
    ],
)
def test_what_could_do_harm_is_taken_out(name: str, saved: str) -> None:
    assert saved_as(attachment(name)) == saved


def test_quotes_do_not_begin_another_parameter() -> None:
    header = attachment('a"; filename=evil.exe; x="')
    message = Message()
    message["Content-Disposition"] = header
    assert message.get_filename() == "a__ filename_evil.exe_ x__"
    assert header.count("filename=") == 1 and saved_as(header) == 'a"; filename=evil.exe; x="'


@given(st.one_of(st.text(max_size=40), st.text(alphabet='a".;/\\=%\r\n\u202e é', max_size=20)))
def test_any_name_makes_a_header_of_the_grammar_without_a_path(name: str) -> None:
    header = attachment(name)
    assert header.isascii() and _GRAMMAR.fullmatch(header), header
    assert not set("/\\:\r\n\0\u202e") & set(saved_as(header)) and not saved_as(header).startswith(".")


@pytest.mark.parametrize(
    "path",
    [
        "/account", "/messages", "/messages/{id}", "/threads", "/files/{file}/download", "/delta?cursor=0",
        "/delta/streaming?cursor=0", "/messages?limit=x", "/messages/zzz", "/account?x=1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("auth", ["Bearer token", "Bearer nobody"])
def test_no_answer_is_kept_by_a_cache_or_taken_for_another_type(
    call: Call, here: MemoryServices, path: str, auth: str
) -> None:
    [id, *_] = call("GET", "/messages?view=ids")[1]
    [file] = call("GET", f"/files?message_id={id}&view=ids")[1]
    with Client(APP) as client:
        answer = client.http.get(path.format(id=id, file=file), headers={"Authorization": auth})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_token_is_not_kept_by_a_cache(call: Call, here: MemoryServices) -> None:
    code = here.codes.issue(proof())
    body = f'{{"client_id": "app", "client_secret": "secret", "code": "{code}"}}'.encode()
    with Client(APP) as client:
        answer = client.http.post("/connect/token", body=body)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/messages", "GET, HEAD"),
        ("POST", "/messages/x", "GET, HEAD, PATCH, PUT"),
        ("GET", "/send", "POST"),
        ("PUT", "/a/app/webhooks", "GET, HEAD, POST"),
        ("OPTIONS", "/a/app", "GET, HEAD, POST, PUT"),
        ("TRACE", "/connect/token", "POST"),
        ("OPTIONS", "/labels", "GET, HEAD"),
        ("OPTIONS", "/labels/x", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(
    method: str, path: str, allowed: str
) -> None:
    request = gateway.Request(method=method, path=path, query="", headers=[], body=b"")
    answer = Answering(APP).respond(request)
    assert answer.status == 405 and dict(answer.headers)["allow"] == allowed
    assert dict(answer.headers)["Cache-Control"] == "no-store"
