# ruff: noqa: E501, RUF001 - tables of cases
"""No address of our own network is ever connected to, whoever names it and however it is written.

Python reports every `connect` to an audit hook before it is made; here each is written down and
then refused, so what a case was about to call is known for all addresses. Listeners on the loopback
stand beside it, as the plainest proof.
"""

from __future__ import annotations

import gzip
import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from chalicelib.config import Settings
from chalicelib.domain.accounts.mail_settings import MailSettings, Server
from chalicelib.errors import ProviderError, Refused, SendFailed
from chalicelib.providers.imap.protocol.session import open_session
from chalicelib.providers.network import client as http
from chalicelib.providers.network.client import retry_after
from chalicelib.providers.network.egress import MAIL_PORTS, EgressPolicy
from chalicelib.providers.network.tls import mail_context
from chalicelib.providers.smtp import SmtpTransport
from chalicelib.services import Services

PUBLIC_V4, PUBLIC_V6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


class Wire:
    """What this process tries to connect to."""

    def __init__(self) -> None:
        self.watching: int | None = None
        self.tried: list[tuple[Any, ...]] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def watched(self) -> Iterator[list[tuple[Any, ...]]]:
        """Write down and refuse every connection this thread begins."""
        self.tried = []
        self.watching = threading.get_ident()
        try:
            yield self.tried
        finally:
            self.watching = None

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and self.watching == threading.get_ident():
            self.tried.append(arguments[1])
            raise ConnectionRefusedError("watched")


WIRE = Wire()


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[int, list[Any]]]:
    """A port that is open on every loopback address, and who has connected to it."""
    accepted: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as four:
        port = four.getsockname()[1]
        sockets = [four]
        if socket.has_ipv6:
            with pytest.MonkeyPatch.context(), _optional():
                sockets.append(socket.create_server(("::1", port), family=socket.AF_INET6))
        for one in sockets:
            threading.Thread(target=_accept, args=(one, accepted), daemon=True).start()
        yield port, accepted


@contextmanager
def _optional() -> Iterator[None]:
    try:
        yield
    except OSError:
        return  # a machine without IPv6


def _accept(server: socket.socket, accepted: list[Any]) -> None:
    while True:
        try:
            connection, peer = server.accept()
        except OSError:
            return
        accepted.append(peer)
        connection.close()


