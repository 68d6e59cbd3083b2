"""Creates in the emulator what template.yaml declares; repeating it changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from localstack_client.session import Session

from infra.local.aws import REGION
from infra.local.template import Template

Json = Mapping[str, Any]
_QUEUE_ATTRIBUTES = (
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "MaximumMessageSize",
)


def client(service: str) -> Any:
    """Return a client of the endpoint that the environment names."""
    key, secret = (os.environ.get(f"AWS_{name}", "local") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    config = Config(connect_timeout=2, read_timeout=30, retries={"total_max_attempts": 2})
    return Session(key, secret, region_name=REGION).client(service, config=config)


def create(template: Template) -> None:
    """Create what is missing and enter every name and ARN into `template.values`."""
    queues = template.of_type("AWS::SQS::Queue")
    for name, properties in queues.items():
        template.values[name] = _queue(template, name, properties)
    for name, properties in queues.items():
        _redrive(template, name, properties)
    for name in template.of_type("AWS::KMS::Key"):
        template.values[name] = _key(f"alias/{template.stack}-{name}".lower())
    for name, properties in template.of_type("AWS::DynamoDB::Table").items():
        template.values[name] = _table(template, name, properties)
    for name, properties in template.of_type("AWS::S3::Bucket").items():
        template.values[name] = _bucket(template, name, properties)


def environment(template: Template) -> dict[str, str]:
    """Return the settings of chalicelib.config that follow from what was created."""
    found = {"POSTERN_TABLE_PREFIX": template.stack}
    for name in template.of_type("AWS::S3::Bucket"):
        found["POSTERN_BUCKET"] = template.values[name]["Ref"]
    for name in template.of_type("AWS::KMS::Key"):
        found["POSTERN_KEY_ID"] = template.values[name]["Ref"]
    for name, properties in template.of_type("AWS::SQS::Queue").items():
        if "RedrivePolicy" in properties:
            short = template.values[name]["QueueName"].removeprefix(f"{template.stack}-")
            found[f"POSTERN_QUEUE_{short.upper().replace('-', '_')}"] = template.values[name]["Ref"]
    return {**found, **template.environment()}


def _name(template: Template, logical: str, properties: Json, key: str) -> str:
    named = properties.get(key)
    return str(template.resolve(named)) if named else f"{template.stack}-{logical}".lower()


def _queue(template: Template, logical: str, properties: Json) -> dict[str, str]:
    sqs = client("sqs")
    name = _name(template, logical, properties, "QueueName")
    attributes = {key: str(properties[key]) for key in _QUEUE_ATTRIBUTES if key in properties}
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        if attributes:
            sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return {"Ref": url, "Arn": answer["Attributes"]["QueueArn"], "QueueName": name, "QueueUrl": url}


def _redrive(template: Template, logical: str, properties: Json) -> None:
    if "RedrivePolicy" in properties:
        policy = json.dumps(template.resolve(properties["RedrivePolicy"]))
        url = template.values[logical]["Ref"]
        client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})


def _key(alias: str) -> dict[str, str]:
    kms = client("kms")
    try:
        key = kms.describe_key(KeyId=alias)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        key = kms.create_key(Description=alias)["KeyMetadata"]
        kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    return {"Ref": key["KeyId"], "Arn": key["Arn"], "KeyId": key["KeyId"]}


def _table(template: Template, logical: str, properties: Json) -> dict[str, str]:
    dynamodb = client("dynamodb")
    name = _name(template, logical, properties, "TableName")
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        table = _new_table(dynamodb, name, template.resolve(properties))
    values = {"Ref": name, "Arn": table["TableArn"]}
    if "LatestStreamArn" in table:
        values["StreamArn"] = table["LatestStreamArn"]
    return values


def _new_table(dynamodb: Any, name: str, properties: Json) -> Json:
    wanted = {
        "TableName": name,
        "AttributeDefinitions": properties["AttributeDefinitions"],
        "KeySchema": properties["KeySchema"],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if "StreamSpecification" in properties:
        wanted["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    dynamodb.create_table(**wanted)
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    if "TimeToLiveSpecification" in properties:
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
        )
    table: Json = dynamodb.describe_table(TableName=name)["Table"]
    return table


def _bucket(template: Template, logical: str, properties: Json) -> dict[str, str]:
    s3 = client("s3")
    name = _name(template, logical, properties, "BucketName")
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        s3.create_bucket(Bucket=name)
    rules = (properties.get("LifecycleConfiguration") or {}).get("Rules")
    if rules:
        s3.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration={"Rules": [_rule(rule) for rule in rules]}
        )
    return {"Ref": name, "Arn": f"arn:aws:s3:::{name}"}


def _rule(rule: Json) -> dict[str, Any]:
    """Return a lifecycle rule as the S3 API spells it."""
    found: dict[str, Any] = {
        "ID": rule.get("Id", "rule"),
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if "ExpirationInDays" in rule:
        found["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "AbortIncompleteMultipartUpload" in rule:
        found["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return found
