"""Programs of the system's package manager that tests need: `python -m infra.machine.system_packages NAME …`.

Says what it wants, asks unless CI or POSTERN_INSTALL=yes has answered, and never lets a daemon start: neither
at the installation nor at the next boot of a machine with systemd.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
UNITS = Path("/etc/systemd/system")
SYSTEMD = Path("/run/systemd/system")
_NEVER = "#!/bin/sh\n# Written by `make` of Postern for the length of an installation.\nexit 101\n"
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A program, the package it is in, what it is for, and the units that would start with it."""

    program: str
    package: str
    purpose: str
    units: tuple[str, ...] = ()


KNOWN = {
    "dovecot": Wanted(
        "dovecot", "dovecot-imapd", "a mail server to test against", ("dovecot.service", "dovecot.socket")
    ),
    "mbsync": Wanted("mbsync", "isync", "what the bench compares with"),
}


def ensure(wanted: Wanted, env: Mapping[str, str]) -> bool:
    """Install a program unless it is there; tell whether it is."""
    if shutil.which(wanted.program, path=_PATH):
        return True
    print(f"{wanted.program} ({wanted.purpose}; package {wanted.package}) is not installed.", flush=True)
    if os.getuid() != 0 or not shutil.which("apt-get"):
        print(f"Tests that need it are skipped. To run them install {wanted.package}.", flush=True)
        return False
    if not _allowed(wanted, env):
        print(
            "Tests that need it are skipped. POSTERN_INSTALL=yes answers beforehand.",
            flush=True,
        )
        return False
    print(f"apt-get installs {wanted.package}; its service is not started.", flush=True)
    with without_services(wanted.units):
        _apt("update", "-qq")
        _apt("install", "-y", "-qq", "--no-install-recommends", wanted.package)
    return True


def _allowed(wanted: Wanted, env: Mapping[str, str]) -> bool:
    if env.get("CI") == "true" or env.get("POSTERN_INSTALL") == "yes":
        return True
    if not sys.stdin.isatty():
        return False
    question = f"May apt-get install {wanted.package} on this machine? Its service stays off. [y/N] "
    return input(question).strip().lower() in ("y", "yes")


@contextlib.contextmanager
def without_services(units: Sequence[str]) -> Iterator[None]:
    """Let nothing start that is installed meanwhile (Debian's policy-rc.d; masks where systemd runs)."""
    for unit in units if SYSTEMD.exists() else ():
        if not (UNITS / unit).exists():
            (UNITS / unit).symlink_to("/dev/null")
            print(f"{unit} is masked; `systemctl unmask {unit}` undoes it.", flush=True)
    kept = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text(_NEVER)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if kept is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(kept)


def _apt(*words: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", *words], check=True, env=environment, stdout=subprocess.DEVNULL)


def main(names: Sequence[str]) -> int:
    """Ensure each program; a missing one is no failure: its tests are skipped."""
    try:
        for name in names:
            ensure(KNOWN[name], os.environ)
    except (KeyboardInterrupt, EOFError):
        print("\nStopped.")
        return 130
    except subprocess.CalledProcessError as error:
        print(f"apt-get failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
