"""Settings of this deployment; the only reader of os.environ."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_API_VERSION = "2.5"


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
    longpoll_seconds: float = 25.0
    stream_seconds: float = 840.0
    search_seconds: float = 15.0
    application_requests: int = 500
    webhook_destinations: frozenset[str] = frozenset()

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment of a Lambda function (or of the local runtime).

        POSTERN_TABLE_PREFIX, POSTERN_BUCKET, POSTERN_KEY_ID and POSTERN_PEPPER are required;
        POSTERN_QUEUE_<NAME> names the URL of the queue <name> in lower case;
        POSTERN_HISTORY_DAYS counts days of mail kept, 0 means everything. POSTERN_LONGPOLL_SECONDS and
        POSTERN_STREAM_SECONDS bound /delta/longpoll and /delta/streaming: API Gateway ends a plain
        request after 29 s and Lambda a streamed one after 15 minutes; POSTERN_SEARCH_SECONDS bounds the walk
        through an account's folders for the same reason. POSTERN_APPLICATION_REQUESTS
        bounds how many of each may be under way at once for one application.
        POSTERN_WEBHOOK_DESTINATIONS lists the ARNs of queues and event buses webhooks may write to.
        """
        env = os.environ if env is None else env
        prefix = "POSTERN_QUEUE_"
        return cls(
            table_prefix=env["POSTERN_TABLE_PREFIX"],
            bucket=env["POSTERN_BUCKET"],
            key_id=env["POSTERN_KEY_ID"],
            pepper=env["POSTERN_PEPPER"],
            queue_urls={k[len(prefix) :].lower(): v for k, v in env.items() if k.startswith(prefix)},
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION", "us-east-1"),
            endpoint_url=env.get("AWS_ENDPOINT_URL") or None,
            history_days=int(env.get("POSTERN_HISTORY_DAYS", "30")),
            raw_days=int(env.get("POSTERN_RAW_DAYS", "7")),
            local=env.get("POSTERN_LOCAL") == "1",
            sync_seconds=float(env.get("POSTERN_SYNC_SECONDS", "90")),
            longpoll_seconds=float(env.get("POSTERN_LONGPOLL_SECONDS", "25")),
            stream_seconds=float(env.get("POSTERN_STREAM_SECONDS", "840")),
            search_seconds=float(env.get("POSTERN_SEARCH_SECONDS", "15")),
            application_requests=int(env.get("POSTERN_APPLICATION_REQUESTS", "500")),
            webhook_destinations=_listed(env.get("POSTERN_WEBHOOK_DESTINATIONS", "")),
        )


def _listed(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
