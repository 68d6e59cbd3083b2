import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.domain.account import Application
from chalicelib.domain.delta import Change, Delta, Event
from chalicelib.domain.webhook import Webhook
from chalicelib.errors import ProviderError
from chalicelib.providers import http
from chalicelib.providers.http import Answer
from chalicelib.store.ports import Delivery
from chalicelib.webhooks import deliver, endpoint, fanout, payload, signature
from tests.fakes.services import MemoryApplications, MemoryLog, MemoryQueues, MemoryWebhooks

HOOK = Webhook(
    id="w", application_id="app", callback_url="https://desk.example/hooks", state="active",
    triggers=frozenset({"message.created", "account.running"}),
)  # fmt: skip


@dataclass
class MemoryDeliveries:
    """The port Deliveries."""

    rows: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    pointers: dict[tuple[str, str], int] = field(default_factory=dict)

    def pointer(self, webhook_id: str, account_id: str) -> int | None:
        return self.pointers.get((webhook_id, account_id))

    def begin(
        self, delivery: Delivery | None, webhook_id: str, account_id: str, told: int | None, now_told: int
    ) -> bool:
        if self.pointer(webhook_id, account_id) != told:
            return False
        self.pointers[webhook_id, account_id] = now_told
        if delivery:
            self.rows[webhook_id, delivery.id] = delivery
        return True

    def get(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        return self.rows.get((webhook_id, delivery_id))

    def claim(self, delivery: Delivery, until: int) -> Delivery | None:
        if self.rows.get((delivery.webhook_id, delivery.id)) != delivery:
            return None
        self._put(replace(delivery, attempt=delivery.attempt + 1, due_at=until))
        return self.rows[delivery.webhook_id, delivery.id]

    def retry(self, delivery: Delivery, due_at: int) -> None:
        self._put(replace(delivery, due_at=due_at))

    def fail(self, delivery: Delivery) -> None:
        self._put(replace(delivery, state="failed"))

    def done(self, delivery: Delivery) -> None:
        self.rows.pop((delivery.webhook_id, delivery.id), None)

    def due(self, now: int) -> list[Delivery]:
        return [d for d in self.rows.values() if d.due_at <= now and d.state == "pending"]

    def _put(self, delivery: Delivery) -> None:
        self.rows[delivery.webhook_id, delivery.id] = delivery


def message(number: int, event: Event = Event.CREATE) -> Change:
    facts = (("thread_id", f"t{number}"), ("received_date", 1671186614 + number))
    return Change(
        account_id="acc", kind="message", id=f"m{number}", event=event, rev=number + 1, attributes=facts
    )


@dataclass
class Desk:
    """Both halves of webhook delivery over one memory."""

    log: MemoryLog = field(default_factory=MemoryLog)
    deliveries: MemoryDeliveries = field(default_factory=MemoryDeliveries)
    queues: MemoryQueues = field(default_factory=MemoryQueues)
    webhooks: MemoryWebhooks = field(default_factory=lambda: MemoryWebhooks({"w": HOOK}))
    status: int = 200
    posted: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    def tell(self, first_seq: int, webhook: Webhook = HOOK) -> None:
        desk = fanout.Desk(log=self.log, deliveries=self.deliveries, queues=self.queues)
        fanout.tell(desk, webhook, "acc", first_seq=first_seq, now=1000)

    def attempt(self, now: int, delivery_id: str = "acc-1") -> None:
        applications = MemoryApplications({"app": (Application(id="app", name="Desk"), "s3cret")})
        desk = deliver.Desk(
            webhooks=self.webhooks, applications=applications, deliveries=self.deliveries,
            log=self.log, post=self._post, jitter=lambda low, high: 1.0,
        )  # fmt: skip
        deliver.attempt(desk, "w", delivery_id, now=now)

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.posted.append((url, body, headers))
        if not self.status:
            raise ProviderError("no answer")
        return Answer(self.status, b"")

    def told_ids(self) -> list[str]:
        entries = [d for _, body, _ in self.posted for d in json.loads(body)["deltas"]]
        return [entry["object_data"]["id"] for entry in entries]


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.log.append("acc", [message(n) for n in range(3)], at=1671186620)
    return made


def test_the_signature_is_the_published_one() -> None:
    signed = signature.sign("myClientSecret", b"test123")
    assert (signed[:8], signed[-8:]) == ("ddc02f92", "4a581e1c")


def test_the_payload_is_compact_unescaped_and_in_order() -> None:
    entry = Delta(seq=1, at=1671186620, change=replace(message(1), id="mé"))
    assert payload.build([entry]).decode() == (
        '{"deltas":[{"date":1671186620,"object":"message","type":"message.created","object_data":'
        '{"namespace_id":"acc","account_id":"acc","object":"message","attributes":'
        '{"thread_id":"t1","received_date":1671186615},"id":"mé","metadata":null}}]}'
    )


def test_account_events_have_no_attributes() -> None:
    change = Change(
        account_id="acc", kind="account", id="acc", event=Event.MODIFY, rev=2,
        attributes=(("sync_state", "running"),),
    )  # fmt: skip
    [shown] = json.loads(payload.build([Delta(seq=1, at=5, change=change)]))["deltas"]
    assert shown["type"] == "account.running"
    assert shown["object_data"]["attributes"] is None


def test_a_new_endpoint_hears_from_its_first_wake_up_on(desk: Desk) -> None:
    desk.tell(first_seq=2)
    [delivery] = desk.deliveries.rows.values()
    assert (delivery.first_seq, delivery.last_seq) == (2, 3)


def test_a_repeated_wake_up_is_no_news(desk: Desk) -> None:
    for _ in range(3):
        desk.tell(first_seq=1)
    assert len(desk.queues.sent) == 1


def test_a_lost_wake_up_is_made_good_by_the_next(desk: Desk) -> None:
    desk.tell(first_seq=1)
    desk.log.append("acc", [message(n) for n in range(3, 6)], at=1)
    desk.tell(first_seq=6)
    assert [(d.first_seq, d.last_seq) for d in desk.deliveries.rows.values()] == [(1, 3), (4, 6)]


def test_a_delivery_holds_at_most_a_hundred_entries(desk: Desk) -> None:
    desk.log.append("acc", [message(n) for n in range(3, 250)], at=1)
    desk.tell(first_seq=1)
    spans = [(d.first_seq, d.last_seq) for d in desk.deliveries.rows.values()]
    assert spans == [(1, 100), (101, 200), (201, 250)]


def test_what_nobody_asked_for_only_moves_the_pointer(desk: Desk) -> None:
    desk.tell(first_seq=1, webhook=replace(HOOK, triggers=frozenset({"account.stopped"})))
    desk.tell(first_seq=1, webhook=replace(HOOK, id="off", state="inactive"))
    assert desk.deliveries.rows == {}
    assert desk.deliveries.pointers == {("w", "acc"): 3, ("off", "acc"): 3}


def test_a_delivery_is_posted_signed_and_forgotten(desk: Desk) -> None:
    desk.log.append("acc", [message(0, Event.DELETE)], at=1)
    desk.tell(first_seq=1)
    desk.status = 204
    desk.attempt(now=1000)
    [(url, body, headers)] = desk.posted
    assert url == HOOK.callback_url
    assert headers == {
        "Content-Type": "application/json",
        "X-Nylas-Signature": signature.sign("s3cret", body),
    }
    assert desk.told_ids() == ["m0", "m1", "m2"]
    assert desk.deliveries.rows == {}


def test_five_attempts_in_twenty_minutes_then_it_is_given_up(desk: Desk) -> None:
    desk.tell(first_seq=1)
    desk.status = 0
    made = []
    for now in range(1000, 4000, 10):
        before = len(desk.posted)
        desk.attempt(now)
        made += [now - 1000] * (len(desk.posted) - before)
    assert made == [0, 20, 100, 420, 1200]
    assert desk.deliveries.rows["w", "acc-1"].state == "failed"
    assert desk.webhooks.rows["w"].state == "failing"


def test_a_failing_endpoint_that_accepts_is_active_again(desk: Desk) -> None:
    desk.webhooks.rows["w"] = replace(HOOK, state="failing")
    desk.tell(first_seq=1)
    desk.attempt(now=1000)
    assert desk.webhooks.rows["w"].state == "active"


def test_gone_switches_the_endpoint_off(desk: Desk) -> None:
    desk.tell(first_seq=1)
    desk.status = 410
    desk.attempt(now=1000)
    assert desk.webhooks.rows["w"].state == "inactive"
    assert desk.deliveries.rows == {}


def test_a_deleted_endpoint_is_told_nothing(desk: Desk) -> None:
    desk.tell(first_seq=1)
    desk.webhooks.rows.clear()
    desk.attempt(now=1000)
    assert desk.posted == []
    assert desk.deliveries.rows == {}


class Echo(BaseHTTPRequestHandler):
    """Answers with its query string, or as its path says."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        answers = {"/echo": query.rpartition("=")[2], "/big": "x" * 200_000, "/wrong": "no"}
        self.send_response(302 if path == "/moved" else 200)
        self.send_header("Location", "/echo")
        self.end_headers()
        self.wfile.write(answers.get(path, f"{self.headers['Host']} {query}").encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


LOCAL = http.Client(allow_local=True, timeout=5, resolve=lambda host, port: ["127.0.0.1"])


def test_an_endpoint_must_repeat_the_challenge(echo: str) -> None:
    assert endpoint.challenge(f"{echo}/echo?keep=1", "abcdefgh12345678", LOCAL.get)
    assert not endpoint.challenge(f"{echo}/wrong", "abcdefgh12345678", LOCAL.get)
    assert not endpoint.challenge(f"{echo}/moved", "abcdefgh12345678", LOCAL.get)
    assert not endpoint.challenge("http://localhost:1/", "abcdefgh12345678", LOCAL.get)


def test_other_query_parameters_are_kept(echo: str) -> None:
    assert (
        endpoint.with_challenge("https://d.example/h?a=1&b=", "s") == "https://d.example/h?a=1&b=&challenge=s"
    )


def test_the_connection_goes_to_the_checked_address_under_the_asked_name(echo: str) -> None:
    port = echo.rpartition(":")[2]
    answer = LOCAL.get(f"http://desk.example:{port}/?a=1")
    assert answer == Answer(200, f"desk.example:{port} a=1".encode())


def test_at_most_64_kb_of_an_answer_are_read(echo: str) -> None:
    assert len(LOCAL.get(f"{echo}/big").body) == 64 * 1024


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1%eth0",
     "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::"],
)  # fmt: skip
def test_internal_addresses_are_refused(address: str) -> None:
    client = http.Client(resolve=lambda host, port: ["93.184.215.14", address])
    with pytest.raises(http.Refused):
        client.get("https://desk.example/")


@pytest.mark.parametrize(
    "url", ["http://desk.example/", "ftp://d.example/", "https://u:p@d.example/", "https:///x"]
)
def test_only_plain_https_urls_are_called(url: str) -> None:
    with pytest.raises(http.Refused):
        http.Client().get(url)


def test_even_locally_only_loopback_is_added() -> None:
    with pytest.raises(http.Refused):
        http.Client(allow_local=True, resolve=lambda host, port: ["10.0.0.1"]).get("http://desk.example/")
