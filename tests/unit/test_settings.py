"""Each setting is checked before anything starts, and says in one sentence what is wrong."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib import config
from chalicelib.config import BadSetting, Settings
from infra import settings_page
from infra.demo.endpoint import endpoint
from infra.local import aws, settings
from infra.local.addresses import Addresses, port_of
from infra.machine.state import ROOT, Home, read_json
from infra.machine.trouble import CannotStart
from infra.watcher.limits import Limits

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
NUMBERS = sorted(settings._NUMBERS)
REQUIRED = {f"POSTERN_{name}": "x" for name in ("TABLE_PREFIX", "BUCKET", "KEY_ID", "PEPPER")}
OTHERS = [
    ("POSTERN_LOG_LEVEL", "debugging"),
    ("POSTERN_LOG_LEVEL", "10"),
    ("POSTERN_LOG_LEVEL", "Info "),
    ("POSTERN_WATCH", "no"),
    ("POSTERN_COUNT_UNITS", "true"),
    ("POSTERN_AWS", "local stack"),
    ("POSTERN_ACCOUNT_MEGABYTES", "imap.gmail.com"),
    ("POSTERN_ACCOUNT_MEGABYTES", "imap.gmail.com=lots"),
    ("POSTERN_HOST_MEGABYTES", "*=-1"),
    ("POSTERN_HOST_MEGABYTES", "=5"),
    ("POSTERN_MAIL_NETWORKS", "10.1.0.0/33"),
    ("POSTERN_MAIL_NETWORKS", "intranet"),
    ("POSTERN_MAIL_CA_FILE", "/no/such/ca.pem"),
    ("POSTERN_WEBHOOK_DESTINATIONS", "https://sqs.eu-west-1.amazonaws.com/1/q"),
    ("POSTERN_WEBHOOK_DESTINATIONS", "app=arn:aws:s3:::bucket"),
    ("POSTERN_WEBHOOK_DESTINATIONS", "arn:aws:sqs:eu-west-1:000000000000:nobody"),
    ("POSTERN_TEMPLATE", "/no/such/template.yaml"),
    ("POSTERN_EMULATOR_PYTHON", "/no/such/python"),
    ("POSTERN_HTTP_PORT", "80a"),
    ("POSTERN_HTTP_PORT", "65536"),
    ("POSTERN_EMULATOR_PORT", "8566.0"),
    ("https_proxy", "http://proxy:port"),
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["five", "-1", "1e400", "nan", "inf", "0x10", "1,5", "½", "5s", "-0.1"])
def test_what_is_no_number_in_range_is_told_in_one_sentence(name: str, value: str) -> None:
    with pytest.raises(CannotStart, match=rf"^{name} must be .*, not '{re.escape(value)}'\.$"):
        settings.check({name: value})


@pytest.mark.parametrize(("name", "value"), OTHERS)
def test_what_a_setting_cannot_be_is_told_in_one_sentence(name: str, value: str) -> None:
    with pytest.raises(CannotStart, match=rf"^{name} .*\.$"):
        settings.check({name: value})


@pytest.mark.parametrize("name", [*NUMBERS, *(name for name, _ in OTHERS)])
def test_an_empty_variable_is_one_that_is_not_set(name: str) -> None:
    settings.check({name: ""})
    assert Settings.from_env({**REQUIRED, name: ""}) == Settings.from_env(REQUIRED)
    assert Limits.from_env({name: ""}) == Limits()


def test_a_level_may_be_written_in_small_letters() -> None:
    settings.check({"POSTERN_LOG_LEVEL": "debug"})
    assert settings.level({"POSTERN_LOG_LEVEL": "debug"}) == "DEBUG"


def test_two_servers_cannot_have_one_port() -> None:
    settings.check({"POSTERN_HTTP_PORT": "0", "POSTERN_HTTPS_PORT": "0"})
    with pytest.raises(CannotStart, match="same port"):
        settings.check({"POSTERN_HTTP_PORT": "9001", "POSTERN_HTTPS_PORT": "9001"})


@pytest.mark.parametrize("name", sorted(config.NUMBERS))
def test_a_deployment_refuses_the_same_numbers(name: str) -> None:
    with pytest.raises(BadSetting, match=name):
        Settings.from_env({**REQUIRED, name: "five"})


def test_the_defaults_of_the_settings_are_those_of_the_environment() -> None:
    assert Settings.from_env(REQUIRED) == Settings(
        table_prefix="x", bucket="x", key_id="x", pepper="x", queue_urls={}
    )


def test_every_name_that_the_code_reads_is_known_and_explained() -> None:
    read = {
        name
        for folder in ("chalicelib", "infra")
        for path in (ROOT / folder).rglob("*.py")
        if "bench" not in path.parts
        for name in re.findall(r"POSTERN_[A-Z_]*[A-Z]\b", path.read_text("utf-8"))
    }
    unknown = {name for name in read - settings.KNOWN if not settings._OURS.fullmatch(name)}
    assert unknown <= {"POSTERN_QUEUE", "POSTERN_RESTARTS"}
    assert set(re.findall(r"`(POSTERN_[A-Z_]+)`", PAGE)) == settings.KNOWN


def test_the_page_says_what_the_settings_say() -> None:
    assert settings_page.written(PAGE) == PAGE


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("POSTERN_TICKSECONDS", "POSTERN_TICK_SECONDS"),
        ("POSTERN_HTTPPORT", "POSTERN_HTTP_PORT"),
        ("POSTERN_HISTORY_DAY", "POSTERN_HISTORY_DAYS"),
        ("POSTERN_LOGLEVEL", "POSTERN_LOG_LEVEL"),
        ("Postern_Home", "POSTERN_HOME"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_what_was_meant(name: str, meant: str) -> None:
    [line] = settings.strange({name: "1", "PATH": "/bin", "POSTERN_HOME": "x"})
    assert name in line and f"did you mean {meant}?" in line


def test_what_this_runtime_tells_its_children_is_no_slip() -> None:
    told = [*REQUIRED, "POSTERN_LOCAL", "POSTERN_QUEUE_SYNC"]
    assert list(settings.strange(dict.fromkeys(told, "1"))) == []


@pytest.mark.parametrize("url", ["localhost:4566", "ftp://x", "http://", "http://[::1", "http://x:port", "x"])
def test_an_endpoint_must_be_a_url(url: str) -> None:
    with pytest.raises(CannotStart, match=r"^AWS_ENDPOINT_URL must be a URL"):
        aws.foreign({"AWS_ENDPOINT_URL": url})


def test_a_profile_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(CannotStart, match=r"^AWS_PROFILE names a profile .*nobody"):
        aws.foreign({"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_PROFILE": "nobody"})
    assert aws.foreign({"AWS_PROFILE": "nobody"}) is None  # our own emulator needs none


def test_the_keys_of_a_profile_sign_for_a_foreign_endpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("[mine]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    found = aws.foreign({"AWS_ENDPOINT_URL": "http://localhost:1/", "AWS_PROFILE": "mine"})
    assert found and (found.url, found.access_key, found.secret_key) == ("http://localhost:1", "a", "b")


def test_a_wrong_setting_ends_the_start_before_anything_is_made(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "POSTERN_HOME": str(tmp_path / "home"), "POSTERN_TICK_SECONDS": "five"}
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.run"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    sentence = "POSTERN_TICK_SECONDS must be a number from 0.1 to 3600, not 'five'."
    assert (done.returncode, done.stderr) == (1, f"Postern cannot start: {sentence}\n")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [("AWS_ENDPOINT_URL", "does not answer as AWS does"), ("POSTERN_TEMPLATE", "is no template of ours")],
)
def test_what_turns_out_wrong_later_is_one_sentence_too(variable: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("Resources: {A: 5, B: [")
    env = {"PATH": "/usr/bin:/bin", "POSTERN_HOME": str(tmp_path / "home")}
    env |= {f"POSTERN_{name}_PORT": "0" for name in ("HTTP", "HTTPS")}
    with endpoint(lambda body, headers: None) as url:
        env["AWS_ENDPOINT_URL"] = url.removesuffix("/hook")
        env |= {"POSTERN_TEMPLATE": str(tmp_path / "odd.yaml")} if variable == "POSTERN_TEMPLATE" else {}
        done = subprocess.run(
            [sys.executable, "-m", "infra.local.run"], cwd=ROOT, env=env, capture_output=True, text=True
        )
    assert done.returncode == 1 and sentence in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert variable in done.stderr


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    made.prepare()
    return made


def test_a_port_that_was_taken_is_told_and_the_other_one_kept(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = port_of(other)
        first = Addresses(home, {}).listening("http", "POSTERN_HTTP_PORT", busy)
    taken = port_of(first)
    assert taken != busy and f"Port {busy} is in use" in capsys.readouterr().out
    first.close()
    again = Addresses(home, {}).listening("http", "POSTERN_HTTP_PORT", busy)  # which is free now
    assert port_of(again) == taken and capsys.readouterr().out == ""
    again.close()


def test_a_random_port_is_kept_too(home: Home) -> None:
    with Addresses(home, {}).listening("emulator", "POSTERN_EMULATOR_PORT") as first:
        port = port_of(first)
    with Addresses(home, {}).listening("emulator", "POSTERN_EMULATOR_PORT") as second:
        assert port_of(second) == port


def test_zero_is_any_port_and_not_kept(home: Home) -> None:
    with Addresses(home, {"POSTERN_HTTP_PORT": "0"}).listening("http", "POSTERN_HTTP_PORT", 8025) as opened:
        assert port_of(opened) > 0
    assert read_json(home.ports) is None


def test_a_port_that_is_named_is_that_one_or_none(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        env = {"POSTERN_HTTP_PORT": str(port_of(other))}
        with pytest.raises(CannotStart, match=r"^POSTERN_HTTP_PORT names port \d+, .*in use"):
            Addresses(home, env).listening("http", "POSTERN_HTTP_PORT", 8025)


def test_two_instances_never_get_one_port(home: Home, tmp_path: Path) -> None:
    both = [Addresses(Home(tmp_path / name), {"P": "0"}) for name in ("a", "b")]
    ports = {port_of(one.listening(str(number), "P")) for one in both for number in range(20)}
    assert len(ports) == 40
