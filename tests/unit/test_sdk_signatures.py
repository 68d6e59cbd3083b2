"""Signatures as the receivers' own libraries verify them.

Python's run always. Node's and Ruby's official SDKs are used where they can be loaded:
`make sdk-test` fetches Node's; Ruby finds the gem, or a folder named in RUBYLIB.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from nylas.client.restful_models import Webhook as PythonSdk
from standardwebhooks.webhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError

from chalicelib.domain.accounts.application import Application
from chalicelib.domain.log.delta import Change, Operation
from chalicelib.webhooks.delivery import signature
from tests.fakes.services import MemoryApplications
from tests.worlds.webhooks import World, hook, message

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = Path(os.environ.get("POSTERN_NODE_MODULES", ROOT / ".local" / "sdk" / "node_modules"))
PUBLISHED = "ddc02f921a4835e310f249dc09770c3fea2cb6fe949adc1887d7adc04a581e1c"
OLD, NEW = "7d1e0c5b2f6a4a0d", "ünï-cödé secret/+="

NODE = """
const { default: N } = require('nylas/lib/models/webhook-notification');
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(cases.map(([signed, body, secret]) =>
  N.verifyWebhookSignature(signed, Buffer.from(body, 'utf8'), secret))));
"""
NODE_REMADE = """
const { default: N } = require('nylas/lib/models/webhook-notification');
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(cases.slice(1).map(([signed, body, secret]) =>
  N.verifyWebhookSignature(signed, Buffer.from(JSON.stringify(JSON.parse(body))), secret))));
"""
RUBY = """
require 'json'
require 'nylas'
cases = JSON.parse($stdin.read)
puts JSON.generate(cases.map { |signed, body, secret|
  Nylas::Webhook.verify_webhook_signature(signed, body, secret) })
"""


@dataclass(frozen=True)
class Case:
    """What a receiver has in its hands, and whether it is genuine."""

    signed: str
    body: bytes
    secret: str
    genuine: bool


def notifications(previous: bool = False) -> list[tuple[dict[str, str], bytes]]:
    """Return what an endpoint is really sent: one change, many, and names outside ASCII."""
    world = World(now=int(time.time()))
    applications = MemoryApplications({"app": (Application(id="app", name="Desk"), NEW)})
    if previous:
        applications.previous["app"] = (OLD, world.now + 60)
    world.applications = applications
    world.add(hook("w", triggers=frozenset({"message.created", "account.running"})))
    world.append("a", [message("m0")])
    world.run()
    world.append("a", [message(f"m{n}") for n in range(1, 80)])
    world.run()
    odd = replace(message("é/\u2028\"<>&'😀"), attributes=(("thread_id", "naïve\\"), ("received_date", 0)))
    state = (("sync_state", "running"),)
    world.append(
        "a",
        [
            odd,
            Change(account_id="a", kind="account", id="a", event=Operation.MODIFY, rev=9, attributes=state),
        ],
    )
    world.run()
    posts = world.posted["https://w.example/"]
    assert [len(post.ids) for post in posts] == [1, 79, 2]
    return [(dict(post.headers), post.body) for post in posts]


def cases() -> list[Case]:
    """Return a published vector, and notifications as sent and with a wrong body, secret or signature."""
    made = [Case(PUBLISHED, b"test123", "myClientSecret", True)]
    for headers, body in notifications():
        signed = headers["X-Nylas-Signature"]
        made.append(Case(signed, body, NEW, True))
        made.append(Case(signed, body + b" ", NEW, False))
        made.append(Case(signed, body.replace(b"date", b"Date", 1), NEW, False))
        made.append(Case(signed, body, OLD, False))
        made.append(Case(signed[:-1] + ("0" if signed[-1] != "0" else "1"), body, NEW, False))
    return made


def answers(command: list[str], **environment: str) -> list[bool]:
    """Run another language's SDK over all cases; skip with its own words if it cannot be loaded."""
    given = json.dumps([[case.signed, case.body.decode(), case.secret] for case in cases()])
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60
    )
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "rror" in line), "it fails")
        pytest.skip(f"the SDK cannot be loaded by {command[0]}: {reason.strip()[:200]}")
    verdicts: list[bool] = json.loads(done.stdout)
    return verdicts


def expected() -> list[bool]:
    return [case.genuine for case in cases()]


def test_the_official_python_sdk_verifies_what_is_sent() -> None:
    verdicts = [PythonSdk.verify_webhook_signature(c.signed, c.body, c.secret) for c in cases()]
    assert verdicts == expected()


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_the_official_node_sdk_verifies_what_is_sent() -> None:
    assert answers(["node", "-e", NODE], NODE_PATH=node_modules()) == expected()


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_it_also_verifies_what_a_receiver_has_parsed_and_written_again() -> None:
    """As the vendor's own sample does it; genuine notifications must pass."""
    verdicts = answers(["node", "-e", NODE_REMADE], NODE_PATH=node_modules())
    assert [verdict for verdict, case in zip(verdicts, cases()[1:], strict=True) if case.genuine] == [
        True
    ] * 3


def node_modules() -> str:
    if not (NODE_MODULES / "nylas").is_dir():
        pytest.skip("the npm package nylas 6 is missing: run `make sdk-test`, or set POSTERN_NODE_MODULES")
    return str(NODE_MODULES)


@pytest.mark.skipif(not shutil.which("ruby"), reason="Ruby is not installed")
def test_the_official_ruby_sdk_verifies_what_is_sent() -> None:
    assert answers(["ruby", "-e", RUBY]) == expected()


def test_the_standard_webhooks_library_verifies_what_is_sent() -> None:
    verifier = StandardWebhook(signature.standard_secret(NEW))
    for headers, body in notifications():
        assert verifier.verify(body, headers) == json.loads(body)
        for name, value in (("webhook-id", "other"), ("webhook-timestamp", str(int(time.time()) - 9))):
            with pytest.raises(WebhookVerificationError):
                verifier.verify(body, {**headers, name: value})
        with pytest.raises(WebhookVerificationError):
            verifier.verify(body + b" ", headers)
        with pytest.raises(WebhookVerificationError):
            StandardWebhook(signature.standard_secret(OLD)).verify(body, headers)


def test_while_two_secrets_are_valid_receivers_verify_with_either() -> None:
    for headers, body in notifications(previous=True):
        for secret in (OLD, NEW):
            verifier = StandardWebhook(signature.standard_secret(secret))
            assert verifier.verify(body, headers) == json.loads(body)
        assert PythonSdk.verify_webhook_signature(headers["X-Nylas-Signature"], body, OLD)
        assert PythonSdk.verify_webhook_signature(headers["X-Nylas-Signature-Next"], body, NEW)
