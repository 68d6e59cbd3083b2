"""API Gateway's REST proxy, as far as the API can tell the difference: routing, events, answers."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from chalicelib.http.routes import PRIVATE

MAX_BODY = 10 * 1024 * 1024
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request; `path` is still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Pairs
    body: bytes
    client: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Pairs
    body: bytes


@dataclass(frozen=True, slots=True)
class Match:
    """A route of the app; `parameters` is None-free and decoded."""

    resource: str
    parameters: Mapping[str, str]
    methods: Iterable[str]


def match(routes: Mapping[str, Mapping[str, Any]], path: str) -> Match | None:
    """Return the route of a path: a literal segment beats a variable one."""
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    found: list[tuple[list[bool], Match]] = []
    for resource, methods in routes.items():
        names = resource.strip("/").split("/")
        variable = [name.startswith("{") for name in names]
        if len(names) == len(segments) and all(
            (segment if is_variable else segment == name)
            for name, segment, is_variable in zip(names, segments, variable, strict=True)
        ):
            chosen = zip(names, segments, variable, strict=True)
            parameters = {name.strip("{}"): segment for name, segment, is_variable in chosen if is_variable}
            found.append((variable, Match(resource, parameters, methods)))
    return min(found, key=lambda item: item[0])[1] if found else None


def error(status: int, message: str, more: Pairs = ()) -> Answer:
    """Return an error in the API's shape, with more headers."""
    body = json.dumps({"type": "invalid_request_error", "message": message}).encode()
    return Answer(status, [("content-type", "application/json"), *PRIVATE.items(), *more], body)


def event(request: Request, route: Match, binary_types: Sequence[str]) -> dict[str, Any]:
    """Return the event that API Gateway would send to the function."""
    headers = _several(request.headers)
    query = _several(parse_qsl(request.query, keep_blank_values=True))
    kind = headers.get("content-type", [""])[-1].partition(";")[0].strip().lower()
    body, encoded = _body(request.body, kind in binary_types)
    method = "GET" if request.method == "HEAD" else request.method
    return {
        "resource": route.resource,
        "path": request.path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(route.parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": route.resource,
            "httpMethod": method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "stage": "local",
            "requestId": str(uuid.uuid4()),
            "accountId": "000000000000",
            "identity": {
                "sourceIp": request.client,
                "userAgent": headers.get("user-agent", [""])[-1],
            },
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


def answer(response: Mapping[str, Any]) -> Answer:
    """Return the HTTP response of a function's result."""
    pairs = [(name, str(value)) for name, value in (response.get("headers") or {}).items()]
    for name, values in (response.get("multiValueHeaders") or {}).items():
        pairs = [pair for pair in pairs if pair[0].lower() != name.lower()]
        pairs += [(name, str(value)) for value in values]
    body = response.get("body") or ""
    raw = base64.b64decode(body) if response.get("isBase64Encoded") else _bytes(body)
    return Answer(int(response["statusCode"]), pairs, raw)


def streamed(answer: Any) -> Iterator[dict[str, Any]]:
    """Yield the ASGI messages of a streaming function's answer."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    yield {"type": "http.response.start", "status": answer.status, "headers": headers}
    for piece in answer.body:
        yield {"type": "http.response.body", "body": piece, "more_body": True}
    yield {"type": "http.response.body", "body": b""}


def _bytes(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode()


def _several(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _body(raw: bytes, binary: bool) -> tuple[str | None, bool]:
    if not raw:
        return None, False
    if not binary:
        try:
            return raw.decode(), False
        except UnicodeDecodeError:
            binary = True
    return base64.b64encode(raw).decode(), binary
