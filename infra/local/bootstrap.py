"""What `make run` does first: virtual environments, made and kept up to date with nothing but Python.

python3 infra/local/bootstrap.py              prepare and start the local runtime
python3 infra/local/bootstrap.py -m MODULE …  prepare and run something else
python3 infra/local/bootstrap.py --dev        prepare everything for development and stop
"""

from __future__ import annotations

import signal

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
if __name__ == "__main__":  # Ctrl-C waits until somebody can answer it
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
NAMES = ("python3.13", "python3.12", "python3.11", "python3")


class Packages(NamedTuple):
    """A complete list of pinned packages, the environment it belongs to, and what it takes there."""

    place: Path
    requirements: Path
    purpose: str
    megabytes: int

    @property
    def names(self) -> list[str]:
        """Every line that names a package."""
        lines = self.requirements.read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    @property
    def stamp(self) -> Path:
        """Says what the environment holds."""
        return self.place / f"{self.requirements.stem}.sha256"

    @property
    def wanted(self) -> str:
        """What the stamp says when the environment holds just this."""
        digest = hashlib.sha256(self.requirements.read_bytes()).hexdigest()
        return f"{digest} {sys.version_info.major}.{sys.version_info.minor}"

    def is_there(self) -> bool:
        """Tell whether nothing is to be done."""
        return (self.place / "bin" / "python").exists() and _text(self.stamp) == self.wanted


RUN = Packages(ROOT / ".venv", ROOT / "infra/local/requirements.txt", "Postern's libraries", 140)
EMULATOR = Packages(
    LOCAL / "emulator-venv", ROOT / "infra/local/requirements-emulator.txt", "the emulator of AWS", 70
)
DEVELOPMENT = Packages(RUN.place, ROOT / "requirements-dev.txt", "tools for development and tests", 370)


def main(arguments: Sequence[str]) -> None:
    """Prepare the environments, then become the program asked for."""
    if sys.version_info < OLDEST:
        _other_interpreter(arguments)
    is_dev = list(arguments) == ["--dev"]
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with _alone():
            prepare([RUN, EMULATOR, DEVELOPMENT] if is_dev else [RUN, EMULATOR])
    except KeyboardInterrupt:
        print("\nStopped; the next start begins where this one was.")
        sys.exit(130 if is_dev else 0)
    if not is_dev:
        _become(RUN.place / "bin" / "python", list(arguments) or ["-m", "infra.local.run"])


def prepare(lists: Sequence[Packages]) -> None:
    """Make each environment hold its packages; say what is done, how much it is, and how long it took."""
    missing = [each for each in lists if not each.is_there()]
    if RUN in missing and DEVELOPMENT in lists:
        missing = [*dict.fromkeys([*missing, DEVELOPMENT])]  # its environment is made anew
    if not missing:
        return
    print(
        f"Once: {sum(len(each.names) for each in missing)} packages come from the package index into"
        f" this folder (.venv, .local), about {sum(each.megabytes for each in missing)} MB on the disk."
        " A minute or less on a fast line; Ctrl-C stops it.",
        flush=True,
    )
    for each in missing:
        began = time.monotonic()
        _prepare(each)
        _show(f"  {each.purpose}: {len(each.names)} packages, {time.monotonic() - began:.0f} s\n")


def _prepare(packages: Packages) -> None:
    if packages is not DEVELOPMENT:  # whose tools come beside what is there
        shutil.rmtree(packages.place, ignore_errors=True)
        packages.place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _show(f"  {packages.purpose} …")
        _make(packages.place, with_pip=packages is not EMULATOR)
    _install(packages)
    packages.stamp.write_text(packages.wanted)


def _make(place: Path, *, with_pip: bool) -> None:
    words = [] if with_pip else ["--without-pip"]
    made = subprocess.run([sys.executable, "-m", "venv", *words, str(place)], capture_output=True, text=True)
    if made.returncode == 0:
        return
    shutil.rmtree(place, ignore_errors=True)
    if shutil.which("uv") and subprocess.run(["uv", "venv", "-q", "--seed", str(place)]).returncode == 0:
        return
    _fail("This Python cannot make virtual environments; install its venv package (Debian: python3-venv).")


def _install(packages: Packages) -> None:
    """Have the one pip install exactly this list, which is complete: nothing is looked for beside it."""
    python = (each.place / "bin" / "python" for each in (RUN, packages))
    command = [str(next(python)), "-m", "pip", "--python", str(next(python)), "install", "--no-deps"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(packages.requirements)]
    done, lines = 0, []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, close_fds=False
    ) as pip:
        for line in pip.stdout or ():
            lines.append(line)
            done += line.startswith("Collecting")
            if line.startswith("Collecting"):
                _show(f"  {packages.purpose}: {done} of {len(packages.names)}, {line.split()[1]}")
    if pip.returncode != 0:
        _explain(packages, lines)


def _explain(packages: Packages, lines: Sequence[str]) -> None:
    words = ("NewConnectionError", "Temporary failure", "Name or service", "timed out", "ProxyError")
    if any(word in line for line in lines for word in words):
        _fail("The package index cannot be reached; the first start needs a network.")
    errors = [line.strip() for line in lines if line.startswith("ERROR")] or ["pip failed"]
    _fail(f"Packages of {packages.requirements.name} cannot be installed: {errors[-1]}")


def _show(line: str) -> None:
    """Show a line in place of the one before it, on a terminal; elsewhere only those that stay."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line[:100]}", end="", flush=True)
    elif line.endswith("\n"):
        print(line, end="", flush=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep others from installing at the same time; pip holds on to it should we be killed."""
    LOCAL.mkdir(exist_ok=True, mode=0o700)
    LOCAL.chmod(0o700)
    with (LOCAL / "install.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another start is installing; waiting for it …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _become(python: Path, program: list[str]) -> None:
    """Run a program in place of this one, which takes signals up when it is ready for them."""
    os.chdir(ROOT)
    if program[1] in ("infra.local.run", "infra.demo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.execv(python, [str(python), *program])  # noqa: S606 the program the caller named


def _other_interpreter(arguments: Sequence[str]) -> None:
    for name in NAMES:
        path = shutil.which(name)
        test = f"import sys; sys.exit(sys.version_info < {OLDEST})"
        if path and subprocess.run([path, "-c", test]).returncode == 0:
            os.execv(path, [path, __file__, *arguments])  # noqa: S606 another Python, same program
    _fail("Postern needs Python 3.11 or newer; found {}.{}.".format(*sys.version_info[:2]))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _fail(sentence: str) -> None:
    _show("")
    print(sentence, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
