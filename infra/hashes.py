"""Write infra/lambda/requirements.txt: requirements.txt with the hash of every file that may be installed.

    python3 -m infra.hashes      after requirements.txt has changed

Files are downloaded by pip for what runs in Lambda and in the watcher's container, and hashed here.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from infra.package import HASHED, PLATFORMS, PYTHON, ROOT

HEADER = "# Written by infra/hashes.py from requirements.txt: the files that may be installed. Do not edit.\n"
_NEWEST = ("manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
TARGETS = (
    PLATFORMS,
    tuple(f"{name}_aarch64" for name in _NEWEST),
    tuple(f"{name}_x86_64" for name in _NEWEST),
)
"""Platforms in the order in which an installer prefers their files: Lambda, containers."""


def pins(text: str) -> list[str]:
    """Return the lines `name==version` of a list of requirements."""
    return [line.strip() for line in text.splitlines() if "==" in line and not line.startswith("#")]


def written(requirements: list[str], hashes: dict[str, set[str]]) -> str:
    """Return the file, the hashes of each requirement in order."""
    rows = ([pin, *(f"--hash=sha256:{one}" for one in sorted(hashes[pin]))] for pin in requirements)
    return HEADER + "".join(" \\\n    ".join(row) + "\n" for row in rows)


def _downloaded(pin: str, platforms: tuple[str, ...], folder: Path) -> str:
    words = [word for name in platforms for word in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--implementation", "cp", "--python-version", PYTHON, *words, "--only-binary=:all:"]
    subprocess.run([*command, "--dest", str(folder), pin], check=True)
    [file] = folder.iterdir()
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> int:
    """Download, hash and write."""
    requirements = pins((ROOT / "requirements.txt").read_text("utf-8"))
    hashes: dict[str, set[str]] = defaultdict(set)
    for pin in requirements:
        for platforms in TARGETS:
            with tempfile.TemporaryDirectory() as folder:
                hashes[pin].add(_downloaded(pin, platforms, Path(folder)))
    HASHED.write_text(written(requirements, hashes), "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
