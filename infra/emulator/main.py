"""Start the patched emulator on an open socket: `python -m infra.emulator.main FILE HOME`.

Runs in the emulator's own environment.
"""

import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from ministack import app
from ministack.core import persistence, responses
from ministack.services import dynamodb, dynamodb_streams, sqs

from infra.emulator import gate as emulator_gate
from infra.emulator import json, patches, values
from infra.emulator.express import Express
from infra.emulator.journal import Journal
from infra.emulator.queues import Queues
from infra.emulator.snapshots import Shelf, Snapshots
from infra.emulator.units import Meter
from infra.machine import leash, locks

WAIT_SECONDS = 120.0
"""An emulator of an earlier run may still be saving."""


def main(listening: socket.socket, root: Path, key: str, region: str) -> None:
    """Serve until SIGTERM, alone on this state."""
    lock = locks.take(root / "lock", WAIT_SECONDS)
    patches.apply(dynamodb, dynamodb_streams)
    values.apply(dynamodb)
    json.install(dynamodb, dynamodb_streams, responses)
    journal = Journal(root, app, dynamodb, key, region)
    Queues(sqs, journal)
    Snapshots(app, Shelf(root, persistence), journal, lock)
    meter = Meter(dynamodb) if os.environ.get("COUNT_UNITS") == "1" else None
    gate = emulator_gate.Gate(key, listening.getsockname()[1])
    express = Express(app, dynamodb, dynamodb_streams, gate.admits, meter)
    config = uvicorn.Config(
        emulator_gate.without_cors(app.app),
        http=express.protocol,
        ws="none",
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    leash.tie()
    main(
        socket.socket(fileno=int(sys.argv[1])),
        Path(os.environ["STATE_DIR"]).parent,
        os.environ["ACCESS_KEY"],
        os.environ["REGION"],
    )
