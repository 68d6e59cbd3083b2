"""Build the folder that template.yaml deploys: our code and its libraries for Lambda on arm64.

    sh infra/build.sh      fill build/lambda and report its size, with python3 or python

Wheels for the target are downloaded whatever this machine is, and checked against the hashes in
infra/lambda/requirements.txt; nothing is compiled.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "lambda"
PYTHON = "3.13"
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")
LIMIT_MB = 50
HASHED = ROOT / "infra" / "lambda" / "requirements.txt"
# botocore describes every service of AWS in 30 MB of JSON; our code makes clients of five of them.
SERVICES = frozenset({"dynamodb", "events", "kms", "s3", "sqs"})
STRAY = ROOT / ".aws-sam"
NEEDLESS = ("bin", "*.dist-info", "boto3/examples", "chalice/cli", "chalice/deploy", "chalice/templates")


def build(target: Path = TARGET, install: Callable[[Path], None] | None = None) -> None:
    """Replace the folder by a fresh build; `install` puts the libraries there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (install or _install)(target)
    _prune(target)
    shutil.copy2(ROOT / "app.py", target)
    shutil.copy2(ROOT / "infra" / "lambda" / "stream_bootstrap", target)  # keeps its executable bit
    shutil.copytree(ROOT / "chalicelib", target / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))


def zipped_size(folder: Path) -> int:
    """Return how many bytes the folder has as a zip file."""
    with tempfile.TemporaryDirectory() as place:
        return Path(shutil.make_archive(str(Path(place) / "code"), "zip", folder)).stat().st_size


def _install(target: Path) -> None:
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-compile", "--implementation", "cp", "--python-version", PYTHON, *platforms]
    command += ["--only-binary=:all:", "--require-hashes", "--target", str(target), "-r", str(HASHED)]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(
            f"The libraries could not be installed by {sys.executable} -m pip. If it has no pip, use "
            ".venv/bin/python, which `make run` makes."
        )


def remove_stray_copy(stray: Path = STRAY) -> bool:
    """Remove what a `sam build` has left; `sam deploy` would take that copy instead of ours."""
    if not stray.exists():
        return False
    shutil.rmtree(stray)
    return True


def _prune(target: Path) -> None:
    for pattern in NEEDLESS:
        for path in target.glob(pattern):
            shutil.rmtree(path)
    for path in (target / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in SERVICES:
            shutil.rmtree(path)
    for path in list(target.rglob("__pycache__")):
        shutil.rmtree(path)


def main() -> int:
    """Build, report, and fail if the package is larger than Lambda likes."""
    if remove_stray_copy():
        print(f"removed {STRAY.name}: `sam deploy` would have deployed that copy of a `sam build`")
    build()
    unzipped = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    zipped = zipped_size(TARGET) / 1e6
    print(
        f"{TARGET.relative_to(ROOT)}: {unzipped / 1e6:.1f} MB, zipped {zipped:.1f} MB (limit {LIMIT_MB} MB)"
    )
    return 0 if zipped <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
