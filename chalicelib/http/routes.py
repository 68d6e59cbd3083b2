"""A Blueprint whose views return wire objects and raise ApiErrors.

Every view is wrapped once: path parameters are decoded, errors become the v2 API's error object, every
answer bears the API version, and no cache keeps it. A view that returns bytes may do so whatever `Accept`
says.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from chalice.app import Blueprint, CaseInsensitiveMapping, Request, Response

from chalicelib import bounds, logs
from chalicelib.config import DEFAULT_API_VERSION
from chalicelib.errors import ApiError, NotOffered, TooLarge, TooMany, Unauthorized
from chalicelib.services import services
from chalicelib.wire import size

log = logging.getLogger(__name__)
V = TypeVar("V", bound=Callable[..., Any])
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Every answer holds somebody's mail, a secret, or what was wrong with a request for them."""
ACCOUNT = "posternAccount"
"""Where a request's context says whose token it bears."""

_VERSION = re.compile(r"1\.0|2\.[0-7]")


class Routes(Blueprint):  # type: ignore[misc]  # Chalice has no types we follow
    """Routes of one resource."""

    def route(self, path: str, **kwargs: Any) -> Callable[[V], V]:
        """Register a guarded view; any request content type is let through to it."""
        kwargs.setdefault("content_types", ["*/*"])
        register = super().route(path, **kwargs)

        def decorate(view: V) -> V:
            @functools.wraps(view)
            def guarded(**params: str) -> Response:
                return self._answer(view, {name: unquote(value) for name, value in params.items()})

            register(guarded)
            return view

        return decorate

    def _answer(self, view: Callable[..., Any], params: dict[str, str]) -> Response:
        began = time.monotonic()
        answer = attempt(lambda: _as_response(view(**params)), view.__qualname__)
        response = cast(Response, answer)
        complete(self.current_request, response)
        tell(self.current_request, response, time.monotonic() - began)
        return response


def attempt(view: Callable[[], Any], name: str) -> Any:
    """Return what a view returns, or the response that tells what went wrong."""
    try:
        return view()
    except ApiError as error:
        if error.status >= 500:  # its message is for the client: it may quote a mail server
            log.warning("%s%s fails: %s", name, _step(error), logs.summary(error))
        return failure(error)
    except Exception as error:  # the edge: whatever broke, the client gets the error object
        # Neither the message nor the locals: both may hold mail or credentials.
        log.error("%s fails, unhandled: %s", name, logs.summary(error))
        return failure(ApiError())


def tell(request: Request, response: Response, seconds: float) -> None:
    """Log one line per request: route, status, time and account, but no query, no body and no secret."""
    context = request.context
    log.info(
        "%s %s %d in %.0f ms, account %s, request %s",
        request.method,
        context.get("resourcePath", "-"),
        response.status_code,
        seconds * 1000,
        context.get(ACCOUNT, "-"),
        context.get("requestId", "-"),
    )


def complete(request: Request, response: Response) -> None:
    """Add the headers that every answer bears."""
    asked = request.headers.get("nylas-api-version", "")
    version = asked if _VERSION.fullmatch(asked) else DEFAULT_API_VERSION
    response.headers.setdefault("Content-Type", "application/json")
    response.headers.setdefault("Nylas-Api-Version", version)
    response.headers |= PRIVATE
    if isinstance(response.body, bytes):
        # Chalice answers 400 unless Accept names the binary type, but v2 clients send none or */*.
        accept = {**request.headers, "accept": response.headers["Content-Type"]}
        request.headers = CaseInsensitiveMapping(accept)


def failure(error: ApiError) -> Response:
    """Return the error object of the v2 API."""
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Basic realm="API Access Token Required"'
    if isinstance(error, NotOffered):
        headers["Allow"] = error.allowed
    if isinstance(error, TooMany):
        seconds = str(error.seconds)
        headers |= {"X-RateLimit-Limit": str(error.limit), "X-RateLimit-Reset": seconds}
        headers |= {"Retry-After": seconds}
    return Response(error.body(), headers=headers, status_code=error.status)


def _as_response(answer: Any) -> Response:
    """Return the response of what a view returned. Raises TooLarge."""
    if isinstance(answer, Response):
        _refuse_large_bytes(answer.body)
        return answer
    return Response(None if answer is None else size.fitted_text(answer))


def _refuse_large_bytes(body: Any) -> None:
    """Raise TooLarge where Lambda would drop an answer without a word; bytes travel as base64 there."""
    if isinstance(body, bytes) and len(body) > bounds.BINARY_BYTES and not services().settings.local:
        raise TooLarge(f"More than {bounds.BINARY_BYTES} bytes cannot be answered at once here.")


def _step(error: ApiError) -> str:
    """Return the step at which a mail server failed, if the error says so."""
    step = error.details.get("step")
    return f" at step {step}" if isinstance(step, str) and step.isidentifier() else ""
