"""The main job against an AWS endpoint that is not our emulator: `moto_server`, found as LocalStack is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.demo.dovecot import Dovecot
from infra.demo.submission import Submission
from infra.demo.visitor import fill, login
from infra.local import emulator
from infra.local.runtime import LocalRuntime
from infra.machine import ports
from infra.machine.state import ROOT
from tests.e2e.conftest import Endpoint, eventually
from tests.e2e.connecting import connect, token_of

pytestmark = [pytest.mark.e2e, pytest.mark.server]
USER = "elsewhere@kestrel.example"
COUNT = 30


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Give host and port of an AWS that is nobody's but moto's."""
    port = ports.any_free()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    leashed = [sys.executable, "-m", "infra.machine.leash", *command]
    with subprocess.Popen(
        leashed, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        emulator.wait("127.0.0.1", port, seconds=60)
        yield f"127.0.0.1:{port}"
        server.terminate()


@pytest.mark.parametrize("way", ["AWS_ENDPOINT_URL", "LOCALSTACK_HOST"])
def test_the_start_says_which_endpoint_it_uses_and_starts_no_emulator(
    way: str, moto: str, tmp_path: Path
) -> None:
    named = {"AWS_ENDPOINT_URL": f"http://{moto}"}
    localstack = {"POSTERN_AWS": "localstack", "LOCALSTACK_HOST": moto}
    runtime = LocalRuntime(tmp_path, **(named if way == "AWS_ENDPOINT_URL" else localstack))
    with runtime as info:
        assert info["aws_endpoint_url"] == f"http://{moto}"
        with pytest.raises(KeyError):
            runtime.pid("emulator")
    why = "AWS_ENDPOINT_URL names it" if way == "AWS_ENDPOINT_URL" else "POSTERN_AWS=localstack"
    assert f"AWS        http://{moto} ({why})" in (tmp_path / "logs" / "supervisor.log").read_text()


def test_the_main_job_works_against_moto_server(
    moto: str, tmp_path: Path, imap_server: Dovecot, smtp_server: Submission, endpoint: Endpoint
) -> None:
    fill(imap_server, USER, COUNT, seed=9)
    with LocalRuntime(tmp_path, AWS_ENDPOINT_URL=f"http://{moto}") as info:
        token = token_of(info, connect(info, imap_server, smtp_server, USER).json()["code"])["access_token"]
        api = Api(info, token)
        eventually(lambda: api.get("/account")["sync_state"] == "running", 90)
        assert api.get("/messages?view=count")["count"] == COUNT
        hook = {"callback_url": endpoint.url, "triggers": ["message.created"], "state": "active"}
        api.post(f"/a/{info['client_id']}/webhooks", hook, info["client_secret"])
        cursor = api.post("/delta/latest_cursor")["cursor"]
        with login(imap_server, USER) as person:
            person.append("INBOX", b"Message-ID: <new@x>\r\nSubject: brand new\r\n\r\nhello\r\n")
        eventually(lambda: any(b"message.created" in body for _, body in endpoint.received), 60)
        mail = {"to": [{"email": "jonas@werft.example"}], "subject": "Soundings", "body": "<p>Done.</p>"}
        sent = api.post("/send", mail)
        eventually(lambda: {"brand new", "Soundings"} <= api.subjects(cursor), 60)
        assert b"Subject: Soundings" in api.raw(sent["id"])
        thread = api.get("/threads?limit=1")[0]
        api.put(f"/threads/{thread['id']}", {"starred": True})
        eventually(lambda: flagged(imap_server), 60)


def flagged(server: Dovecot) -> bool:
    with login(server, USER) as person:
        for folder in ("Sent", "INBOX"):
            person.select_folder(folder, readonly=True)
            if person.search(["FLAGGED", "SINCE", time.strftime("%d-%b-%Y")]):
                return True
    return False


class Api:
    """The API of one account."""

    def __init__(self, info: dict[str, Any], token: str) -> None:
        self._url, self._token = info["api_url"], token

    def get(self, path: str) -> Any:
        return self._ask("GET", path).json()

    def post(self, path: str, body: Any = None, secret: str = "") -> Any:
        return self._ask("POST", path, body, secret).json()

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, body).json()

    def raw(self, id: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "message/rfc822"}
        return requests.get(f"{self._url}/messages/{id}", headers=headers, timeout=60).content

    def subjects(self, cursor: str) -> set[str]:
        deltas = self.get(f"/delta?cursor={cursor}")["deltas"]
        return {each.get("attributes", {}).get("subject", "") for each in deltas}

    def _ask(self, method: str, path: str, body: Any = None, secret: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {secret or self._token}"}
        answer = requests.request(method, self._url + path, json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer
