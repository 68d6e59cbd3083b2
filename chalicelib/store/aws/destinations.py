"""Notifications for queues and event buses instead of HTTP endpoints.

SQS: the body is the message, the signature headers are its attributes. EventBridge: the body is the
detail of an event of source `postern`, with the exact text that was signed and its signature headers in
`signed`, because a bus hands out objects, not bytes. The resource of the event names the application.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.config import Settings
from chalicelib.domain.webhooks.destination import Destination, allowed, of_url
from chalicelib.domain.webhooks.response import HttpResponse
from chalicelib.errors import ProviderError, Refused
from chalicelib.store.aws.connection import client

SOURCE, DETAIL_TYPE = "postern", "webhook"
_SIGNATURES = (
    "x-nylas-signature",
    "x-nylas-signature-next",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)
_LATER = frozenset({"ThrottlingException", "InternalFailure", "InternalException", "RequestThrottled"})


class AwsDestinations:
    """Sends to what the owner of this deployment has listed, and to nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue_urls: dict[Destination, str] = {}

    def post(self, url: str, body: bytes, headers: Mapping[str, str], application_id: str) -> HttpResponse:
        """Hand a notification of an application over.

        Raises Refused, or ProviderError if AWS does not answer.
        """
        destination, listed = of_url(url), self._settings.destinations_of(application_id)
        if destination is None or not allowed(destination, listed):
            raise Refused("This destination is not listed for this application.")
        try:
            if destination.service == "sqs":
                return self._to_queue(destination, body.decode(), headers)
            arn = next(one for one in listed if allowed(destination, [one]))
            return self._to_bus(destination, arn, _event(body.decode(), headers, application_id))
        except ClientError as error:
            return _refusal(error.response["Error"]["Code"], error.response["ResponseMetadata"])
        except BotoCoreError as error:
            raise ProviderError(f"{destination.service} does not answer: {type(error).__name__}.") from error

    def _to_queue(self, queue: Destination, body: str, headers: Mapping[str, str]) -> HttpResponse:
        request: dict[str, Any] = {"QueueUrl": self._queue_url(queue), "MessageBody": body}
        request["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": value} for name, value in _signatures(headers).items()
        }
        if queue.name.endswith(".fifo"):
            request["MessageGroupId"] = json.loads(body)["deltas"][0]["object_data"]["account_id"]
            request["MessageDeduplicationId"] = headers["webhook-id"]
        answer = self._client(queue).send_message(**request)
        return HttpResponse(200, str(answer["MessageId"]).encode())

    def _to_bus(self, bus: Destination, arn: str, event: Mapping[str, Any]) -> HttpResponse:
        answer = self._client(bus).put_events(Entries=[{"EventBusName": arn, **event}])
        [result] = answer["Entries"]
        if "ErrorCode" in result:
            return _refusal(result["ErrorCode"], {"HTTPStatusCode": 400})
        return HttpResponse(200, str(result["EventId"]).encode())

    def _queue_url(self, queue: Destination) -> str:
        if queue not in self._queue_urls:
            answer = self._client(queue).get_queue_url(
                QueueName=queue.name, QueueOwnerAWSAccountId=queue.account
            )
            self._queue_urls[queue] = answer["QueueUrl"]
        return self._queue_urls[queue]

    def _client(self, destination: Destination) -> Any:
        return client(replace(self._settings, region=destination.region), destination.service)


def _event(body: str, headers: Mapping[str, str], application_id: str) -> dict[str, Any]:
    """Return an event whose receiver can tell that it is ours, and of which application."""
    detail = {**json.loads(body), "signed": {"body": body, "headers": _signatures(headers)}}
    return {
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Resources": [f"{SOURCE}:application/{application_id}"],
        "Detail": json.dumps(detail, ensure_ascii=False, separators=(",", ":")),
    }


def _signatures(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _SIGNATURES}


def _refusal(code: str, metadata: Mapping[str, Any]) -> HttpResponse:
    later = code in _LATER or "Throttl" in code
    return HttpResponse(503 if later else int(metadata.get("HTTPStatusCode", 400)), code.encode())