def answering(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


INTERNAL = """
0.0.0.0 0.1.2.3 10.0.0.0 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.254 127.0.0.1 127.0.0.2
127.255.255.254 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.254 192.0.0.1 192.0.0.170 192.0.0.192
192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.254 192.175.48.1 198.18.0.1 198.19.255.254
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::a00:1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:7f00:1 ::ffff:0:10.0.0.1
64:ff9b::10.0.0.1 64:ff9b::127.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 64:ff9b:1::a9fe:a9fe 100::1 100:0:0:1::1
2001::1 2001:0:a9fe:a9fe::1 2001:0:5ef5:79fd:0:59d:a0e5:ba1 2001:2::1 2001:4:112::1 2001:10::1 2001:20::1 2001:db8::1
2002:7f00:1::1 2002:a00:1::1 2002:a9fe:a9fe::1 2002:5db8:d70e::1 2620:4f:8000::1 3fff::1 5f00::1
fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%eth0 fe80::a9fe:a9fe fec0::1 ff02::1 ff0e::1
2a01:4f8::5efe:10.0.0.1 2a01:4f8::200:5efe:192.168.0.1 4000::1 8000::1 e000::1 1::1
""".split()

ODD_HOSTS = """
2130706433 017700000001 0x7f000001 0x7F.0.0.1 127.1 127.0.1 0177.0.0.1 0177.0.0.01 127.0.0.01 0x7f.1 0 0x0 00 1 4294967295
127.0.0.1. 127.0.0.1.. 127.0.0.256 1.2.3 1.2.3.4.5 0x 3232235777 0xa9fea9fe 169.254.43518 169.16689662 2852039166
025177524776 127.0.0.0x1 08.8.8.8 8.8.8.8x.0x8 1.1 0300.0250.1
[::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::] [0:0:0:0:0:0:0:1] [::127.0.0.1] [fe80::1%25eth0] [fe80::1%eth0]
[64:ff9b::7f00:1] [2002:7f00:1::] [fd00:ec2::254] localhost LOCALHOST localhost. LocalHost
a..b -a.example a-.example .a.example a_b!.example *.example a,b.example
""".split()

ODD_URLS = [
    "https://user@desk.example/", "https://user:pw@desk.example/", "https://@desk.example/",
    "https://desk.example@127.0.0.1/", "https://127.0.0.1@desk.example/", "https://:@desk.example/",
    "https://desk.example:0/", "https://desk.example:22/", "https://desk.example:25/", "https://desk.example:993/",
    "https://desk.example:1023/", "https://desk.example:65536/", "https://desk.example:-1/",
    "https://desk.example:x/", "https://desk.example:８０８０/", "https://dеsk.example/", "https://desk。example/",
    "https://127。0。0。1/", "https://①②⑦.⓪.⓪.①/", "https://desk.example\\@127.0.0.1/",
    "https://desk.example\t/", "https://desk.example/\r\nHost: other", "https://desk.exa\nmple/", " https://desk.example/",
    "https://desk.example/\x00", "https://desk.example/ a", "http://desk.example/", "ftp://desk.example/",
    "file:///etc/passwd", "gopher://desk.example/", "https:desk.example", "https:///desk.example", "//desk.example/",
    "desk.example", "", "https://", "https://[::1", "https://[desk.example]/", "https://desk.example/" + "a" * 2000,
    "javascript:alert(1)", "unix:///run/x.sock", "dict://127.0.0.1:11211/", "HTTPS//desk.example/",
]  # fmt: skip


@pytest.mark.parametrize("address", INTERNAL)
def test_a_name_that_leads_inside_is_not_called(address: str) -> None:
    with WIRE.watched() as tried, pytest.raises(Refused):
        http.Client(reach=EgressPolicy(resolve=answering(address))).get("https://desk.example/")
    assert tried == []


@pytest.mark.parametrize("address", INTERNAL)
def test_neither_for_mail(address: str) -> None:
    with WIRE.watched() as tried, pytest.raises(Refused):
        EgressPolicy(resolve=answering(address)).connect("mail.example", 993, MAIL_PORTS, 5)
    assert tried == []


@pytest.mark.parametrize("host", ODD_HOSTS)
def test_no_way_of_writing_an_address_leads_inside(host: str, listener: tuple[int, list[Any]]) -> None:
    port, accepted = listener
    with WIRE.watched() as tried, pytest.raises(Refused):
        http.Client().post(f"https://{host}:{port}/", b"{}", {})
    with WIRE.watched() as tried_for_mail, pytest.raises(ProviderError):
        EgressPolicy().connect(host, port, MAIL_PORTS, 5)
    assert (tried, tried_for_mail, accepted) == ([], [], [])


@pytest.mark.parametrize("url", ODD_URLS)
def test_no_odd_url_is_called(url: str) -> None:
    with WIRE.watched() as tried, pytest.raises(Refused):
        http.Client(reach=EgressPolicy(resolve=answering(PUBLIC_V4))).get(url)
    assert tried == []


@pytest.mark.parametrize(
    "answers",
    [
        (PUBLIC_V4, "10.0.0.1"), ("10.0.0.1", PUBLIC_V4), (PUBLIC_V6, "127.0.0.1"), ("::1", PUBLIC_V6),
        (PUBLIC_V4, PUBLIC_V6, "169.254.169.254"), (PUBLIC_V4, "::ffff:10.0.0.1"), (PUBLIC_V6, "fd00:ec2::254"),
        (PUBLIC_V4, "0.0.0.0"), ("64:ff9b::5db8:d70e", "64:ff9b::a00:1"),
    ],
)  # fmt: skip
def test_a_name_with_one_internal_address_among_others_is_not_called(answers: tuple[str, ...]) -> None:
    with WIRE.watched() as tried, pytest.raises(Refused):
        http.Client(reach=EgressPolicy(resolve=answering(*answers))).get("https://desk.example/")
    assert tried == []


@pytest.mark.parametrize(
    "address", [PUBLIC_V4, PUBLIC_V6, "64:ff9b::5db8:d70e", "::ffff:93.184.215.14", "1.1.1.1"]
)
def test_a_public_address_is_called_at_exactly_that_address(address: str) -> None:
    with WIRE.watched() as tried, pytest.raises(ProviderError) as caught:
        http.Client(reach=EgressPolicy(resolve=answering(address))).get("https://desk.example/")
    assert [where[:2] for where in tried] == [(address, 443)]
    assert not isinstance(caught.value, Refused)


def test_the_name_is_looked_up_once_so_a_second_answer_does_not_count() -> None:
    answers = iter([[PUBLIC_V4], ["127.0.0.1"], ["127.0.0.1"]])
    client = http.Client(reach=EgressPolicy(resolve=lambda host, port: next(answers)))
    with WIRE.watched() as tried, pytest.raises(ProviderError):
        client.get("https://desk.example/")
    assert [where[0] for where in tried] == [PUBLIC_V4]
    with WIRE.watched() as tried, pytest.raises(Refused):  # a later call looks up anew, and is refused
        client.get("https://desk.example/")
    assert tried == []


def test_every_address_is_tried_until_one_answers() -> None:
    client = http.Client(reach=EgressPolicy(resolve=answering(PUBLIC_V6, PUBLIC_V4)))
    with WIRE.watched() as tried, pytest.raises(ProviderError):
        client.get("https://desk.example/")
    assert [where[0] for where in tried] == [PUBLIC_V6, PUBLIC_V4]


OURS = tuple(map(ipaddress.ip_network, ("10.1.0.0/16", "192.168.7.9/32", "fd00:1::/32", "0.0.0.0/8")))


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.7.9", "fd00:1::5", "::ffff:10.1.2.3", PUBLIC_V4])
def test_mail_servers_may_lie_in_the_operators_networks(address: str) -> None:
    reach = EgressPolicy(resolve=answering(address), networks=OURS)
    with WIRE.watched() as tried, pytest.raises(ProviderError) as caught:
        reach.connect("mail.example", 993, MAIL_PORTS, 5)
    assert [where[0] for where in tried] == [address] and not isinstance(caught.value, Refused)


@pytest.mark.parametrize(
    "answers",
    [
        ("10.2.0.1",),
        ("192.168.7.8",),
        ("fd00:2::5",),
        ("127.0.0.1",),
        ("10.1.2.3", "10.2.0.1"),
        ("::ffff:10.2.0.1",),
    ],
)
def test_nor_do_they_lie_anywhere_else_inside(answers: tuple[str, ...]) -> None:
    reach = EgressPolicy(resolve=answering(*answers), networks=OURS)
    with WIRE.watched() as tried, pytest.raises(Refused):
        reach.connect("mail.example", 993, MAIL_PORTS, 5)
    assert tried == []


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254"])
def test_the_metadata_of_a_cloud_is_in_nobodys_network(address: str) -> None:
    everything = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")))
    with WIRE.watched() as tried, pytest.raises(Refused):
        EgressPolicy(resolve=answering(address), networks=everything).connect("m.example", 993, MAIL_PORTS, 5)
    assert tried == []


@pytest.mark.parametrize("port", [22, 80, 443, 1023])
def test_in_the_operators_networks_mail_goes_to_mail_ports_too(port: int) -> None:
    with WIRE.watched() as tried, pytest.raises(Refused):
        EgressPolicy(resolve=answering("10.1.2.3"), networks=OURS).connect("m.example", port, MAIL_PORTS, 5)
    assert tried == []


def test_webhooks_do_not_go_to_networks_for_mail() -> None:
    client = http.Client(reach=EgressPolicy(resolve=answering("10.1.2.3"), networks=OURS))
    with WIRE.watched() as tried, pytest.raises(Refused):
        client.get("https://desk.example/")
    assert tried == []


def test_the_operators_networks_and_authorities_are_settings() -> None:
    env = {f"POSTERN_{name}": "x" for name in ("TABLE_PREFIX", "BUCKET", "KEY_ID", "PEPPER")}
    assert Settings.from_env(env).mail_networks == ()
    env |= {"POSTERN_MAIL_NETWORKS": "fd00:1::/32, 10.1.0.0/16,", "POSTERN_MAIL_CA_FILE": "/etc/own.pem"}
    reach = Services(Settings.from_env(env)).reach
    assert set(map(str, reach.networks)) == {"10.1.0.0/16", "fd00:1::/32"} and reach.ca_file == "/etc/own.pem"
    for wrong in ("10.1.0.1/16", "mail.example", "10.1.0.0/33", "10/8"):
        with pytest.raises(ValueError, match="POSTERN_MAIL_NETWORKS"):
            Settings.from_env({**env, "POSTERN_MAIL_NETWORKS": wrong})


@pytest.mark.parametrize("port", [22, 23, 53, 80, 111, 443, 445, 1023])
def test_mail_goes_to_mail_ports_only_below_1024(port: int) -> None:
    with WIRE.watched() as tried, pytest.raises(Refused):
        EgressPolicy(resolve=answering(PUBLIC_V4)).connect("mail.example", port, MAIL_PORTS, 5)
    assert tried == []


@pytest.mark.parametrize("port", [25, 143, 465, 587, 993, 1143, 2525, 65535])
def test_mail_ports_and_free_ports_are_called(port: int) -> None:
    with WIRE.watched() as tried, pytest.raises(ProviderError) as caught:
        EgressPolicy(resolve=answering(PUBLIC_V4)).connect("mail.example", port, MAIL_PORTS, 5)
    assert tried == [(PUBLIC_V4, port)] and caught.value.details == {"step": "tcp"}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "2130706433", "[::1]", "::1", "fd00:ec2::254"],
)
def test_neither_imap_nor_smtp_logs_in_inside(host: str, listener: tuple[int, list[Any]]) -> None:
    port, accepted = listener
    server = Server(host=host, port=port, username="me", password="secret")
    settings = MailSettings(imap=server, smtp=server, tls_required=False)
    with WIRE.watched() as tried:
        with pytest.raises(ProviderError):
            open_session(settings)
        with pytest.raises(SendFailed):
            SmtpTransport(settings).verify()
    # An event loop connects a socket pair of its own to itself: no host is called.
    assert [where for where in tried if isinstance(where, tuple) and where[1] == port] == []
    assert accepted == []


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "192.168.1.1", "fd00::1", "0.0.0.0", "::"]
)
def test_the_local_runtime_adds_the_loopback_and_nothing_else(address: str) -> None:
    for answers in ([address], ["127.0.0.1", address]):
        with WIRE.watched() as tried, pytest.raises(Refused):
            http.Client(reach=EgressPolicy(local=True, resolve=answering(*answers))).get(
                "http://desk.example/"
            )
        assert tried == []


