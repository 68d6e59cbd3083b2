"""What is deployed is complete: the packaged folder alone can do what the code asks of it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.domain.webhooks.destination import SCHEMES
from infra import hashes, package
from infra.machine.state import ROOT

MAKE_EVERY_CLIENT = """
import json, sys
from dataclasses import replace
from chalicelib.config import Settings
from chalicelib.store.aws.connection import client
settings = Settings(table_prefix="t", bucket="b", key_id="k", pepper="p", queue_urls={})
made = {name: client(settings, name).meta.service_model.service_name for name in json.loads(sys.argv[1])}
import app, botocore, chalicelib
print(json.dumps([made, botocore.__file__, chalicelib.__file__]))
"""


def services_of_the_code() -> set[str]:
    """Return the names of every `client(settings, "…")`, and what destinations stand for."""
    calls = re.compile(r"\bclient\([^()]*?, \"([a-z0-9]+)\"\)")
    code = (path.read_text("utf-8") for path in (ROOT / "chalicelib").rglob("*.py"))
    return {name for text in code for name in calls.findall(text)} | set(SCHEMES)


def copied(target: Path) -> None:
    """Take the libraries of requirements.txt from this environment, as an installer would lay them out."""
    for pin in hashes.pins((ROOT / "requirements.txt").read_text("utf-8")):
        for file in importlib.metadata.files(pin.partition("==")[0]) or ():
            if file.parts[0] != ".." and file.suffix != ".pyc":
                place = target / file
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file.locate(), place)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target: Path = tmp_path_factory.mktemp("package") / "lambda"
    package.build(target, copied)
    return target


def test_the_code_makes_clients_of_the_services_that_are_packaged() -> None:
    assert services_of_the_code() == package.SERVICES


def test_every_client_is_made_from_the_packaged_folder_alone(packaged: Path) -> None:
    names = json.dumps(sorted(services_of_the_code()))
    environment = {"PYTHONPATH": str(packaged), "AWS_DEFAULT_REGION": "us-east-1", "PATH": os.environ["PATH"]}
    environment |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", MAKE_EVERY_CLIENT, names],
        cwd=packaged.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made, *places = json.loads(done.stdout)
    assert set(made) == package.SERVICES
    assert all(place.startswith(str(packaged)) for place in places)


def test_a_service_that_is_not_packaged_is_noticed(packaged: Path) -> None:
    assert not (packaged / "botocore" / "data" / "sns").exists()
    assert {
        one.name for one in (packaged / "botocore" / "data").iterdir() if one.is_dir()
    } == package.SERVICES


def test_the_package_is_checked_against_hashes_of_all_that_runs() -> None:
    text = package.HASHED.read_text("utf-8")
    pins = re.findall(r"^(\S+==\S+)", text, re.M)
    assert pins == hashes.pins((ROOT / "requirements.txt").read_text("utf-8"))
    for block in text.split("\n\n")[-1].replace(" \\\n", "").splitlines()[1:]:
        assert re.fullmatch(r"\S+==\S+(\s+--hash=sha256:[0-9a-f]{64})+", block), block
    assert "requirements.txt" in (ROOT / "infra" / "watcher" / "Containerfile").read_text("utf-8")


def test_hashes_are_written_in_order_and_read_back() -> None:
    text = hashes.written(["a==1", "b==2"], {"a==1": {"2" * 64, "1" * 64}, "b==2": {"3" * 64}})
    assert hashes.pins(text.replace(" \\", "")) == ["a==1", "b==2"]
    assert text.index("1" * 64) < text.index("2" * 64) < text.index("b==2")


def test_a_copy_that_sam_build_left_does_not_survive(tmp_path: Path) -> None:
    stray = tmp_path / ".aws-sam"
    (stray / "build").mkdir(parents=True)
    (stray / "build" / "template.yaml").write_text("old")
    assert package.remove_stray_copy(stray) and not stray.exists()
    assert not package.remove_stray_copy(stray)


@pytest.mark.parametrize("name", [".aws-sam/build/template.yaml", "samconfig.toml", "build/lambda/app.py"])
def test_what_deploying_leaves_is_not_committed(name: str) -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert any(name == one or (one.endswith("/") and name.startswith(one)) for one in ignored)


def shim(folder: Path, name: str, fits: bool) -> None:
    """Put a program there that notes what it is called with."""
    script = f'#!/bin/sh\n[ "$1" = -c ] && exit {0 if fits else 1}\necho "{name} $@"\n'
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3": True}, "python3"),
        ({"python": True}, "python"),
        ({"python3": True, "python": True}, "python3"),
        ({"python3": False, "python": True}, "python"),
        ({"python": False}, None),
        ({}, None),
    ],
)
def test_the_build_finds_whatever_is_called_python(
    tmp_path: Path, there: dict[str, bool], taken: str | None
) -> None:
    infra = tmp_path / "top" / "infra"
    infra.mkdir(parents=True)
    shutil.copy2(ROOT / "infra" / "build.sh", infra)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "dirname").symlink_to(str(shutil.which("dirname")))
    for name, fits in there.items():
        shim(programs, name, fits)
    done = subprocess.run(
        [str(shutil.which("sh")), str(infra / "build.sh")],
        env={"PATH": str(programs)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if taken:
        assert done.stdout.split() == [taken, str(infra / "package.py")]
    else:
        assert done.returncode == 1 and "Python 3.11" in done.stderr
