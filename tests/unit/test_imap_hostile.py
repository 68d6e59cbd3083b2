"""Mail servers that mean harm or are broken cost an error, not memory, time or the worker."""

from __future__ import annotations

import io
import time
import tracemalloc
import zlib
from contextlib import suppress
from itertools import count
from types import SimpleNamespace

import pytest

from chalicelib import bounds
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.errors import ProviderError
from chalicelib.providers.imap.adapter import ImapProvider, connect
from chalicelib.providers.imap.protocol import session
from chalicelib.providers.imap.protocol.compress import Deflater, Inflater
from chalicelib.providers.imap.protocol.limited_stream import Inflow
from chalicelib.providers.imap.protocol.lines import Wire
from chalicelib.providers.imap.protocol.session import open_session
from chalicelib.providers.network import opening
from chalicelib.providers.network.egress import EgressPolicy
from tests.fakes.scripted_server import GREETING, Say, Script, scripted

HERE = EgressPolicy(local=True)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "TIMEOUT", 0.3)
    monkeypatch.setattr(opening, "GREETING_SECONDS", 0.2)
    monkeypatch.setattr(bounds, "OPENING_SECONDS", 1)


def settings(port: int) -> MailSettings:
    server = Server(host="127.0.0.1", port=port, username="u", password="p")
    return MailSettings(imap=server, smtp=server, tls_required=False)


def answered(reply: bytes) -> Wire:
    """Return a wire on which all that will ever come is there already."""
    return Wire(SimpleNamespace(file=io.BufferedReader(io.BytesIO(reply)), send=lambda data: None))


def compress(wired: Wire) -> None:
    """Have a first command answered, and from then on everything compressed."""
    wired.compress_soon()
    assert wired.run(b"NOOP").ok


@pytest.mark.parametrize("size", [b"160000001", b"99999999999999999999", b"9" * 5000])
def test_a_literal_of_absurd_size_is_refused_and_nothing_reserved(size: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(ProviderError, match="announced"):
        answered(b"* 1 FETCH (UID 1 BODY[] {" + size + b"}\r\nabc").run(b"NOOP")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("odd", [b"{-5}", b"{}", b"{1e9}", b"\0\0\0", b"\xff\xfe caf\xe9", b"", b"*", b"+ ?"])
def test_an_odd_line_is_passed_over(odd: bytes) -> None:
    reply = answered(b"* 1 FETCH " + odd + b"\r\n" + odd + b"\r\nP1 OK done\r\n").run(b"NOOP")
    assert reply.ok and reply.lines[0].text == b"* 1 FETCH " + odd


def test_a_later_command_may_be_answered_first() -> None:
    wired = answered(b"* LIST () NIL a\r\nP2 OK listed\r\n* 3 EXISTS\r\nP1 NO slow\r\nP9 OK x\r\nP3 BAD\r\n")
    first, second, third = wired.run_all([(b"NOOP",), (b'LIST "" "*"',), (b"X",)])
    assert (first.status, first.text, second.text, third.status) == ("NO", "slow", "listed", "BAD")
    assert [line.text for line in second.of(b"LIST")] == [b"* LIST () NIL a"]
    assert [line.text for line in third.lines] == [b"P9 OK x"]


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LINE_BYTES", 1_000)
    with pytest.raises(ProviderError, match="over 1000 octets"):
        answered(b"* " + b"x" * 5_000).run(b"NOOP")


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 100_000)
    with pytest.raises(ProviderError, match="does not end"):
        answered(b"* 1 EXISTS\r\n" * 100_000).run(b"NOOP")


def test_many_long_answers_one_after_the_other_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 200_000)
    replies = b"".join(b"* 1 EXISTS\r\n" * 6_000 + b"P%d OK done\r\n" % n for n in range(1, 30))
    assert len(answered(replies).run_all([(b"NOOP",)] * 29)) == 29


def test_an_answer_that_drips_is_given_up_in_time() -> None:
    hours = count(step=100)
    source = io.BufferedReader(io.BytesIO(b"* 1 EXISTS\r\n" * 100))
    reader = Inflow(source, now=lambda: float(next(hours)))
    with pytest.raises(TimeoutError):
        for _ in range(10):
            reader.readinto(bytearray(1))