class Site(BaseHTTPRequestHandler):
    """A server on the loopback that answers as its path says."""

    def do_GET(self) -> None:
        kind, _, value = self.path.strip("/").partition("/")
        getattr(self, f"_{kind}")(value)

    do_POST = do_GET

    def _moved(self, value: str) -> None:
        status, _, port = value.partition("/")
        self.send_response(int(status))
        self.send_header("Location", f"http://127.0.0.1:{port}/secret")
        self.end_headers()

    def _big(self, value: str) -> None:
        self._say(b"x" * 1_000_000)

    def _bomb(self, value: str) -> None:
        self._say(gzip.compress(b"x" * 10_000_000), ("Content-Encoding", "gzip"))

    def _later(self, value: str) -> None:
        self._say(b"", ("Retry-After", value))

    def _drip(self, value: str) -> None:
        """Never ends, and never lets a single read wait long."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" if value == "head" else b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                self.wfile.write(b"X: y\r\n")
                threading.Event().wait(0.02)
        except OSError:
            self.server.cut_off.release()  # type: ignore[attr-defined]

    def _say(self, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(200)
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.cut_off = threading.Semaphore(0)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def url(site: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{site.server_port}/{path}"


HERE = http.Client(reach=EgressPolicy(local=True), timeout=5)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_no_redirect_is_followed(
    status: int, site: ThreadingHTTPServer, listener: tuple[int, list[Any]]
) -> None:
    port, accepted = listener
    assert HERE.get(url(site, f"moved/{status}/{port}")).status == status
    assert HERE.post(url(site, f"moved/{status}/{port}"), b"{}", {}).status == status
    assert accepted == []


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
)
def test_no_proxy_of_the_environment_is_asked(
    name: str, site: ThreadingHTTPServer, listener: tuple[int, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, accepted = listener
    monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    assert HERE.get(url(site, "big")).status == 200
    with WIRE.watched() as tried, pytest.raises(ProviderError):
        http.Client(reach=EgressPolicy(resolve=answering(PUBLIC_V4))).get("https://desk.example/")
    assert [where[0] for where in tried] == [PUBLIC_V4] and accepted == []


@pytest.mark.parametrize(("path", "most"), [("big", 65536), ("bomb", 65536)])
def test_at_most_64_kb_are_read_and_nothing_is_unpacked(
    path: str, most: int, site: ThreadingHTTPServer
) -> None:
    body = HERE.get(url(site, path)).body
    assert len(body) <= most and (path != "big" or len(body) == most)
    assert path != "bomb" or body.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_drips_is_cut_off(part: str, site: ThreadingHTTPServer) -> None:
    with pytest.raises(ProviderError):
        http.Client(reach=EgressPolicy(local=True), timeout=0.3).get(url(site, f"drip/{part}"))
    assert site.cut_off.acquire(timeout=20)  # type: ignore[attr-defined]  # the server was hung up on


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.providers.network.egress._RESOLVE_SECONDS", 0.05)
    released = threading.Event()

    def hangs(host: str, port: int) -> list[str]:
        released.wait(20)
        return [PUBLIC_V4]

    with WIRE.watched() as tried, pytest.raises(ProviderError) as caught:
        http.Client(reach=EgressPolicy(resolve=hangs)).get("https://desk.example/")
    released.set()
    assert tried == [] and caught.value.details == {"step": "dns"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), (" 7 ", 7), ("Tue, 14 Nov 2023 22:14:20 GMT", 60), ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
     ("-5", None), ("soon", None), ("", None), (None, None), ("1e9", None), ("9" * 50, 999_999_999), ("٣", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: int | None) -> None:
    assert retry_after(value, 1_700_000_000) == seconds


def test_an_answer_says_when_to_come_again(site: ThreadingHTTPServer) -> None:
    assert HERE.get(url(site, "later/30")).retry_after == 30


def test_tls_verifies_the_name_that_was_asked_for_at_the_pinned_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("desk.example").configure_cert(context)
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        client = http.Client(reach=EgressPolicy(local=True, resolve=answering("127.0.0.1")), timeout=5)
        assert client.get(f"https://desk.example:{server.server_port}/later/1").status == 200
        assert client.get(f"https://DESK.example.:{server.server_port}/later/1").status == 200
        assert mail_context(True).check_hostname, (
            "urllib3 has not touched what mail servers are verified with"
        )
        with pytest.raises(ProviderError):
            client.get(f"https://other.example:{server.server_port}/later/1")
        server.shutdown()
    assert names == ["desk.example", "desk.example", "other.example"]
