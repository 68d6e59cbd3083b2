"""Table of contents: every route group and every Lambda function of the system.

A worker is imported when its function is called first: each function starts with its own code only.
"""

from typing import Any

from chalice.app import Chalice, CloudWatchEvent, DynamoDBEvent, SQSEvent

from chalicelib import api, logs
from chalicelib.api.deltas import streaming
from chalicelib.clock import Deadline
from chalicelib.domain.jobs import BACKFILL, DELIVERIES, EDITS, SYNC
from chalicelib.workers.batch import BatchFailures, each_group, each_record

# The template replaces these by the ARNs of the deployment.
_QUEUE = "arn:aws:sqs:us-east-1:000000000000:"
_TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/"
_RECONCILE_SECONDS = 45

logs.quiet_libraries()
app = Chalice(app_name="postern")
app.api.binary_types = api.BINARY_TYPES

for blueprint in api.BLUEPRINTS:
    app.register_blueprint(blueprint)


@app.lambda_function()
def stream_deltas(event: dict[str, Any], context: Any) -> streaming.Answer:
    """Answer /delta/streaming piece by piece; `chalicelib.workers.streams` sends the pieces on AWS."""
    return streaming.answer(event)


@app.on_sqs_message(queue_arn=_QUEUE + SYNC.name, batch_size=1)
def sync_account(event: SQSEvent) -> BatchFailures:
    """Bring one account up to date."""
    from chalicelib.workers import sync

    return each_record(event.to_dict(), SYNC, sync.run)


@app.on_sqs_message(queue_arn=_QUEUE + BACKFILL.name, batch_size=1)
def backfill_account(event: SQSEvent) -> BatchFailures:
    """Fetch history of one account for a while."""
    from chalicelib.workers import backfill

    return each_record(event.to_dict(), BACKFILL, backfill.run)


@app.on_sqs_message(queue_arn=_QUEUE + EDITS.name, batch_size=10)
def apply_edits(event: SQSEvent) -> BatchFailures:
    """Make the API's changes on the mail servers."""
    from chalicelib.workers import edits

    return each_record(event.to_dict(), EDITS, edits.run, edits.give_up)


@app.on_sqs_message(queue_arn=_QUEUE + DELIVERIES.name, batch_size=1)
def deliver(event: SQSEvent) -> BatchFailures:
    """Tell customers' endpoints."""
    from chalicelib.workers import deliveries

    return each_record(event.to_dict(), DELIVERIES, deliveries.run)


@app.on_dynamodb_record(stream_arn=_TABLE + "mail/stream/0", batch_size=100)
def record_changes(event: DynamoDBEvent) -> BatchFailures:
    """Write changes of mail into the delta log."""
    from chalicelib.workers import deltas

    return each_group(event.to_dict(), deltas.parse, deltas.run)


@app.on_dynamodb_record(stream_arn=_TABLE + "core/stream/0", batch_size=100)
def record_account_changes(event: DynamoDBEvent) -> BatchFailures:
    """Write changes of accounts into the delta log."""
    from chalicelib.workers import deltas

    return each_group(event.to_dict(), deltas.parse, deltas.run)


@app.on_dynamodb_record(stream_arn=_TABLE + "log/stream/0", batch_size=100)
def announce(event: DynamoDBEvent) -> BatchFailures:
    """Turn new log entries into webhook deliveries."""
    from chalicelib.workers import announce

    return each_group(event.to_dict(), announce.parse, announce.run)


@app.schedule("rate(1 minute)")
def tick(event: CloudWatchEvent) -> None:
    """Enqueue whatever is due."""
    from chalicelib.workers import tick

    tick.run()


@app.schedule("rate(5 minutes)")
def reconcile(event: CloudWatchEvent) -> None:
    """Repair the delta logs of the accounts whose turn it is."""
    from chalicelib.workers import reconcile

    reconcile.run(Deadline.after(_RECONCILE_SECONDS))
