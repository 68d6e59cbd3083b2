"""Settings of this deployment; the only reader of os.environ."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

DEFAULT_API_VERSION = "2.5"
_ACCOUNT_MEGABYTES = "imap.gmail.com=2500"  # what Gmail lets an account download in a day
_DAY, _YEAR = 86_400, 366


class BadSetting(ValueError):
    """One sentence that names the variable, what it must be, and what it is."""


@dataclass(frozen=True, slots=True)
class Number:
    """What a number of the environment `says` and may be; an empty variable is one that is not set."""

    says: str
    default: float
    least: float
    most: float
    whole: bool = True

    def of(self, env: Mapping[str, str], name: str) -> float:
        """Return the number a variable holds. Raises BadSetting."""
        text = env.get(name, "").strip()
        if not text:
            return self.default
        try:
            found = float(int(text) if self.whole else float(text))
        except ValueError:
            found = math.nan
        if not self.least <= found <= self.most:
            kind = "a whole number" if self.whole else "a number"
            raise BadSetting(f"{name} must be {kind} from {self.least:g} to {self.most:g}, not {text!r}.")
        return found


NUMBERS: Mapping[str, Number] = {
    "POSTERN_HISTORY_DAYS": Number("days of mail kept, 0 is everything", 30, 0, 100 * _YEAR),
    "POSTERN_SYNC_SECONDS": Number("longest sync of new mail", 90, 1, 900, whole=False),
    "POSTERN_BACKFILL_SECONDS": Number(
        "longest turn of [history](operations.md#history)", 240, 1, 900, whole=False
    ),
    "POSTERN_BACKFILLS_PER_HOST": Number("turns of history at once, of one mail server", 8, 1, 10_000),
    "POSTERN_BACKFILLS_PER_APPLICATION": Number(
        "turns of history at once, of one application", 16, 1, 10_000
    ),
    "POSTERN_POLLS_PER_SECOND": Number(
        "accounts of one mail server polled in a second; of many each is polled less often",
        10,
        0.001,
        10_000,
        whole=False,
    ),
    "POSTERN_LONGPOLL_SECONDS": Number("longest `/delta/longpoll`", 25, 0.1, _DAY, whole=False),
    "POSTERN_STREAM_SECONDS": Number("longest `/delta/streaming`", 840, 0.1, _DAY, whole=False),
    "POSTERN_SEARCH_SECONDS": Number(
        "longest walk through an account's folders for a search", 15, 0.1, 900, whole=False
    ),
    "POSTERN_APPLICATION_REQUESTS": Number(
        "longpolls and streams at once, of one application", 40, 1, 1_000_000
    ),
    "POSTERN_WAITING_REQUESTS": Number("longpolls and streams at once, of all", 160, 1, 1_000_000),
    "POSTERN_SYNCS_PER_APPLICATION": Number(
        "live syncs that [last](operations.md#crowded-servers-and-applications) at once, of an application",
        30,
        1,
        10_000,
    ),
    "POSTERN_SYNCS_PER_SERVER": Number("live syncs that last at once, at one mail server", 20, 1, 10_000),
    "POSTERN_CONNECTS": Number(
        "logins of `/connect/authorize` at once, with the client secret and without", 32, 1, 10_000
    ),
    "POSTERN_FINISH_SECONDS": Number("seconds after which a sent mail is looked for in Sent", 60, 0, _DAY),
    "POSTERN_REMOVAL_SECONDS": Number(
        "seconds that the removal of most of a folder waits for a second look", 600, 0, 30 * _DAY
    ),
}
"""Every number of a deployment that the environment may set."""

LISTS: Mapping[str, tuple[str, str]] = {
    "POSTERN_ACCOUNT_MEGABYTES": (
        "megabytes read in a day for one account, by mail server",
        f"`{_ACCOUNT_MEGABYTES},*=0`",
    ),
    "POSTERN_HOST_MEGABYTES": ("megabytes read in a day for all accounts, by mail server", "`*=0`"),
    "POSTERN_WEBHOOK_DESTINATIONS": (
        "queues and event buses that webhooks of an application may write to: `client_id=ARN,*=ARN`",
        "none",
    ),
    "POSTERN_MAIL_NETWORKS": (
        "networks that are not public and in which [mail servers may lie]"
        "(operations.md#mail-servers-of-your-own), such as `10.1.0.0/16,fd00::/8`",
        "none",
    ),
    "POSTERN_MAIL_CA_FILE": (
        "PEM file with authorities that mail servers may have besides those of the system",
        "none",
    ),
}
"""What else the environment may set: what it says, and what holds without it."""

LOCAL = {"POSTERN_REMOVAL_SECONDS": replace(NUMBERS["POSTERN_REMOVAL_SECONDS"], default=30)}
"""The local runtime polls every few seconds."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is, read once per process."""

    table_prefix: str
    bucket: str
    key_id: str
    pepper: str
    queue_urls: Mapping[str, str]
    region: str = "us-east-1"
    endpoint_url: str | None = None
    history_days: int = 30
    local: bool = False
    sync_seconds: float = 90.0
    backfill_seconds: float = 240.0
    backfills_per_host: int = 8
    backfills_per_application: int = 16
    account_megabytes: Mapping[str, int] = field(default_factory=lambda: by_host({}, "", _ACCOUNT_MEGABYTES))
    host_megabytes: Mapping[str, int] = field(default_factory=dict)
    polls_per_second: float = 10.0
    longpoll_seconds: float = 25.0
    stream_seconds: float = 840.0
    search_seconds: float = 15.0
    application_requests: int = 40
    waiting_requests: int = 160
    connects: int = 32
    syncs_per_application: int = 30
    syncs_per_server: int = 20
    webhook_destinations: Mapping[str, frozenset[str]] = field(default_factory=dict)
    removal_seconds: int = 600
    mail_networks: tuple[Network, ...] = ()
    mail_ca_file: str = ""
    finish_seconds: int = 60

    def destinations_of(self, application_id: str) -> frozenset[str]:
        """Return the ARNs that webhooks of an application may write to."""
        own = self.webhook_destinations.get(application_id, frozenset())
        return own | self.webhook_destinations.get("*", frozenset())

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment of a Lambda function (or of the local runtime). Raises BadSetting, KeyError.

        POSTERN_TABLE_PREFIX, POSTERN_BUCKET and POSTERN_KEY_ID are required; POSTERN_PEPPER, which keys the
        hashes of secrets, is for those who look at tokens and client secrets; POSTERN_QUEUE_<NAME> names the
        URL of the queue <name> in lower case. docs/settings.md has the others.
        """
        env = os.environ if env is None else env
        prefix, local = "POSTERN_QUEUE_", env.get("POSTERN_LOCAL") == "1"
        numbers = {**NUMBERS, **LOCAL} if local else NUMBERS
        number = {name: each.of(env, name) for name, each in numbers.items()}
        return cls(
            table_prefix=env["POSTERN_TABLE_PREFIX"],
            bucket=env["POSTERN_BUCKET"],
            key_id=env["POSTERN_KEY_ID"],
            pepper=env.get("POSTERN_PEPPER", ""),
            queue_urls={k[len(prefix) :].lower(): v for k, v in env.items() if k.startswith(prefix)},
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION", "us-east-1"),
            endpoint_url=env.get("AWS_ENDPOINT_URL") or None,
            history_days=int(number["POSTERN_HISTORY_DAYS"]),
            local=local,
            sync_seconds=number["POSTERN_SYNC_SECONDS"],
            backfill_seconds=number["POSTERN_BACKFILL_SECONDS"],
            backfills_per_host=int(number["POSTERN_BACKFILLS_PER_HOST"]),
            backfills_per_application=int(number["POSTERN_BACKFILLS_PER_APPLICATION"]),
            account_megabytes=by_host(env, "POSTERN_ACCOUNT_MEGABYTES", _ACCOUNT_MEGABYTES),
            host_megabytes=by_host(env, "POSTERN_HOST_MEGABYTES"),
            polls_per_second=number["POSTERN_POLLS_PER_SECOND"],
            longpoll_seconds=number["POSTERN_LONGPOLL_SECONDS"],
            stream_seconds=number["POSTERN_STREAM_SECONDS"],
            search_seconds=number["POSTERN_SEARCH_SECONDS"],
            application_requests=int(number["POSTERN_APPLICATION_REQUESTS"]),
            waiting_requests=int(number["POSTERN_WAITING_REQUESTS"]),
            syncs_per_application=int(number["POSTERN_SYNCS_PER_APPLICATION"]),
            syncs_per_server=int(number["POSTERN_SYNCS_PER_SERVER"]),
            connects=int(number["POSTERN_CONNECTS"]),
            webhook_destinations=_by_owner(env.get("POSTERN_WEBHOOK_DESTINATIONS", "")),
            mail_networks=networks(env.get("POSTERN_MAIL_NETWORKS", "")),
            mail_ca_file=env.get("POSTERN_MAIL_CA_FILE", ""),
            removal_seconds=int(number["POSTERN_REMOVAL_SECONDS"]),
            finish_seconds=int(number["POSTERN_FINISH_SECONDS"]),
        )


def by_host(env: Mapping[str, str], name: str, default: str = "") -> Mapping[str, int]:
    """Read megabytes by host, `imap.gmail.com=2500,*=0`. Raises BadSetting."""
    text = env.get(name) or default
    pairs = [pair.partition("=") for pair in _listed(text)]
    if not all(host.strip() and number.strip().isdecimal() for host, _, number in pairs):
        raise BadSetting(
            f"{name} must be hosts and megabytes, such as imap.gmail.com=2500,*=0, not {text!r}."
        )
    return {host.strip().lower(): int(number) for host, _, number in pairs}


def networks(text: str) -> tuple[Network, ...]:
    """Read `10.1.0.0/16, fd00::/8`. Raises BadSetting."""
    try:
        return tuple(ip_network(name) for name in sorted(_listed(text)))
    except ValueError as error:
        raise BadSetting(f"POSTERN_MAIL_NETWORKS must list networks such as 10.1.0.0/16: {error}.") from error


def _by_owner(text: str) -> Mapping[str, frozenset[str]]:
    """Read `client_id=arn,*=arn`; an ARN without an owner is nobody's."""
    found: dict[str, frozenset[str]] = {}
    for owner, equals, arn in (pair.partition("=") for pair in _listed(text)):
        if equals and owner.strip():
            found[owner.strip()] = found.get(owner.strip(), frozenset()) | {arn.strip()}
    return found


def _listed(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
