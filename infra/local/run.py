"""The supervisor of the local runtime: emulator, resources, HTTP front and workers, in that order.

POSTERN_HOME names the directory of this instance (default .local), POSTERN_HTTP_PORT and
POSTERN_HTTPS_PORT its ports (0 picks free ones), AWS_ENDPOINT_URL an emulator that runs already.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import certificates, emulator, ports, resources
from infra.local.emulator_express import PATIENT
from infra.local.processes import Child, Supervisor
from infra.local.state import ROOT, Home, read_json, write_json
from infra.local.template import Template

STACK = "postern-local"
PARAMETERS = (
    "POSTERN_ACCOUNT_MEGABYTES",
    "POSTERN_HOST_MEGABYTES",
    "POSTERN_BACKFILLS_PER_HOST",
    "POSTERN_BACKFILLS_PER_APPLICATION",
    "POSTERN_POLLS_PER_SECOND",
    "POSTERN_MAIL_NETWORKS",
    "POSTERN_MAIL_CA_FILE",
    "POSTERN_SYNCS_PER_APPLICATION",
    "POSTERN_SYNCS_PER_SERVER",
    "POSTERN_CONNECTS",
    "POSTERN_APPLICATION_REQUESTS",
    "POSTERN_WAITING_REQUESTS",
)
"""Parameters of the template that the environment may set."""

POLLS_PER_SECOND = "2"
"""Of one mail server: of more than eight accounts each is polled less often than every five seconds."""

OF_FEW_THREADS = {
    "POSTERN_CONNECTS": "6",
    "POSTERN_SYNCS_PER_APPLICATION": "4",
    "POSTERN_SYNCS_PER_SERVER": "4",
}
"""Bounds that leave some of the front's 16 threads, and of the eight that sync, to others."""

REGION = "us-east-1"
HTTP_PORT, HTTPS_PORT, EMULATOR_PORT = 8025, 8425, 8566
LONGEST_WAIT = "1800"
"""Seconds: what v2 allowed /delta/longpoll and /delta/streaming; no gateway is in the way here."""


class CannotStart(Exception):
    """A one-sentence reason that a person can act on."""


def free_port(variable: str, preferred: int) -> int:
    """Return the port named by a variable, else the preferred one, else any that is free."""
    named = os.environ.get(variable)
    if named and named != "0":
        if not ports.bindable(int(named)):
            raise CannotStart(f"Port {named} ({variable}) is in use; free it or choose another.")
        return int(named)
    return preferred if not named and ports.bindable(preferred) else ports.any_free()


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """Return what boto3 needs to find the emulator, whatever proxies there are, and nothing else."""
    direct = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), urlsplit(endpoint_url).hostname]
    return {
        "no_proxy": ",".join(filter(None, direct)),
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", "local"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "local"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def child_environment(home: Home, template: Template, endpoint_url: str) -> dict[str, str]:
    """Return the environment of the front and the workers."""
    own = {
        "POSTERN_HOME": str(home.path),
        "POSTERN_PEPPER": home.secret("pepper"),
        "POSTERN_LOCAL": "1",
        "POSTERN_HISTORY_DAYS": os.environ.get("POSTERN_HISTORY_DAYS", "0"),
        "POSTERN_LONGPOLL_SECONDS": os.environ.get("POSTERN_LONGPOLL_SECONDS", LONGEST_WAIT),
        "POSTERN_STREAM_SECONDS": os.environ.get("POSTERN_STREAM_SECONDS", LONGEST_WAIT),
        "POSTERN_POLLS_PER_SECOND": POLLS_PER_SECOND,
        **OF_FEW_THREADS,
        "POSTERN_WEBHOOK_DESTINATIONS": os.environ.get("POSTERN_WEBHOOK_DESTINATIONS", ""),
        "POSTERN_WATCH_LIST_SECONDS": os.environ.get("POSTERN_WATCH_LIST_SECONDS", "2"),
        "PYTHONUNBUFFERED": "1",
    }
    own |= {name: os.environ[name] for name in PARAMETERS if name in os.environ}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**inherited, **resources.environment(template), **aws_environment(endpoint_url), **own}


def patient(environment: Mapping[str, str]) -> dict[str, str]:
    """Let the emulator serve everybody else first; a key that is an account's number stays what it is."""
    key = environment["AWS_ACCESS_KEY_ID"]
    return {**environment, "AWS_ACCESS_KEY_ID": key if key.isdigit() else key + PATIENT}


