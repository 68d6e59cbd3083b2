"""`make demo`: the whole system with a made-up mailbox, and commands to try on it."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from contextlib import ExitStack
from typing import Any

import urllib3

from infra.demo import dovecot
from infra.demo.client import Client, mailbox
from infra.demo.mailbox import OWNER
from infra.demo.progress import await_sync
from infra.demo.submission import Submission, be_quiet
from infra.demo.visitor import fill
from infra.local.bootstrap import SIGNALS
from infra.local.runtime import LocalRuntime
from infra.machine.claim import claim
from infra.machine.processes import say
from infra.machine.state import Home, write_json
from infra.machine.trouble import CannotStart

HOME = Home.from_env().path / "demo"
MESSAGES = 400
FRIEND = "jonas@werft.example"

_COMMANDS = """
{owner} is connected. In another terminal:

# Three conversations
curl -s -H 'Authorization: Bearer {token}' '{api_url}/threads?limit=3'

# Note where the changes stand
CURSOR=$(curl -s -X POST -H 'Authorization: Bearer {token}' {api_url}/delta/latest_cursor | cut -d'"' -f4)

# Send a message
curl -s -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' {api_url}/send \\
  -d '{{"to": [{{"email": "{friend}"}}], "subject": "Soundings", "body": "<p>All done.</p>"}}'

# See it arrive in the recipient's mailbox
curl -s -u {friend}:{password} 'imap://127.0.0.1:{imap}/INBOX;MAILINDEX=1'

# What changed since the cursor, a moment later
sleep 2; curl -s -H 'Authorization: Bearer {token}' "{api_url}/delta?cursor=$CURSOR"

# The same with the Python SDK (pip install nylas==5.14.1 elsewhere)
REQUESTS_CA_BUNDLE='{ca_file}' '{python}' - <<'END'
from nylas import APIClient

client = APIClient("{client_id}", "{client_secret}",
                   "{token}", api_server="{https_url}")
print(client.account.email_address)
for message in client.messages.where(limit=3):
    print(message.subject)
END

Ctrl-C stops everything.
"""

LOOK_SECONDS = 0.5
_asked: list[int] = []
"""Signals: one may come while Python runs something whose exceptions it drops, such as a finalizer."""


def main() -> int:
    """Run the demo until Ctrl-C or SIGTERM; return the exit status."""
    if not dovecot.installed():
        print("make demo needs Dovecot: install the package dovecot-imapd.", file=sys.stderr)
        return 1
    be_quiet()
    try:
        for number in SIGNALS:
            signal.signal(number, _interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with ExitStack() as stack:
            _present(stack)
            _wait()
    except KeyboardInterrupt:
        say("\nStopped.")
    except (CannotStart, RuntimeError, OSError, urllib3.exceptions.HTTPError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def _present(stack: ExitStack) -> None:
    """Start everything, whose ends go onto the stack, and print what can be tried."""
    home = _fresh_home()
    runtime = LocalRuntime(home.path)
    print(f"Filling a mailbox with {MESSAGES} messages and starting Postern …", flush=True)
    imap = dovecot.Dovecot()
    stack.callback(imap.stop)
    imap.start()
    smtp = stack.enter_context(Submission(imap))
    fill(imap, OWNER[1], MESSAGES)
    stack.callback(runtime.stop)
    info = runtime.start()
    client = Client(info)
    client.connect(imap, smtp)
    await_sync(client, MESSAGES)
    write_json(home.mailbox, mailbox(imap, smtp))
    print(_commands(info, client.token, imap), end="", flush=True)


def _fresh_home() -> Home:
    """Empty the demo's directory, so that ids are fresh. Raises CannotStart if a demo uses it."""
    home = Home(HOME)
    home.prepare()
    with claim(home):
        for path in home.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != home.lock:
                path.unlink()
    return home


def _commands(info: dict[str, Any], token: str, imap: dovecot.Dovecot) -> str:
    """Return the text that shows what can be tried, ready to paste."""
    own = {"token": token, "imap": imap.imap, "password": dovecot.PASSWORD, "python": sys.executable}
    return _COMMANDS.format(**info, **own, owner=OWNER[1], friend=FRIEND)


def _wait() -> None:
    """Wait for a signal, whose handler ends this, or has tried to where an exception goes unheard."""
    while not _asked:
        time.sleep(LOOK_SECONDS)
    raise KeyboardInterrupt


def _interrupt(number: int, frame: object) -> None:
    """Turn the first signal into KeyboardInterrupt; later ones must not cut the cleaning up short."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    _asked.append(number)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
