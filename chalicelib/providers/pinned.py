"""One HTTP request to an IP address that was checked, with the host's name in TLS and in Host."""

from __future__ import annotations

import time
from collections.abc import Mapping

import urllib3

from chalicelib.errors import ProviderError
from chalicelib.providers.http import Answer, Target

MAX_ANSWER = 64 * 1024


def request(method: str, target: Target, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
    """Make one request. Raises ProviderError if there is no answer in time."""
    until = time.monotonic() + timeout
    with _pool(target, timeout) as pool:
        try:
            response = pool.request(
                method,
                target.path,
                body=body or None,
                headers={"User-Agent": "postern", **headers, "Host": target.netloc},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            return Answer(response.status, _read(response, until))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ProviderError(f"{target.host} does not answer: {error}") from error


def _pool(target: Target, seconds: float) -> urllib3.HTTPConnectionPool:
    timeout = urllib3.Timeout(total=seconds)
    if not target.secure:
        return urllib3.HTTPConnectionPool(target.address, target.port, timeout=timeout, retries=False)
    return urllib3.HTTPSConnectionPool(
        target.address,
        target.port,
        timeout=timeout,
        retries=False,
        cert_reqs="CERT_REQUIRED",
        server_hostname=target.host,
        assert_hostname=target.host,
    )


def _read(response: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """Read what we care for; a server that drips its answer is cut off."""
    body = b""
    while len(body) < MAX_ANSWER and (chunk := response.read1(MAX_ANSWER - len(body))):
        body += chunk
        if time.monotonic() > until:
            raise ProviderError("The answer took too long.")
    return body
