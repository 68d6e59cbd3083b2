"""Notifications in a queue and on an event bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from chalicelib.config import Settings
from chalicelib.domain.webhooks.destination import Destination, allowed, of_url
from chalicelib.errors import InvalidRequest, Refused
from chalicelib.services import Services
from chalicelib.store.aws.connection import client
from chalicelib.store.aws.destinations import AwsDestinations
from chalicelib.webhooks.delivery import signature
from chalicelib.wire.webhooks import webhook as wire
from tests.integration.aws import REGION, deployment

ACCOUNT = "123456789012"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:theirs"
FIFO = f"arn:aws:sqs:{REGION}:{ACCOUNT}:theirs.fifo"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/theirs-bus"
GONE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:gone"
BODY = json.dumps({"deltas": [{"object_data": {"account_id": "acc"}}]}, separators=(",", ":")).encode()
HEADERS = {
    "Content-Type": "application/json",
    **signature.headers(["old", "new"], BODY, "note1", 1_700_000_000),
}


SIGNATURES = {name: value for name, value in HEADERS.items() if name != "Content-Type"}


def url(arn: str) -> str:
    _, _, service, region, account, name = arn.split(":")
    return f"{service}://{region}/{account}/{name.removeprefix('event-bus/')}"


@dataclass
class Site:
    """A customer's queues and bus, and our way to them."""

    settings: Settings
    sqs: Any

    def post(self, arn: str, application: str = "app") -> int:
        return AwsDestinations(self.settings).post(url(arn), BODY, HEADERS, application).status

    def messages(self, queue: str) -> list[dict[str, Any]]:
        place = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        answer = self.sqs.receive_message(
            QueueUrl=place, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        return list(answer.get("Messages", []))


@pytest.fixture
def site() -> Iterator[Site]:
    with deployment() as settings:
        sqs = boto3.client("sqs", region_name=REGION)
        sqs.create_queue(QueueName="theirs")
        sqs.create_queue(QueueName="theirs.fifo", Attributes={"FifoQueue": "true"})
        yield Site(replace(settings, webhook_destinations={"app": frozenset({QUEUE, FIFO, BUS, GONE})}), sqs)


def test_a_queue_gets_the_bytes_and_every_signature(site: Site) -> None:
    assert site.post(QUEUE) == 200
    [message] = site.messages("theirs")
    assert message["Body"].encode() == BODY
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {name: value for name, value in HEADERS.items() if name != "Content-Type"}
    assert attributes["X-Nylas-Signature"] == signature.sign("old", message["Body"].encode())


def test_a_fifo_queue_keeps_the_order_of_an_account_and_drops_what_it_has(site: Site) -> None:
    assert [site.post(FIFO), site.post(FIFO)] == [200, 200]
    [message] = site.messages("theirs.fifo")
    assert message["Attributes"]["MessageGroupId"] == "acc"
    assert message["Attributes"]["MessageDeduplicationId"] == "note1"


def test_an_event_bus_gets_the_notification_as_detail(site: Site) -> None:
    boto3.client("events", region_name=REGION).create_event_bus(Name="theirs-bus")
    sent: list[dict[str, Any]] = []
    ours = client(site.settings, "events")
    ours.meta.events.register(
        "provide-client-params.events.PutEvents", lambda params, **_: sent.append(params)
    )
    assert site.post(BUS) == 200
    [entry] = sent[0]["Entries"]
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (BUS, "postern", "webhook")
    detail = json.loads(entry["Detail"])
    assert detail.pop("signed") == {"body": BODY.decode(), "headers": SIGNATURES}
    assert detail == json.loads(BODY)


def test_an_event_shows_whose_it_is_and_cannot_be_made_by_somebody_else(site: Site) -> None:
    boto3.client("events", region_name=REGION).create_event_bus(Name="theirs-bus")
    sent: list[dict[str, Any]] = []
    client(site.settings, "events").meta.events.register(
        "provide-client-params.events.PutEvents", lambda params, **_: sent.append(params)
    )
    site.post(BUS)
    [entry] = sent[0]["Entries"]
    assert entry["Resources"] == ["postern:application/app"]
    signed = json.loads(json.dumps(json.loads(entry["Detail"]), indent=1))["signed"]  # as a bus reorders it
    assert signed["headers"]["X-Nylas-Signature"] == signature.sign("old", signed["body"].encode())
    assert signed["headers"]["X-Nylas-Signature"] != signature.sign("theirs", signed["body"].encode())


@pytest.mark.parametrize("application", ["other", "", "*", "APP", "app "])
@pytest.mark.parametrize("arn", [QUEUE, FIFO, BUS])
def test_an_application_writes_to_its_own_destinations_only(site: Site, application: str, arn: str) -> None:
    with pytest.raises(Refused):
        site.post(arn, application)
    assert site.messages("theirs") == []


@pytest.mark.parametrize(("code", "status"), [("InternalFailure", 503), ("NotAuthorizedForSource", 400)])
def test_an_event_that_the_bus_does_not_take_is_a_failure(site: Site, code: str, status: int) -> None:
    def refuse(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "no"}]}
        return AWSResponse("", 200, {}, None), answer

    events = client(site.settings, "events").meta.events
    events.register_first("before-call.events.PutEvents", refuse)
    try:
        assert site.post(BUS) == status
    finally:
        events.unregister("before-call.events.PutEvents", refuse)


