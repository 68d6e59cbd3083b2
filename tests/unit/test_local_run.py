"""What the supervisor of the local runtime gives its children."""

from __future__ import annotations

import pytest
from botocore.utils import get_environ_proxies

from infra.local import run
from infra.local.aws import Aws

EMULATOR = "http://127.0.0.1:8566"


@pytest.mark.parametrize("given", ["", "corp.example"])
def test_the_emulator_is_asked_without_the_proxy_of_the_environment(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", given)
    monkeypatch.delenv("no_proxy", raising=False)
    assert get_environ_proxies(EMULATOR)
    for name, value in run.aws_environment(Aws(url=EMULATOR, origin="")).items():
        monkeypatch.setenv(name, value)
    assert not get_environ_proxies(EMULATOR)
    assert bool(get_environ_proxies("http://corp.example/")) is not bool(given)
    assert get_environ_proxies("https://example.org/")
