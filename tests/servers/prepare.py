"""Bring the mail servers that tests run against, into .local/mail-servers and nowhere else.

    python -m tests.servers.prepare

Cyrus and Courier come from Debian: their packages, and the libraries that this machine lacks, are downloaded
and unpacked. Nothing is installed, so nothing is started, and the two that exclude each other (and Dovecot)
stand side by side. pymap comes from PyPI into an environment of its own, hoodiecrow from npm. What cannot be
had is said; the tests that need it are skipped then, and fail where CI=true.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

HOME = Path(__file__).parents[2] / ".local" / "mail-servers"
DEBIAN = HOME / "debian"
PYMAP = HOME / "pymap"
HOODIECROW = HOME / "hoodiecrow"

_PACKAGES = {
    "Cyrus": ("cyrus-imapd", "cyrus-common", "sasl2-bin", "libsasl2-modules-db"),
    "Courier": ("courier-imap", "courier-base", "courier-authlib", "gamin"),
}
_CLOSURE = (
    "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
    "--no-breaks", "--no-replaces", "--no-enhances",
)  # fmt: skip
_FORBIDDEN = ("perl", "newt", "debian-installer")  # no library that a server loads


def main() -> int:
    """Bring what is missing; the status is 0 if all is there."""
    missing = [name for name, bring in _SERVERS.items() if not _brought(name, bring)]
    return 1 if missing and os.environ.get("CI") == "true" else 0


def libraries(root: Path = DEBIAN) -> str:
    """Return where the servers unpacked there find their libraries."""
    return ":".join(sorted({str(file.parent) for file in root.rglob("*.so*")}))


def _brought(name: str, bring: Callable[[], None]) -> bool:
    try:
        bring()
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or str(error)
        print(f"{name} cannot be had here, tests against it are skipped: {why.strip().splitlines()[-1]}")
        return False
    return True


def _debian(name: str) -> None:
    done = DEBIAN / f".{name.lower()}"
    if done.exists():
        return
    packages = _PACKAGES[name]
    wanted = [*packages, *_missing_libraries(packages)]
    print(f"{name}: downloading and unpacking {len(wanted)} Debian packages into {DEBIAN}", flush=True)
    downloads = HOME / f"{name.lower()}-packages"
    downloads.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "-qq", *wanted], downloads)
    for package in downloads.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(DEBIAN)])
    shutil.rmtree(downloads)
    done.touch()


def _missing_libraries(packages: Sequence[str]) -> list[str]:
    if not _listed(packages) and os.getuid() == 0:
        print("reading Debian's lists of packages (apt-get update)", flush=True)
        _run(["apt-get", "update", "-qq"])
    names = _run(["apt-cache", "depends", *_CLOSURE, *packages]).split()
    libraries = {name for name in names if name.startswith("lib") and not any(f in name for f in _FORBIDDEN)}
    listed = _run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n"]).splitlines()
    installed = {line.split()[0] for line in listed if line.endswith(" installed")}
    return sorted(libraries - installed - set(packages))


def _listed(packages: Sequence[str]) -> bool:
    shown = _run(["apt-cache", "policy", *packages])
    return shown.count("Candidate:") == len(packages) and "(none)" not in shown.replace(
        "Installed: (none)", ""
    )


def _pymap() -> None:
    if (PYMAP / "bin" / "pymap").exists():
        return
    print(f"pymap: installing from PyPI into {PYMAP}", flush=True)
    venv.create(PYMAP, clear=True, with_pip=True)
    _run([str(PYMAP / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "pymap==0.36.7"])


def _hoodiecrow() -> None:
    if (HOODIECROW / "node_modules" / "hoodiecrow-imap" / "package.json").exists():
        return
    print(f"hoodiecrow: installing from npm into {HOODIECROW}", flush=True)
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    _run(["npm", "install", *quiet, "--prefix", str(HOODIECROW), "hoodiecrow-imap@2.1.0"])


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


_SERVERS: dict[str, Callable[[], None]] = {
    "Cyrus": lambda: _debian("Cyrus"),
    "Courier": lambda: _debian("Courier"),
    "pymap": _pymap,
    "hoodiecrow": _hoodiecrow,
}

if __name__ == "__main__":
    sys.exit(main())
