"""What a cold start pays for `import app`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {
    "pynamodb", "boto3", "botocore", "urllib3", "imapclient", "aiosmtplib", "asyncio", "cryptography",
    "fast_mail_parser",
}  # fmt: skip
PROBE = """
import sys, time
start = time.process_time()
import chalice.app
framework = time.process_time()
import app
print(framework - start, time.process_time() - start, *sys.modules)
"""


def _probe() -> tuple[float, float, set[str]]:
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    framework, whole, *modules = answer.stdout.split()
    return float(framework), float(whole), set(modules)


def test_importing_the_app_loads_no_heavy_library() -> None:
    *_, modules = _probe()
    assert modules & HEAVY == set()


def test_importing_the_app_takes_150_ms_or_on_a_slow_machine_five_times_the_framework() -> None:
    probes = [_probe() for _ in range(5)]
    framework = min(probe[0] for probe in probes)
    assert min(probe[1] for probe in probes) <= max(0.150, 5 * framework)
