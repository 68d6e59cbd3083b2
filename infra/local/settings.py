"""What the environment may set, checked before anything starts. docs/settings.md explains each name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from chalicelib import config
from chalicelib.config import BadSetting, Number
from infra.local.aws import LOCALSTACK, WHICH
from infra.machine.trouble import CannotStart
from infra.watcher import limits

TICK = Number("seconds between two ticks", 5, 0.1, 3_600, whole=False)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PORT = Number("a port; 0 picks a free one", 0, 0, 65_535)
_NUMBERS = {
    **config.NUMBERS,
    **limits.NUMBERS,
    "POSTERN_TICK_SECONDS": TICK,
    **{f"POSTERN_{name}_PORT": _PORT for name in ("HTTP", "HTTPS", "EMULATOR")},
}
_CHOICES = {
    "POSTERN_LOG_LEVEL": LEVELS,
    "POSTERN_WATCH": ("0", "1"),
    "POSTERN_COUNT_UNITS": ("0", "1"),
    WHICH: ("emulator", LOCALSTACK),
}
_FILES = ("POSTERN_TEMPLATE", "POSTERN_EMULATOR_PYTHON", "POSTERN_MAIL_CA_FILE")
_ARN = re.compile(r"arn:[\w-]+:(sqs|events):[\w-]+:\d{12}:\S+")
LIKENESS = 0.85
NUMBERS_AND_LISTS = frozenset(config.NUMBERS) | frozenset(limits.NUMBERS) | frozenset(config.LISTS)
KNOWN = frozenset({*_NUMBERS, *_CHOICES, *_FILES, *config.LISTS, "POSTERN_HOME", "POSTERN_INSTALL"})
_OURS = re.compile(r"POSTERN_(QUEUE_\w+|TABLE_PREFIX|BUCKET|KEY_ID|PEPPER|LOCAL)")
"""What this runtime tells its children; a value that is inherited is replaced."""


def check(env: Mapping[str, str]) -> None:
    """Raise CannotStart with one sentence if a setting cannot be what it is."""
    try:
        for name, number in _NUMBERS.items():
            number.of(env, name)
        for name in ("POSTERN_ACCOUNT_MEGABYTES", "POSTERN_HOST_MEGABYTES"):
            config.by_host(env, name)
        for name, choices in _CHOICES.items():
            _check_choice(env.get(name, ""), name, choices)
        for name in _FILES:
            _check_file(env.get(name, ""), name)
        config.networks(env.get("POSTERN_MAIL_NETWORKS", ""))
        _check_arns(env.get("POSTERN_WEBHOOK_DESTINATIONS", ""))
        _check_ports(env)
        _check_proxies(env)
    except BadSetting as error:
        raise CannotStart(str(error)) from None


def level(env: Mapping[str, str]) -> str:
    """Return the level of the logs."""
    return env.get("POSTERN_LOG_LEVEL", "").upper() or "INFO"


def strange(env: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that looks like one of ours and is none."""
    for name in sorted(env):
        if name.upper().startswith("POSTERN_") and name not in KNOWN and not _OURS.fullmatch(name):
            near = difflib.get_close_matches(name.upper(), KNOWN, 1, LIKENESS)
            advice = f"; did you mean {near[0]}?" if near else "."
            yield f"{name} is no setting of Postern (docs/settings.md lists them){advice}"


def _check_choice(value: str, name: str, choices: tuple[str, ...]) -> None:
    allowed = {*choices, *(each.lower() for each in choices)}
    if value and value not in allowed:
        raise BadSetting(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def _check_file(value: str, name: str) -> None:
    if value and not Path(value).is_file():
        raise BadSetting(f"{name} must name a file; there is none at {value!r}.")


def _check_arns(value: str) -> None:
    for pair in filter(None, map(str.strip, value.split(","))):
        owner, _, arn = map(str.strip, pair.partition("="))
        if not owner or not _ARN.fullmatch(arn):
            raise BadSetting(
                f"POSTERN_WEBHOOK_DESTINATIONS must list client_id=ARN of queues and buses, not {pair!r}."
            )


def _check_ports(env: Mapping[str, str]) -> None:
    named = [(env.get(name, "").strip(), name) for name in _NUMBERS if name.endswith("_PORT")]
    taken: dict[str, str] = {}
    for port, name in named:
        if port not in ("", "0") and taken.setdefault(port, name) != name:
            raise BadSetting(f"{name} and {taken[port]} name the same port {port}.")


def _check_proxies(env: Mapping[str, str]) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        try:
            urlsplit(env.get(name, "")).port  # noqa: B018 reading it checks it
        except ValueError:
            raise BadSetting(f"{name} must be a URL such as http://proxy.example:3128.") from None
