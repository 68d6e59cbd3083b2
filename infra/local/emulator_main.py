"""Start the patched emulator; runs in the emulator's own environment."""

from ministack import app
from ministack.services import dynamodb, dynamodb_streams

from infra.local import emulator_patches
from infra.local.emulator_snapshots import Snapshots

if __name__ == "__main__":
    emulator_patches.apply(dynamodb, dynamodb_streams)
    Snapshots(app, dynamodb)
    app.main()
