"""Build the folder that template.yaml deploys: our code and its libraries for Lambda on arm64.

    python infra/package.py      fill build/lambda and report its size

Wheels for the target are downloaded whatever this machine is; nothing is compiled.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "lambda"
PYTHON = "3.13"
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")
LIMIT_MB = 50
# botocore describes every service of AWS in 30 MB of JSON; a function loads four of them.
SERVICES = frozenset({"dynamodb", "kms", "s3", "sqs"})
NEEDLESS = ("bin", "*.dist-info", "boto3/examples", "chalice/cli", "chalice/deploy", "chalice/templates")


def build(target: Path = TARGET) -> None:
    """Replace the folder by a fresh build."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    _install(target)
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
    command += ["--only-binary=:all:", "--target", str(target), "-r", str(ROOT / "requirements.txt")]
    subprocess.run(command, check=True)


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
    build()
    unzipped = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    zipped = zipped_size(TARGET) / 1e6
    print(
        f"{TARGET.relative_to(ROOT)}: {unzipped / 1e6:.1f} MB, zipped {zipped:.1f} MB (limit {LIMIT_MB} MB)"
    )
    return 0 if zipped <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
