"""What a cold start pays for `import app`: counted in modules, for seconds differ from machine to machine."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "pynamodb", "boto3", "botocore", "urllib3", "imapclient", "aiosmtplib", "asyncio", "cryptography",
    "fast_mail_parser",
}  # fmt: skip
MOST = 100
"""Modules of our own, packages apart: one of those holds a sentence."""

PROBE = """
import sys
import app
ours = (name for name in sys.modules if name.startswith("chalicelib"))
packages = {name for name in ours if hasattr(sys.modules[name], "__path__")}
print(*sys.modules.keys() - packages)
"""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Modules that are loaded with the app, Chalice's included."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


def test_importing_the_app_loads_no_heavy_library(imported: set[str]) -> None:
    assert imported & HEAVY == set()


def test_importing_the_app_loads_few_modules_of_our_own(imported: set[str]) -> None:
    own = {name for name in imported if name.startswith("chalicelib")}
    assert 0 < len(own) <= MOST
