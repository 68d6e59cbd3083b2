"""What `make run` does first: virtual environments, made and kept up to date with nothing but Python.

python3 infra/local/bootstrap.py              prepare and start the local runtime
python3 infra/local/bootstrap.py --only       prepare and stop
python3 infra/local/bootstrap.py -m MODULE …  prepare and run something else
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
MAIN = (ROOT / ".venv", (ROOT / "requirements-dev.txt", ROOT / "requirements.txt"))
EMULATOR = (LOCAL / "emulator-venv", (ROOT / "infra" / "local" / "requirements-emulator.txt",))
NAMES = ("python3.13", "python3.12", "python3.11", "python3")


def main(arguments: Sequence[str]) -> None:
    """Prepare both environments, then become the program asked for."""
    if sys.version_info < OLDEST:
        _other_interpreter(arguments)
    python = prepare(*MAIN)
    prepare(*EMULATOR)
    if arguments and arguments[0] == "--only":
        return
    program = list(arguments) or ["-m", "infra.local.run"]
    os.chdir(ROOT)
    os.execv(python, [str(python), *program])  # noqa: S606 the program the caller named


def prepare(place: Path, requirements: Sequence[Path]) -> Path:
    """Return the interpreter of an environment that holds exactly these requirements."""
    python = place / "bin" / "python"
    stamp = place / "requirements.sha256"
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in requirements if path.exists()))
    wanted = f"{digest.hexdigest()} {sys.version_info.major}.{sys.version_info.minor}"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Preparing {place.relative_to(ROOT)} (once) …", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    _make(place)
    _install(python, requirements[0])
    stamp.write_text(wanted)
    return python


def _make(place: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True, text=True)
    if made.returncode == 0:
        return
    shutil.rmtree(place, ignore_errors=True)
    if shutil.which("uv") and subprocess.run(["uv", "venv", "--seed", str(place)]).returncode == 0:
        return
    _fail("This Python cannot make virtual environments; install its venv package (Debian: python3-venv).")


def _install(python: Path, requirements: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r"]
    done = subprocess.run([*command, str(requirements)], capture_output=True, text=True)
    if done.returncode == 0:
        return
    words = ("NewConnectionError", "Temporary failure", "Name or service", "timed out", "ProxyError")
    if any(word in done.stdout + done.stderr for word in words):
        _fail("The package index cannot be reached; the first start needs a network.")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    _fail(f"Packages of {requirements.name} cannot be installed: {(lines or ['pip failed'])[-1]}")


def _other_interpreter(arguments: Sequence[str]) -> None:
    for name in NAMES:
        path = shutil.which(name)
        test = f"import sys; sys.exit(sys.version_info < {OLDEST})"
        if path and subprocess.run([path, "-c", test]).returncode == 0:
            os.execv(path, [path, __file__, *arguments])  # noqa: S606 another Python, same program
    _fail("Postern needs Python 3.11 or newer; found {}.{}.".format(*sys.version_info[:2]))


def _fail(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