@pytest.mark.parametrize(("rate", "seconds"), [(1, 60), (50_000, 120), (100_000, 300)])
def test_who_sends_much_may_take_longer_and_nobody_for_ever(rate: int, seconds: int) -> None:
    now = [0.0]
    reader = Inflow(io.BufferedReader(io.BytesIO(bytes(40_000_000))), now=lambda: now[0])
    with pytest.raises(TimeoutError):
        for _ in range(400):
            now[0] += 1
            for _ in range(max(1, rate // 50_000)):
                assert reader.readinto(bytearray(min(rate, 50_000)))
    assert seconds <= now[0] <= seconds + 2


def test_a_bomb_is_inflated_only_as_far_as_somebody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 1_000_000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(b"* 1 EXISTS\r\n" * 20_000_000) + packer.flush()
    wired = answered(b"P1 OK done\r\nP2 OK go\r\n" + bomb)
    compress(wired)
    tracemalloc.start()
    with pytest.raises(ProviderError, match="does not end"):
        wired.run(b"NOOP")
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()


def test_a_broken_compressed_stream_is_an_error_of_the_server() -> None:
    wired = answered(b"P1 OK done\r\nP2 OK go\r\n" + b"\xff" * 50)
    compress(wired)
    with pytest.raises(ProviderError, match="compressed stream"):
        wired.run(b"NOOP")


def test_a_refused_compression_leaves_the_connection_as_it_is() -> None:
    wired = answered(b"P1 OK done\r\nP2 NO [COMPRESSIONACTIVE] no\r\nP3 OK done\r\n")
    compress(wired)
    assert wired.run(b"NOOP").ok and not wired.compressed


@pytest.mark.parametrize("most", [1, 7, 4096])
def test_every_octet_comes_out_however_little_is_asked_for(most: int) -> None:
    said = [b"a" * 50_000, b"* 2 EXISTS\r\n", bytes(range(256)) * 40]
    packed: list[bytes] = []
    sender = Deflater(packed.append)
    for piece in said:
        sender.send(piece)
    stream = io.BytesIO(b"".join(packed))
    inflater = Inflater(lambda: stream.read(100))
    found = b""
    while data := inflater.inflate(most):
        assert len(data) <= most
        found += data
    assert found == b"".join(said)


def test_what_was_flushed_comes_out_without_waiting_for_more() -> None:
    packed: list[bytes] = []
    Deflater(packed.append).send(b"x" * 300)
    pieces = iter(packed)
    inflater, found = Inflater(lambda: next(pieces)), b""
    while len(found) < 300:  # a further read would raise StopIteration
        found += inflater.inflate(100)


def silent(command: bytes, say: Say) -> None:
    """Take everything and answer nothing."""


def other_tags(command: bytes, say: Say) -> None:
    say(b"TAG9 OK done\r\nX1 OK done\r\n")


def dripping(command: bytes, say: Say) -> None:
    with suppress(OSError):
        for _ in range(200):
            time.sleep(0.02)
            say(b"*")


def no_numbers(command: bytes, say: Say) -> None:
    if command.startswith(b"LIST"):
        say(b'* LIST () "/" INBOX\r\n* STATUS INBOX (MESSAGES NIL UIDNEXT (1) UIDVALIDITY -3 X)\r\n')
    say(b"TAG OK done\r\n")


@pytest.mark.parametrize("script", [silent, other_tags])
def test_an_answer_that_never_comes_is_an_error(script: Script) -> None:
    with scripted(script) as port:
        provider = connect(settings(port), HERE)
        with pytest.raises(ProviderError, match="timed out"):
            provider.collections()
        provider.close()


def test_a_server_that_drips_cannot_keep_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ANSWER_SECONDS", 0.2)
    with scripted(dripping) as port:
        provider = connect(settings(port), HERE)
        with pytest.raises(ProviderError, match="too long"):
            provider.collections()


def test_a_status_without_numbers_is_a_folder_that_counts_nothing() -> None:
    with scripted(no_numbers) as port:
        opened = open_session(settings(port), reach=HERE)
        opened.capabilities |= {"LIST-STATUS", "CONDSTORE"}
        assert [one.token for one in ImapProvider(opened).collections()] == [""]


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        b"* OK {99999999999999999999}\r\n",
        b"* CAPABILITY {5}\r\n",
        b"* BYE go away\r\n",
        b"\xff\xfe\0\0\r\n",
        b"* OK [CAPABILITY IMAP4rev1 \xff\xfe",
        b"* OK\r\n" * 100_000,
        b"x" * 2_000_000,
        b"220 smtp.example ESMTP\r\n",
    ],
)
def test_an_odd_greeting_is_an_error_of_the_server(greeting: bytes) -> None:
    with scripted(silent, greeting) as port, pytest.raises(ProviderError):
        connect(settings(port), HERE)


def test_a_greeting_in_eight_bits_is_understood() -> None:
    def script(command: bytes, say: Say) -> None:
        say(b"TAG OK done\r\n")

    with scripted(script, GREETING.replace(b"IMAP4rev1", b"IMAP4rev1 X-\xff\xe9")) as port:
        connect(settings(port), HERE).close()
