"""The supervisor of the local runtime: emulator, resources, HTTP front and workers, in that order.

docs/settings.md lists what the environment may say. With `--leashed` it ends when its standard input does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from infra.emulator.express import PATIENT
from infra.local import application, aws, certificates, emulator, resources, settings
from infra.local.addresses import HTTP_PORT, HTTPS_PORT, Addresses, port_of
from infra.local.aws import REGION, Aws
from infra.local.bootstrap import SIGNALS
from infra.local.template import Template, Unresolved
from infra.machine import leash
from infra.machine.claim import claim
from infra.machine.processes import Child, Supervisor, say
from infra.machine.state import ROOT, Home, read_json, write_json
from infra.machine.trouble import CannotStart

STACK = "postern-local"
LONGEST_WAIT = "1800"
"""Seconds: what v2 allowed /delta/longpoll and /delta/streaming; no gateway is in the way here."""

DEFAULTS = {
    "POSTERN_HISTORY_DAYS": "0",
    "POSTERN_LONGPOLL_SECONDS": LONGEST_WAIT,
    "POSTERN_STREAM_SECONDS": LONGEST_WAIT,
    "POSTERN_POLLS_PER_SECOND": "2",  # of more than eight accounts of a server each is polled less often
    "POSTERN_WATCH_LIST_SECONDS": "2",
    "POSTERN_CONNECTS": "6",  # these leave some of the front's 16 threads and of the eight that sync
    "POSTERN_SYNCS_PER_APPLICATION": "4",
    "POSTERN_SYNCS_PER_SERVER": "4",
}
"""Where this runtime differs from a deployment."""


def aws_environment(place: Aws) -> dict[str, str]:
    """Return what a process needs to find an endpoint, whatever proxies there are, and nothing else."""
    direct = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), place.host]
    return {"no_proxy": ",".join(filter(None, direct)), **place.environment}


def child_environment(home: Home, template: Template, place: Aws) -> dict[str, str]:
    """Return the environment of the front and the workers."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    chosen = {name: given.get(name) or default for name, default in DEFAULTS.items()}
    chosen |= {name: value for name, value in given.items() if value and name in settings.NUMBERS_AND_LISTS}
    own = {
        "POSTERN_HOME": str(home.path),
        "POSTERN_PEPPER": home.secret("pepper"),
        "POSTERN_LOCAL": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**given, **resources.environment(template), **aws_environment(place), **chosen, **own}


def patient(environment: Mapping[str, str]) -> dict[str, str]:
    """Let the emulator serve everybody else first; a key that is an account's number stays what it is."""
    key = environment["AWS_ACCESS_KEY_ID"]
    return {**environment, "AWS_ACCESS_KEY_ID": key if key.isdigit() else key + PATIENT}


class System:
    """Everything that runs in one home."""

    def __init__(self, home: Home, supervisor: Supervisor, foreign: Aws | None) -> None:
        self._home, self._supervisor, self._foreign = home, supervisor, foreign
        addresses = Addresses(home, os.environ)
        self._http = addresses.listening("http", "POSTERN_HTTP_PORT", HTTP_PORT)
        self._https = addresses.listening("https", "POSTERN_HTTPS_PORT", HTTPS_PORT)
        self._emulator = None if foreign else addresses.listening("emulator", "POSTERN_EMULATOR_PORT")

    def start(self) -> dict[str, object]:
        """Start everything and return the content of postern.json."""
        self._forget_places()
        place = self._foreign or self._start_emulator()
        os.environ.update(aws_environment(place))
        template = _created(place)
        certificates.ensure(self._home)
        self._start_ours(child_environment(self._home, template, place))
        return self._info(place)

    def _forget_places(self) -> None:
        """After a crash read the streams again: they may have gone back."""
        if not self._home.clean.exists():
            for checkpoint in self._home.checkpoints.glob("*.json"):
                checkpoint.unlink()
        self._home.clean.unlink(missing_ok=True)

    def _start_emulator(self) -> Aws:
        opened = self._emulator
        if opened is None or not emulator.python().exists():
            raise CannotStart("The emulator is not installed; start with `make run`.")
        key, port = self._home.secret("emulator"), port_of(opened)
        command, environment = emulator.command(opened.fileno()), emulator.environment(self._home, key)
        self._supervisor.start(Child("emulator", command, environment, (opened.fileno(),)))
        emulator.wait_for_answer(port, lambda: self._supervisor.is_alive("emulator"))
        return Aws(url=f"http://127.0.0.1:{port}", origin="its own emulator", access_key=key)

    def _start_ours(self, environment: Mapping[str, str]) -> None:
        files = (self._http.fileno(), self._https.fileno())
        front = (sys.executable, "-m", "infra.gateway.front", *map(str, files))
        self._supervisor.start(Child("front", front, environment, files))
        for part in ("sync", "backfill", "rest"):
            command = (sys.executable, "-m", "infra.functions.pollers", part)
            its = patient(environment) if part == "backfill" and not self._foreign else environment
            self._supervisor.start(Child(f"worker-{part}", command, its))
        self._supervisor.once(
            Child("application", (sys.executable, "-m", "infra.local.application"), environment)
        )
        emulator.wait_for_answer(port_of(self._http), lambda: self._supervisor.is_alive("front"))

    def _info(self, place: Aws) -> dict[str, object]:
        secret = self._home.secret("client")
        return {
            "api_url": f"http://127.0.0.1:{port_of(self._http)}",
            "https_url": f"https://127.0.0.1:{port_of(self._https)}",
            "ca_file": str(self._home.ca),
            "console_url": None,
            "client_id": application.id_of(secret),
            "client_secret": secret,
            "aws_endpoint_url": place.url,
            "aws_access_key_id": place.access_key,
            "aws_secret_access_key": place.secret_key,
            "aws_origin": place.origin,
            "pid": os.getpid(),
        }


