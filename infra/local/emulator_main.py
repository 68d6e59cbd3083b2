"""Start the patched emulator; runs in the emulator's own environment."""

import os

import uvicorn
from ministack import app
from ministack.core import responses
from ministack.services import dynamodb, dynamodb_streams

from infra.local import emulator_json, emulator_patches, emulator_values
from infra.local.emulator_express import Express
from infra.local.emulator_snapshots import Snapshots
from infra.local.emulator_units import Meter

if __name__ == "__main__":
    emulator_patches.apply(dynamodb, dynamodb_streams)
    emulator_values.apply(dynamodb)
    emulator_json.install(dynamodb, dynamodb_streams, responses)
    Snapshots(app, dynamodb)
    meter = Meter(dynamodb) if os.environ.get("COUNT_UNITS") == "1" else None
    express = Express(app, dynamodb, dynamodb_streams, meter)
    uvicorn.run(
        app.app,
        host=os.environ["BIND_HOST"],
        port=int(os.environ["GATEWAY_PORT"]),
        http=express.protocol,
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