def start(home: Home, supervisor: Supervisor, http: int, https: int) -> Mapping[str, object]:
    """Start everything and return the content of postern.json."""
    if not home.clean.exists():  # streams may have gone back to the last snapshot: read them again
        for checkpoint in home.checkpoints.glob("*.json"):
            checkpoint.unlink()
    home.clean.unlink(missing_ok=True)
    endpoint_url = _endpoint(home, supervisor)
    os.environ.update(aws_environment(endpoint_url))
    path = Path(os.environ.get("POSTERN_TEMPLATE") or ROOT / "template.yaml")
    template = Template.read(path, STACK, REGION)
    resources.create(template)
    certificates.ensure(home)
    environment = child_environment(home, template, endpoint_url)
    secret = home.secret("client")
    client_id = hashlib.sha256(secret.encode()).hexdigest()[:25]
    front = (sys.executable, "-m", "infra.local.front", str(http), str(https))
    supervisor.start(Child("front", front, environment))
    for part in ("sync", "backfill", "rest"):
        command = (sys.executable, "-m", "infra.local.pollers", part)
        its = patient(environment) if part == "backfill" else environment
        supervisor.start(Child(f"worker-{part}", command, its))
    supervisor.once(
        Child(
            "application", (sys.executable, "-m", "infra.local.application", client_id, secret), environment
        )
    )
    for port in (http, https):
        emulator.wait("127.0.0.1", port)
    return {
        "api_url": f"http://127.0.0.1:{http}",
        "https_url": f"https://127.0.0.1:{https}",
        "ca_file": str(home.ca),
        "console_url": None,
        "client_id": client_id,
        "client_secret": secret,
        "aws_endpoint_url": endpoint_url,
        "pid": os.getpid(),
    }


def _endpoint(home: Home, supervisor: Supervisor) -> str:
    """Return the endpoint of the emulator, started here unless the environment names one."""
    given = os.environ.get("POSTERN_ENDPOINT_URL")
    if given:
        place = urlsplit(given)
        port = place.port or (443 if place.scheme == "https" else 80)
        emulator.wait(place.hostname or "", port, seconds=5)
        return given
    if not emulator.python().exists():
        raise CannotStart("The emulator is not installed; start with `make run`.")
    port = free_port("POSTERN_EMULATOR_PORT", EMULATOR_PORT)
    environment = emulator.environment(home, port)
    supervisor.start(Child("emulator", tuple(emulator.command()), environment))
    emulator.wait("127.0.0.1", port)
    return f"http://127.0.0.1:{port}"


def _claim(home: Home) -> None:
    """Refuse to run twice in one home."""
    running = (read_json(home.info) or {}).get("pid")
    command = Path(f"/proc/{running}/cmdline")
    if running and command.exists() and b"infra.local.run" in command.read_bytes():
        raise CannotStart(f"Postern runs already in {home.path} (process {running}).")
    home.info.unlink(missing_ok=True)


def _report(home: Home, info: Mapping[str, object], seconds: float) -> None:
    print(f"Postern is ready after {seconds:.1f} s.")
    print(f"  API        {info['api_url']}  {info['https_url']} (CA {info['ca_file']})")
    print(f"  Client id  {info['client_id']}; the secret stands in {home.info}")
    print(f"  Logs       {home.logs}")
    print("Ctrl-C stops it.", flush=True)


def _serve(home: Home, supervisor: Supervisor) -> None:
    """Run until we are asked to stop; a lost emulator means to begin again."""
    http, https = free_port("POSTERN_HTTP_PORT", HTTP_PORT), free_port("POSTERN_HTTPS_PORT", HTTPS_PORT)
    while True:
        began = time.monotonic()
        info = start(home, supervisor, http, https)
        write_json(home.info, info)
        _report(home, info, time.monotonic() - began)
        supervisor.watch()
        supervisor.stop()


def main() -> int:
    """Run until told to stop."""
    home = Home.from_env()
    home.prepare()
    if "AWS_ENDPOINT_URL" in os.environ:  # an emulator that is not ours; the name is reused below
        os.environ["POSTERN_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    supervisor = Supervisor(home)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.ask_to_stop)
    try:
        _claim(home)
        _serve(home, supervisor)
    except supervisor.Stopped:
        pass
    except (CannotStart, TimeoutError, OSError) as error:
        print(f"Postern cannot start: {error} Logs: {home.logs}", file=sys.stderr)
        return 1
    finally:
        supervisor.stop()
        if supervisor.orderly:
            write_json(home.clean, True)
        if (read_json(home.info) or {}).get("pid") == os.getpid():
            home.info.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