def test_a_queue_that_is_gone_is_a_refusal_to_be_tried_again(site: Site) -> None:
    answer = AwsDestinations(site.settings).post(url(GONE), BODY, HEADERS, "app")
    assert (answer.status == 400 and b"NonExistentQueue" in answer.body) or b"DoesNotExist" in answer.body


def test_what_the_owner_has_not_listed_is_refused_even_if_it_exists(site: Site) -> None:
    own = f"arn:aws:sqs:{REGION}:{ACCOUNT}:test-sync"
    with pytest.raises(Refused):
        site.post(own)
    assert site.messages("test-sync") == []


def test_the_scheme_of_the_url_chooses_the_way(site: Site) -> None:
    assert Services(settings=site.settings).post(url(QUEUE), BODY, HEADERS, "app").status == 200
    with pytest.raises(Refused):
        Services(settings=site.settings).post("https://127.0.0.1/", BODY, HEADERS, "app")


@pytest.mark.parametrize(
    "callback_url",
    [
        f"sqs://{REGION}/{ACCOUNT}/other", f"sqs://{REGION}/{ACCOUNT}/theirs/x", f"sqs://eu-west-1/{ACCOUNT}/theirs",
        f"sqs://{REGION}/000000000000/theirs", f"events://{REGION}/{ACCOUNT}/theirs", f"sqs://{REGION}/{ACCOUNT}/",
        f"sqs://{REGION}/theirs", "sqs://", "events://x", f"sqs://{REGION}/{ACCOUNT}/theirs?x=1",
        f"sqs://u:p@{REGION}/{ACCOUNT}/theirs", f"SQS://{REGION}/{ACCOUNT}/theirs", "sns://us-east-1/1/x",
    ],
)  # fmt: skip
def test_a_webhook_may_name_listed_destinations_only(callback_url: str) -> None:
    body = {"callback_url": callback_url, "triggers": ["message.created"]}
    with pytest.raises(InvalidRequest):
        wire.load(body, "w", "app", plain_http=True, destinations={QUEUE, BUS})


@pytest.mark.parametrize("arn", [QUEUE, FIFO, BUS])
def test_a_listed_destination_is_taken(arn: str) -> None:
    body = {"callback_url": url(arn), "triggers": ["message.created"]}
    assert wire.load(body, "w", "app", plain_http=False, destinations={QUEUE, FIFO, BUS}).callback_url == url(
        arn
    )


def test_no_pattern_in_the_list_stands_for_many() -> None:
    queue = of_url(url(QUEUE))
    assert queue == Destination("sqs", REGION, ACCOUNT, "theirs")
    assert not allowed(
        queue, [f"arn:aws:sqs:{REGION}:{ACCOUNT}:*", f"arn:aws:sqs:*:{ACCOUNT}:theirs", "*", ""]
    )
    assert allowed(queue, ["", f"arn:aws-us-gov:sqs:{REGION}:{ACCOUNT}:theirs"])


def test_the_list_comes_from_the_environment() -> None:
    needed = {f"POSTERN_{name}": "x" for name in ("TABLE_PREFIX", "BUCKET", "KEY_ID", "PEPPER")}
    owned = f"app={QUEUE}, other={BUS},other = {QUEUE},*={FIFO},,{GONE}"
    listed = Settings.from_env({**needed, "POSTERN_WEBHOOK_DESTINATIONS": owned})
    assert listed.webhook_destinations == {"app": {QUEUE}, "other": {QUEUE, BUS}, "*": {FIFO}}
    assert listed.destinations_of("app") == {QUEUE, FIFO}
    assert listed.destinations_of("other") == {QUEUE, BUS, FIFO}
    assert listed.destinations_of("third") == {FIFO}
    assert Settings.from_env(needed).destinations_of("app") == frozenset()
    for nobodys in (QUEUE, f"={QUEUE}", f" = {QUEUE}", f"{QUEUE},{BUS}"):
        alone = Settings.from_env({**needed, "POSTERN_WEBHOOK_DESTINATIONS": nobodys})
        assert alone.webhook_destinations == {}
