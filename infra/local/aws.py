"""Which AWS the local runtime works with: its own emulator, LocalStack, or any endpoint that is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError
from localstack_client.config import get_service_endpoint

from infra.machine.trouble import CannotStart

REGION = "us-east-1"
LOCALSTACK = "localstack"
URL, WHICH, PROFILE = "AWS_ENDPOINT_URL", "POSTERN_AWS", "AWS_PROFILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """An endpoint and how to sign for it; `origin` says why it is this one."""

    url: str
    origin: str
    access_key: str = "local"
    secret_key: str = "local"  # noqa: S105 emulators do not look at it

    @property
    def host(self) -> str:
        """The host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, also where the URL names none."""
        place = urlsplit(self.url)
        return place.port or (443 if place.scheme == "https" else 80)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this endpoint, whatever else the environment says of AWS."""
        return {
            URL: self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def of(info: Mapping[str, Any]) -> Aws:
    """Return the endpoint of a running instance, as its postern.json tells."""
    return Aws(
        url=info["aws_endpoint_url"],
        origin="",
        access_key=info["aws_access_key_id"],
        secret_key=info["aws_secret_access_key"],
    )


def foreign(env: Mapping[str, str]) -> Aws | None:
    """Return the endpoint that the environment names, None if we start our own. Raises CannotStart."""
    named, which = env.get(URL, ""), env.get(WHICH, "")
    if named:
        return _signed(_checked(named), f"{URL} names it", env)
    if which == LOCALSTACK:
        return _signed(_checked(_localstack()), f"{WHICH}={LOCALSTACK}", env)
    return None


def _localstack() -> str:
    """Return where localstack-client says LocalStack is: LOCALSTACK_HOST, or port 4566 of this machine."""
    try:
        return get_service_endpoint("dynamodb") or ""
    except RuntimeError:
        raise CannotStart("LOCALSTACK_HOST must be a host and a port, such as localhost:4566.") from None


def _checked(url: str) -> str:
    try:
        place = urlsplit(url)
        good = place.scheme in ("http", "https") and place.hostname and place.port != 0
    except ValueError:
        good = False
    if not good:
        raise CannotStart(f"{URL} must be a URL such as http://localhost:4566, not {url!r}.")
    return url.rstrip("/")


def _signed(url: str, origin: str, env: Mapping[str, str]) -> Aws:
    """Sign with the keys or the profile of the environment; emulators take any."""
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        keys = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
        return Aws(url=url, origin=origin, access_key=keys[0], secret_key=keys[1])
    if not env.get(PROFILE):
        return Aws(url=url, origin=origin)
    try:
        found = boto3.Session(profile_name=env[PROFILE]).get_credentials()
    except BotoCoreError as error:
        raise CannotStart(f"{PROFILE} names a profile that cannot be used: {error}.") from None
    if found is None:
        raise CannotStart(f"The profile {env[PROFILE]!r} ({PROFILE}) has no keys.")
    return Aws(url=url, origin=origin, access_key=found.access_key, secret_key=found.secret_key)
