"""DynamoDB's data operations without botocore's serialiser, at a quarter of its processor time.

Our rows already have the shape of the protocol, so a request is their JSON, a signature and one POST.
Everything else stays botocore's: credentials, endpoint, error classes, paginators. See docs/decisions.md.
"""

from __future__ import annotations

import base64
import hmac
import json
import random
import re
import time
from collections.abc import Mapping, Set
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson
from botocore.exceptions import ConnectionError as Unreachable
from botocore.utils import get_environ_proxies

from chalicelib.store.aws.kept_connections import Connections

OPERATIONS = frozenset(
    {
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "TransactWriteItems",
        "UpdateItem",
    }
)
_TYPE = "application/x-amz-json-1.0"
_SIGNED = ("content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target")
_PASSING = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_BINARY = re.compile(rb'"B":\s?"')
_LONGEST_PAUSE = 20.0

Request = Mapping[str, Any]


def install(client: Any, operations: Set[str] = OPERATIONS, *, binary: bool = True) -> None:
    """Let a botocore client of DynamoDB (or its streams) make these calls directly.

    Without `binary`, binary values stay base64, as they travel. Behind a proxy nothing changes.
    """
    url = client.meta.endpoint_url
    if get_environ_proxies(url):
        return
    usual, connections = client._make_api_call, Connections(url, client.meta.config)

    def call(operation: str, request: Request) -> Any:
        if operation not in operations:
            return usual(operation, request)
        return _call(client, connections, operation, request, binary=binary)

    client._make_api_call = call


def _call(client: Any, connections: Connections, operation: str, request: Request, *, binary: bool) -> Any:
    body = _written(request)
    attempts = client.meta.config.retries["total_max_attempts"]
    for attempt in range(1, attempts + 1):
        last = attempt == attempts
        try:
            status, data = connections.post(_headers(client, connections.host, operation, body), body)
        except OSError as error:
            if last:
                raise Unreachable(error=error) from error
        else:
            answer = _read(data, binary=binary)
            if status == 200:
                return answer
            problem = _problem(answer, status)
            if last or not (status >= 500 or problem["Error"]["Code"] in _PASSING):
                raise client.exceptions.from_code(problem["Error"]["Code"])(problem, operation)
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 2 ** (attempt - 1))))  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")


def _headers(client: Any, host: str, operation: str, body: bytes) -> dict[str, str]:
    credentials = client._request_signer._credentials.get_frozen_credentials()
    target = f"{client.meta.service_model.metadata['targetPrefix']}.{operation}"
    headers = {"Content-Type": _TYPE, "Host": host, "X-Amz-Target": target}
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
    return signed(headers, body, credentials, client.meta.region_name, time.gmtime())


def signed(
    headers: Mapping[str, str], body: bytes, credentials: Any, region: str, now: time.struct_time
) -> dict[str, str]:
    """Return the headers with date and signature (AWS Signature Version 4, service dynamodb)."""
    at = time.strftime("%Y%m%dT%H%M%SZ", now)
    headers = {**headers, "X-Amz-Date": at}
    lines = {name.lower(): value for name, value in headers.items()}
    names = [name for name in _SIGNED if name in lines]
    canonical = "".join(f"{name}:{lines[name]}\n" for name in names)
    request = f"POST\n/\n\n{canonical}\n{';'.join(names)}\n{sha256(body).hexdigest()}"
    scope = f"{at[:8]}/{region}/dynamodb/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(credentials.secret_key, scope), text.encode(), "sha256")
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature.hex()}"
    )
    return headers


@lru_cache(maxsize=4)
def _signing_key(secret: str, scope: str) -> bytes:
    """Return the key of a day; the credentials of a function change every few hours."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _problem(answer: Any, status: int) -> dict[str, Any]:
    """Return an error as botocore's exceptions carry it."""
    facts = answer if isinstance(answer, dict) else {}
    code = str(facts.get("__type") or status).rpartition("#")[2]
    message = facts.get("message") or facts.get("Message") or ""
    return {
        **facts,
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
    }


def _written(request: Request) -> bytes:
    try:
        return orjson.dumps(request, _text_of)
    except orjson.JSONEncodeError:  # half a surrogate pair: it is for DynamoDB to refuse it
        return json.dumps(request, default=_text_of, separators=(",", ":")).encode()


def _read(data: bytes, *, binary: bool) -> Any:
    try:
        if binary and _BINARY.search(data):
            return json.loads(data, object_hook=_bytes_of)
        return orjson.loads(data)
    except ValueError:
        return {}


def _text_of(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is no attribute value")


def _bytes_of(value: dict[str, Any]) -> dict[str, Any]:
    """Decode a binary attribute value {"B": "..."}."""
    raw = value.get("B")
    return {"B": base64.b64decode(raw)} if isinstance(raw, str) and len(value) == 1 else value
