"""Settings of this deployment; the only reader of os.environ."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

DEFAULT_API_VERSION = "2.5"
_ACCOUNT_MEGABYTES = "imap.gmail.com=2500"  # what Gmail lets an account download in a day


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
    raw_days: int = 7
    local: bool = False
    sync_seconds: float = 90.0
    backfill_seconds: float = 240.0
    backfills_per_host: int = 8
    backfills_per_application: int = 16
    account_megabytes: Mapping[str, int] = field(default_factory=lambda: _by_host(_ACCOUNT_MEGABYTES))
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
        """Read the environment of a Lambda function (or of the local runtime).

        POSTERN_TABLE_PREFIX, POSTERN_BUCKET and POSTERN_KEY_ID are required; POSTERN_PEPPER, which keys the
        hashes of secrets, is for those who look at tokens and client secrets;
        POSTERN_QUEUE_<NAME> names the URL of the queue <name> in lower case;
        POSTERN_HISTORY_DAYS counts days of mail kept, 0 means everything; applications and accounts may
        have it otherwise. POSTERN_LONGPOLL_SECONDS and
        POSTERN_STREAM_SECONDS bound /delta/longpoll and /delta/streaming: API Gateway ends a plain
        request after 29 s and Lambda a streamed one after 15 minutes; POSTERN_SEARCH_SECONDS bounds the walk
        through an account's folders for the same reason. POSTERN_WAITING_REQUESTS bounds how many of the
        first two may be under way at once, POSTERN_APPLICATION_REQUESTS how many of one application, and
        POSTERN_CONNECTS how many logins of /connect/authorize with the client secret, and as many without.
        POSTERN_BACKFILL_SECONDS is the longest turn of history; POSTERN_BACKFILLS_PER_HOST and
        POSTERN_BACKFILLS_PER_APPLICATION bound how many turns run at once; POSTERN_ACCOUNT_MEGABYTES and
        POSTERN_HOST_MEGABYTES what is read in a UTC day, by host: `imap.gmail.com=2500,*=0` (0: no
        bound). POSTERN_SYNCS_PER_APPLICATION and POSTERN_SYNCS_PER_SERVER bound how many live syncs may take
        long at once. POSTERN_POLLS_PER_SECOND is how many accounts of one host are polled in a second.
        POSTERN_WEBHOOK_DESTINATIONS says which queues and event buses an application's webhooks may write to:
        `client_id=arn,client_id=arn`, `*` is any application.
        POSTERN_MAIL_NETWORKS lists networks (10.1.0.0/16) that are not public and in which mail servers may
        lie, POSTERN_MAIL_CA_FILE names a PEM file with authorities that mail servers are also verified with.
        POSTERN_REMOVAL_SECONDS is how long the removal of most of a folder waits for a second look.
        POSTERN_FINISH_SECONDS after a mail was sent it is looked whether its copy is where it belongs.
        """
        env = os.environ if env is None else env
        prefix = "POSTERN_QUEUE_"
        return cls(
            table_prefix=env["POSTERN_TABLE_PREFIX"],
            bucket=env["POSTERN_BUCKET"],
            key_id=env["POSTERN_KEY_ID"],
            pepper=env.get("POSTERN_PEPPER", ""),
            queue_urls={k[len(prefix) :].lower(): v for k, v in env.items() if k.startswith(prefix)},
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION", "us-east-1"),
            endpoint_url=env.get("AWS_ENDPOINT_URL") or None,
            history_days=int(env.get("POSTERN_HISTORY_DAYS", "30")),
            raw_days=int(env.get("POSTERN_RAW_DAYS", "7")),
            local=env.get("POSTERN_LOCAL") == "1",
            sync_seconds=float(env.get("POSTERN_SYNC_SECONDS", "90")),
            backfill_seconds=float(env.get("POSTERN_BACKFILL_SECONDS", "240")),
            backfills_per_host=int(env.get("POSTERN_BACKFILLS_PER_HOST", "8")),
            backfills_per_application=int(env.get("POSTERN_BACKFILLS_PER_APPLICATION", "16")),
            account_megabytes=_by_host(env.get("POSTERN_ACCOUNT_MEGABYTES", _ACCOUNT_MEGABYTES)),
            host_megabytes=_by_host(env.get("POSTERN_HOST_MEGABYTES", "")),
            polls_per_second=float(env.get("POSTERN_POLLS_PER_SECOND", "10")),
            longpoll_seconds=float(env.get("POSTERN_LONGPOLL_SECONDS", "25")),
            stream_seconds=float(env.get("POSTERN_STREAM_SECONDS", "840")),
            search_seconds=float(env.get("POSTERN_SEARCH_SECONDS", "15")),
            application_requests=int(env.get("POSTERN_APPLICATION_REQUESTS", "40")),
            waiting_requests=int(env.get("POSTERN_WAITING_REQUESTS", "160")),
            syncs_per_application=int(env.get("POSTERN_SYNCS_PER_APPLICATION", "30")),
            syncs_per_server=int(env.get("POSTERN_SYNCS_PER_SERVER", "20")),
            connects=int(env.get("POSTERN_CONNECTS", "32")),
            webhook_destinations=_by_owner(env.get("POSTERN_WEBHOOK_DESTINATIONS", "")),
            mail_networks=_networks(env.get("POSTERN_MAIL_NETWORKS", "")),
            mail_ca_file=env.get("POSTERN_MAIL_CA_FILE", ""),
            removal_seconds=int(env.get("POSTERN_REMOVAL_SECONDS") or _removal_seconds(env)),
            finish_seconds=int(env.get("POSTERN_FINISH_SECONDS", "60")),
        )


def _removal_seconds(env: Mapping[str, str]) -> int:
    return 30 if env.get("POSTERN_LOCAL") == "1" else 600  # the local runtime polls every few seconds


def _by_host(text: str) -> Mapping[str, int]:
    """Read `imap.gmail.com=2500,*=0`. Raises ValueError."""
    pairs = (pair.partition("=") for pair in _listed(text))
    return {host.strip().lower(): int(number) for host, _, number in pairs}


def _networks(text: str) -> tuple[Network, ...]:
    """Read `10.1.0.0/16, fd00::/8`. Raises ValueError."""
    try:
        return tuple(ip_network(name) for name in sorted(_listed(text)))
    except ValueError as error:
        raise ValueError(f"POSTERN_MAIL_NETWORKS: {error}.") from error


def _by_owner(text: str) -> Mapping[str, frozenset[str]]:
    """Read `client_id=arn,*=arn`; an ARN without an owner is nobody's."""
    found: dict[str, frozenset[str]] = {}
    for owner, equals, arn in (pair.partition("=") for pair in _listed(text)):
        if equals and owner.strip():
            found[owner.strip()] = found.get(owner.strip(), frozenset()) | {arn.strip()}
    return found


def _listed(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
