"""The first start: what it says, what it installs, and how it is stopped."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local import bootstrap
from infra.local.bootstrap import Packages
from infra.machine import system_packages
from infra.machine.state import ROOT
from infra.machine.system_packages import Wanted
from tests.fakes.signals import by_default
from tests.worlds.packages import pinned

SLOW_PIP = """#!{python}
import sys, time
print("Collecting a==1", flush=True)
open({mark!r}, "w").close()
time.sleep({seconds})
"""


def packages(tmp_path: Path, text: str = "# x\na==1\nb==2\n") -> Packages:
    """Return a list whose environment has a `pip` of ours."""
    (tmp_path / "list.txt").write_text(text)
    return Packages(tmp_path / "env", tmp_path / "list.txt", "things", 5)


def test_what_runs_is_part_of_what_is_developed_with() -> None:
    run, every = pinned("infra/local/requirements.txt"), pinned("requirements-dev.txt")
    assert pinned("requirements.txt").items() <= run.items() <= every.items()
    assert not run.keys() & {"mypy", "ruff", "pytest", "moto", "hypothesis", "cfn-lint"}


def test_the_lists_are_complete(tmp_path: Path) -> None:
    for each in (bootstrap.RUN, bootstrap.EMULATOR, bootstrap.DEVELOPMENT):
        assert len(each.names) > 15
        assert all(name.count("==") == 1 for name in each.names), each.requirements


WITHOUT = """
import importlib, importlib.metadata, pkgutil, sys
allowed = set(sys.argv[1:])
whose = importlib.metadata.packages_distributions()
bare = lambda name: name.lower().replace("-", "_").replace(".", "_")
banned = {top for top, names in whose.items() if not allowed & set(map(bare, names))}
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in banned:
            raise ImportError(name + " is a tool of development")
sys.meta_path.insert(0, Refusing())
import chalicelib, nylas, uvicorn.protocols.http.httptools_impl
from infra import demo, functions, gateway, local, machine, watcher
for package in (chalicelib, demo, functions, gateway, local, machine, watcher):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
"""


def test_everything_that_runs_is_there_without_the_tools_of_development() -> None:
    allowed = [name.replace("-", "_") for name in pinned("infra/local/requirements.txt")]
    command = [sys.executable, "-c", WITHOUT, *allowed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_start_says_what_it_does_and_how_much_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = packages(tmp_path)
    monkeypatch.setattr(bootstrap, "_make", lambda place, with_pip: place.mkdir())
    monkeypatch.setattr(bootstrap, "_install", lambda lists: (lists.place / "bin").mkdir())
    bootstrap.prepare([mine])
    first, second = capsys.readouterr().out.splitlines()
    assert "2 packages" in first and "about 5 MB" in first and "Ctrl-C" in first
    assert second.startswith("  things: 2 packages, ")
    (mine.place / "bin" / "python").touch()
    bootstrap.prepare([mine])
    assert capsys.readouterr().out == ""
    mine.requirements.write_text("a==2\n")
    assert not mine.is_there()


def test_an_interrupt_while_packages_are_fetched_is_quiet(tmp_path: Path) -> None:
    mark, python = tmp_path / "mark", tmp_path / "env" / "bin" / "python"
    (tmp_path / "list.txt").write_text("a==1\n")
    pip = SLOW_PIP.format(python=sys.executable, mark=str(mark), seconds=30)
    script = (
        "import sys; from pathlib import Path; from infra.local import bootstrap as b\n"
        f"p = b.Packages(Path({str(tmp_path / 'env')!r}), Path({str(tmp_path / 'list.txt')!r}), 'x', 1)\n"
        "b.LOCAL = p.place.parent\n"
        "b.RUN, b.EMULATOR = p, p\n"
        f"b._make = lambda place, with_pip: (Path({str(python)!r}).parent.mkdir(parents=True),"
        f" Path({str(python)!r}).write_text({pip!r}), Path({str(python)!r}).chmod(0o755))\n"
        "b.main([])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=by_default,
    ) as started:
        end = time.monotonic() + 30
        while not mark.exists():
            assert time.monotonic() < end and started.poll() is None, started.communicate()
            time.sleep(0.02)
        os.killpg(started.pid, signal.SIGINT)
        out, error = started.communicate(timeout=20)
    assert error == ""
    assert out.endswith("Stopped; the next start begins where this one was.\n")
    assert started.returncode == 0


def test_an_interrupt_between_installation_and_start_is_kept_for_the_supervisor() -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from infra.local import bootstrap as b\n"
        "os.execv = lambda path, words: os.kill(os.getpid(), 2)\n"
        "b._become(Path(sys.executable), ['-m', 'infra.local.run'])\n"
        "print(sorted(signal.sigpending()), flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert "<Signals.SIGINT: 2>" in done.stdout  # it waits
    assert done.stderr == "" and done.returncode == 0


def test_a_program_is_installed_only_where_somebody_has_agreed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(system_packages, "_apt", lambda *words: asked.append(words))
    monkeypatch.setattr(system_packages, "POLICY", Path(os.devnull + "-no"))
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path=None: "/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # nobody to ask
    wanted = Wanted("no-such-daemon", "daemon", "tests")
    assert not system_packages.ensure(wanted, {}) and asked == []
    assert "skipped" in capsys.readouterr().out


@pytest.mark.parametrize("env", [{"CI": "true"}, {"POSTERN_INSTALL": "yes"}])
def test_what_is_installed_is_not_started(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, seen = tmp_path / "policy-rc.d", list[str]()

    def apt(*words: str) -> None:
        assert "apt-get installs daemon; its service is not started." in capsys.readouterr().out or seen
        code = subprocess.run([str(policy), "dovecot", "start"]).returncode
        seen.append(f"{words[0]} {code} {(tmp_path / 'units' / 'd.service').readlink()}")

    (tmp_path / "units").mkdir()
    monkeypatch.setattr(system_packages, "_apt", apt)
    monkeypatch.setattr(system_packages, "POLICY", policy)
    monkeypatch.setattr(system_packages, "UNITS", tmp_path / "units")
    monkeypatch.setattr(system_packages, "SYSTEMD", tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path=None: "/bin/apt-get" if name == "apt-get" else None)
    assert system_packages.ensure(Wanted("no-such", "daemon", "tests", ("d.service",)), env)
    assert seen == ["update 101 /dev/null", "install 101 /dev/null"]
    assert not policy.exists()