def _created(place: Aws) -> Template:
    """Return the template once all it names is there. Raises CannotStart."""
    named = os.environ.get("POSTERN_TEMPLATE")
    try:
        template = Template.read(Path(named or ROOT / "template.yaml"), STACK, REGION)
        resources.create(template)
    except (BotoCoreError, ClientError) as error:
        raise CannotStart(f"{place.url} ({place.origin}) does not answer as AWS does: {error}") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, Unresolved) as error:
        kind = type(error).__name__
        if named:
            raise CannotStart(
                f"POSTERN_TEMPLATE names {named}, which is no template of ours: {kind}."
            ) from None
        raise CannotStart(f"{place.url} ({place.origin}) does not answer as AWS does: {kind}.") from None
    return template


def _serve(home: Home, supervisor: Supervisor, foreign: Aws | None) -> None:
    """Run until we are asked to stop; a lost emulator means to begin again."""
    system = System(home, supervisor, foreign)
    while True:
        began = time.monotonic()
        info = system.start()
        write_json(home.info, info)
        _report(home, info, time.monotonic() - began)
        supervisor.watch()
        supervisor.stop()
        home.info.unlink(missing_ok=True)


def _report(home: Home, info: Mapping[str, object], seconds: float) -> None:
    say(f"Postern is ready after {seconds:.1f} s.")
    say(f"  API        {info['api_url']}  {info['https_url']} (CA {info['ca_file']})")
    say(f"  AWS        {info['aws_endpoint_url']} ({info['aws_origin']})")
    say(f"  Client id  {info['client_id']}; the secret stands in {home.info}")
    say(f"  Logs       {home.logs}")
    say("README.md has commands to try. Ctrl-C stops it.")


def _heed_signals(supervisor: Supervisor) -> None:
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, supervisor.ask_to_stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if "--leashed" in sys.argv:
        leash.tie(to_thread=False)


def _prepare(home: Home) -> Aws | None:
    """Check every setting before anything starts; return the endpoint that was named."""
    for line in settings.strange(os.environ):
        say(line, sys.stderr)
    settings.check(os.environ)
    try:
        home.prepare()
    except OSError as error:
        raise CannotStart(
            f"{home.path} (POSTERN_HOME) cannot be used: {os.strerror(error.errno or 0)}."
        ) from None
    found = aws.foreign(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # what is needed of it is in `found`
    if found:
        _await(found)
    return found


def _await(place: Aws) -> None:
    try:
        emulator.wait(place.host, place.port, seconds=5)
    except TimeoutError:
        raise CannotStart(f"Nothing answers at {place.url} ({place.origin}).") from None


def main() -> int:
    """Run until told to stop."""
    home = Home.from_env()
    supervisor = Supervisor(home)
    with ExitStack() as stack:
        try:
            _heed_signals(supervisor)
            foreign = _prepare(home)
            stack.enter_context(claim(home))
            stack.callback(_end, home, supervisor)
            _serve(home, supervisor, foreign)
        except supervisor.Stopped:
            return 0
        except CannotStart as reason:
            say(f"Postern cannot start: {reason}", sys.stderr)
        except OSError as error:
            say(f"Postern cannot start: {error} Logs: {home.logs}", sys.stderr)
    return 1


def _end(home: Home, supervisor: Supervisor) -> None:
    supervisor.stop()
    if supervisor.orderly:
        write_json(home.clean, True)
    if (read_json(home.info) or {}).get("pid") == os.getpid():
        home.info.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
