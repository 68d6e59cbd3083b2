"""What template.yaml promises to the one who deploys it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from chalice.cli.factory import CLIFactory
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from chalicelib.config import Settings
from chalicelib.domain.log.delta import KINDS
from infra import build_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
NAMES: dict[str, Any] = {"table_prefix": "t", "bucket": "b", "key_id": "k", "pepper": "p", "queue_urls": {}}
Json = dict[str, Any]


@cache
def resources() -> Json:
    found: Json = yaml.safe_load(TEMPLATE.read_text("utf-8"))["Resources"]
    return found


@cache
def deployed() -> Json:
    """Return the resources after SAM's own transformation."""
    document = yaml.safe_load(TEMPLATE.read_text("utf-8"))
    for function in build_template.functions(document["Resources"]).values():
        function["Properties"]["CodeUri"] = "s3://bucket/key"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        translated: Json = Translator({}, Parser()).translate(document, {})
    found: Json = translated["Resources"]
    return found


@cache
def chalice_app() -> Any:
    return CLIFactory(str(ROOT), environ={}).load_chalice_app()


def of_type(found: Json, kind: str) -> dict[str, Json]:
    return {name: item["Properties"] for name, item in found.items() if item["Type"] == kind}


def statements(name: str) -> list[Json]:
    role = resources()[f"{name}Role"]["Properties"]
    return [item for policy in role["Policies"] for item in policy["PolicyDocument"]["Statement"]]


def actions(name: str) -> set[str]:
    found = [item["Action"] for item in statements(name)]
    return {action for item in found for action in ([item] if isinstance(item, str) else item)}


def test_the_committed_template_is_what_the_sources_say() -> None:
    assert TEMPLATE.read_text("utf-8") == build_template.build()


def test_check_notices_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drifted = tmp_path / "template.yaml"
    drifted.write_text(TEMPLATE.read_text("utf-8") + "# edited\n", "utf-8")

    assert build_template.main(["--check", "--output", str(drifted)]) == 1
    assert "out of date" in capsys.readouterr().err
    assert build_template.main(["--check"]) == 0


def test_cfn_lint_finds_nothing() -> None:
    lint = [sys.executable, "-c", "import sys; from cfnlint.runner import main; sys.exit(main())"]
    lint += ["--regions", "us-east-1", "--template", str(TEMPLATE)]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_in_it_names_this_machine() -> None:
    assert str(ROOT) not in TEMPLATE.read_text("utf-8")


def test_every_function_of_the_app_is_deployed_and_no_other() -> None:
    app = chalice_app()
    declared = {"app.app"} | {f.handler_string for f in (*app.event_sources, *app.pure_lambda_functions)}
    handlers = [item["Handler"] for item in of_type(deployed(), "AWS::Lambda::Function").values()]
    assert sorted(handlers) == sorted(declared)


def test_every_function_runs_alike_and_logs_for_two_weeks() -> None:
    for name, function in of_type(deployed(), "AWS::Lambda::Function").items():
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"]), name
        group = deployed()[function["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == 14


def test_every_route_of_the_app_is_in_the_api() -> None:
    paths = resources()["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    declared = {
        (path, method.lower()) for path, by_method in chalice_app().routes.items() for method in by_method
    }
    found = {(path, method) for path, by_method in paths.items() for method in by_method}
    assert declared
    assert declared <= found


def test_a_path_position_has_one_variable_name() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for path in chalice_app().routes:
        parts = path.split("/")
        for depth, part in enumerate(parts):
            if part.startswith("{"):
                names[re.sub(r"{\w+}", "{}", "/".join(parts[:depth]))].add(part)
    assert {place: sorted(found) for place, found in names.items() if len(found) > 1} == {}


def test_every_working_queue_gives_up_after_five_tries_and_raises_an_alarm() -> None:
    queues = of_type(resources(), "AWS::SQS::Queue")
    read = [item["EventSourceArn"]["Fn::GetAtt"][0] for item in mappings("MaximumConcurrency")]
    assert sorted(read) == ["BackfillQueue", "DeliveriesQueue", "EditsQueue", "SyncQueue"]
    for name in read:
        redrive = queues[name]["RedrivePolicy"]
        assert redrive["maxReceiveCount"] == 5
        assert f"{redrive['deadLetterTargetArn']['Fn::GetAtt'][0]}Alarm" in resources()
    assert "StreamFailuresAlarm" in resources()


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run() -> None:
    for mapping in mappings("MaximumConcurrency"):
        queue = resources()[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        function = resources()[mapping["FunctionName"]["Ref"]]["Properties"]
        assert queue["VisibilityTimeout"] == 6 * function["Timeout"]


def mappings(having: str) -> list[Json]:
    every = of_type(deployed(), "AWS::Lambda::EventSourceMapping").values()
    return [item for item in every if having in item or having in item.get("ScalingConfig", {})]


def test_all_event_sources_take_partial_failures() -> None:
    every = of_type(deployed(), "AWS::Lambda::EventSourceMapping")
    assert len(every) == 7
    for name, mapping in every.items():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name


def test_no_stream_loses_a_record_silently() -> None:
    streams = mappings("StartingPosition")
    assert len(streams) == 3
    for mapping in streams:
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["MaximumRetryAttempts"] == 20
        assert mapping["MaximumRecordAgeInSeconds"] == 43200
        failed = mapping["DestinationConfig"]["OnFailure"]["Destination"]
        assert failed == {"Fn::GetAtt": ["StreamFailures", "Arn"]}
        for item in mapping["FilterCriteria"]["Filters"]:
            assert json.loads(item["Pattern"])


def test_changes_of_every_kind_of_object_are_recorded() -> None:
    kinds: dict[str, set[str]] = defaultdict(set)
    for mapping in mappings("StartingPosition"):
        for item in mapping["FilterCriteria"]["Filters"]:
            for image, values in json.loads(item["Pattern"])["dynamodb"].items():
                kinds[image] |= set(values.get("kind", {}).get("S", ()))
    assert kinds["NewImage"] == kinds["OldImage"] == KINDS


def test_no_function_may_touch_everything() -> None:
    for name in build_template.functions(resources()):
        for statement in statements(name):
            assert "*" not in (statement["Resource"], *([statement["Action"]])), name
            assert not [action for action in actions(name) if action.endswith(":*")], name


def test_each_function_has_a_role_of_its_own_without_managed_policies() -> None:
    roles = of_type(deployed(), "AWS::IAM::Role").keys() - {"WatcherRole", "WatcherStartRole"}
    used = [f["Role"]["Fn::GetAtt"][0] for f in of_type(deployed(), "AWS::Lambda::Function").values()]
    assert sorted(used) == sorted(roles)
    every = of_type(deployed(), "AWS::IAM::Role")
    assert not [name for name, role in every.items() if role.get("ManagedPolicyArns")]


def test_only_those_who_need_credentials_can_unseal_them() -> None:
    def unseals(statement: Json) -> bool:
        only_by_way_of_s3 = "kms:ViaService" in statement.get("Condition", {}).get("StringEquals", {})
        return "kms:Decrypt" in statement["Action"] and not only_by_way_of_s3

    able = {name for name in build_template.functions(resources()) if any(map(unseals, statements(name)))}
    assert able == {"APIHandler", "SyncAccount", "BackfillAccount", "ApplyEdits", "Deliver"}


PURPOSE, VIA = "kms:EncryptionContext:purpose", "kms:ViaService"
BY_WAY_OF_S3 = {"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"}


@pytest.mark.parametrize(
    ("role", "purposes"),
    [
        ("APIHandler", ["credentials", "signing"]),
        ("SyncAccount", ["credentials"]),
        ("BackfillAccount", ["credentials"]),
        ("ApplyEdits", ["credentials"]),
        ("Watcher", ["credentials"]),
        ("Deliver", ["signing"]),
        ("StreamDeltas", []),
    ],
)
def test_the_key_opens_what_a_role_needs_and_nothing_else(role: str, purposes: list[str]) -> None:
    opened: list[str] = []
    for one in statements(role):
        if not [action for action in listed(one["Action"]) if action.startswith("kms:")]:
            continue
        [(_, condition)] = one["Condition"].items()
        assert condition.get(VIA, BY_WAY_OF_S3) == BY_WAY_OF_S3
        opened += listed(condition.get(PURPOSE, []))
    assert opened == purposes


def test_no_other_role_may_use_the_key() -> None:
    names = [name.removesuffix("Role") for name in of_type(resources(), "AWS::IAM::Role")]
    able = {name for name in names if any(action.startswith("kms:") for action in actions(name))}
    assert able == {
        "APIHandler", "SyncAccount", "BackfillAccount", "ApplyEdits", "Watcher", "Deliver", "StreamDeltas",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "functions"),
    [
        ("POSTERN_PEPPER", {"APIHandler", "StreamDeltas"}),
        ("POSTERN_WEBHOOK_DESTINATIONS", {"APIHandler", "Deliver"}),
    ],
)
def test_only_those_have_a_setting_who_need_it(variable: str, functions: set[str]) -> None:
    every = build_template.functions(resources())
    holding = {
        name for name, one in every.items() if variable in one["Properties"]["Environment"]["Variables"]
    }
    assert holding == functions
    [container] = resources()["WatcherTask"]["Properties"]["ContainerDefinitions"]
    assert variable not in {item["Name"] for item in container["Environment"]}


def test_mail_is_read_and_written_below_raw_only() -> None:
    for name in of_type(resources(), "AWS::IAM::Role"):
        for one in statements(name.removesuffix("Role")):
            if {"s3:GetObject", "s3:PutObject"} & set(listed(one["Action"])):
                assert one["Resource"] == {"Fn::Sub": "${MailBucket.Arn}/raw/*"}, name


def test_deliver_may_change_the_state_of_endpoints_and_no_other_row() -> None:
    core = {"Fn::GetAtt": ["CoreTable", "Arn"]}
    mine = [one for one in statements("Deliver") if core in (one["Resource"], *listed(one["Resource"]))]
    writing = [one for one in mine if not set(listed(one["Action"])) <= set(READS)]
    assert [one["Action"] for one in writing] == ["dynamodb:UpdateItem"]
    for one in mine:
        assert one["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] == ["APP#*"]
    [attributes] = writing[0]["Condition"]["ForAllValues:StringEquals"].values()
    assert not {"secret", "secret_hash", "previous_secret", "wrapped", "callback_url"} & set(attributes)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


READS = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")


def test_connecting_mailboxes_has_a_throttle_of_its_own() -> None:
    settings = {one["ResourcePath"]: one for one in resources()["RestAPI"]["Properties"]["MethodSettings"]}
    authorize, every = settings["/~1connect~1authorize"], settings["/*"]
    assert authorize["HttpMethod"] == "POST"
    assert authorize["ThrottlingRateLimit"] == {"Ref": "ConnectsPerSecond"}
    assert authorize["ThrottlingBurstLimit"] < every["ThrottlingBurstLimit"] / 10
    assert settings["/~1connect~1token"]["ThrottlingRateLimit"] < every["ThrottlingRateLimit"]


def test_the_concurrency_of_the_api_is_reserved_on_request_only() -> None:
    reserved = resources()["APIHandler"]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["ApiReserved", {"Ref": "ApiConcurrency"}, {"Ref": "AWS::NoValue"}]}


def test_the_stacks_own_key_seals_everything_on_request() -> None:
    def on_request(value: Any) -> bool:
        return "KeyForEverything" in str(value) and "NoValue" in str(value)

    for name, table in of_type(resources(), "AWS::DynamoDB::Table").items():
        assert on_request(table["SSESpecification"]), name
    groups = of_type(resources(), "AWS::Logs::LogGroup")
    assert len(groups) == 13
    for name, group in groups.items():
        assert on_request(group["KmsKeyId"]), name
    assert on_request(resources()["AlarmTopic"]["Properties"]["KmsMasterKeyId"])
    policy = resources()["Key"]["Properties"]["KeyPolicy"]["Statement"]
    assert [one["Fn::If"][0] for one in policy if "Fn::If" in one] == ["KeyForEverything"] * 3


def test_the_access_log_holds_no_id_no_query_and_no_secret() -> None:
    condition, setting, nothing = resources()["RestAPI"]["Properties"]["AccessLogSetting"]["Fn::If"]
    assert (condition, nothing) == ("AccessLogged", {"Ref": "AWS::NoValue"})
    line = json.loads(setting["Format"])
    assert line["route"] == "$context.resourcePath"
    for word in ("path", "querystring", "header", "authorizer", "input"):
        assert not any(f"$context.{word}" in value or "$input" in value for value in line.values())


def test_no_name_depends_on_the_stacks_being_in_lower_case() -> None:
    """Buckets take small letters only; CloudFormation makes a name of its own."""
    assert "BucketName" not in resources()["MailBucket"]["Properties"]


def test_sam_build_makes_no_copy_of_the_code() -> None:
    for name, function in build_template.functions(resources()).items():
        assert function["Metadata"] == {"SkipBuild": True}, name
        assert function["Properties"]["CodeUri"] == "build/lambda"


def test_what_the_gateway_itself_answers_is_not_kept_by_a_cache() -> None:
    body = resources()["RestAPI"]["Properties"]["DefinitionBody"]
    for name, response in body["x-amazon-apigateway-gateway-responses"].items():
        parameters = response["responseParameters"]
        assert parameters["gatewayresponse.header.Cache-Control"] == "'no-store'", name
        assert parameters["gatewayresponse.header.X-Content-Type-Options"] == "'nosniff'", name


def test_the_stream_is_answered_piece_by_piece_by_a_function_of_its_own() -> None:
    paths = resources()["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    integrations = {
        path: method["x-amazon-apigateway-integration"] for path in paths for method in paths[path].values()
    }
    streamed = {path for path, one in integrations.items() if one.get("responseTransferMode") == "STREAM"}
    assert streamed == {"/delta/streaming"}
    stream = integrations["/delta/streaming"]
    uri = "2021-11-15/functions/${StreamDeltas.Arn}/response-streaming-invocations"
    assert stream["uri"]["Fn::Sub"].endswith(uri) and stream["timeoutInMillis"] == 900_000
    function = resources()["StreamDeltas"]["Properties"]
    assert Settings(**NAMES).stream_seconds < function["Timeout"] == 900
    wrapper = Path(function["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"])
    script = ROOT / "infra" / "lambda" / wrapper.name
    assert wrapper.parent == Path("/var/task") and script.stat().st_mode & 0o111
    allowed = resources()["StreamDeltasInvokePermission"]["Properties"]
    assert allowed["SourceArn"]["Fn::Sub"].endswith("/*/GET/delta/streaming")


def test_the_gateway_speaks_the_language_of_the_api() -> None:
    body = resources()["RestAPI"]["Properties"]["DefinitionBody"]
    responses = body["x-amazon-apigateway-gateway-responses"]
    assert responses["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"
    for response in responses.values():
        text = response["responseTemplates"]["application/json"]
        shape = json.loads(text.replace("$context.error.messageString", '"said by the gateway"'))
        assert shape["type"] in {"invalid_request_error", "api_error"}
        assert shape["message"]


def test_raw_mail_expires_after_a_week() -> None:
    rules = resources()["MailBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert {"Id": "raw-mail", "Status": "Enabled", "Prefix": "raw/", "ExpirationInDays": 7} in rules


def test_only_those_who_send_may_write_to_customers_destinations_and_only_to_listed_ones() -> None:
    sending = {name for name in build_template.functions(resources()) if "events:PutEvents" in actions(name)}
    assert sending == {"APIHandler", "Deliver"}
    for name in sending:
        [granted] = [item for item in statements(name) if "events:PutEvents" in item["Action"]]
        assert granted["Resource"] == {"Fn::Split": [",", {"Ref": "WebhookDestinations"}]}
        assert granted["Action"] == ["events:PutEvents", "sqs:GetQueueUrl", "sqs:SendMessage"]


@pytest.mark.parametrize(
    ("name", "logs"), [("EndpointTrouble", "DeliverLogs"), ("AccountTrouble", "SyncAccountLogs")]
)
def test_trouble_of_endpoints_and_accounts_raises_an_alarm(name: str, logs: str) -> None:
    found = of_type(resources(), "AWS::Logs::MetricFilter")[name]
    [metric] = found["MetricTransformations"]
    alarm = resources()[f"{name}Alarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])
    assert found["LogGroupName"] == {"Ref": logs}


def test_what_an_account_is_alarmed_for_is_what_the_code_logs() -> None:
    pattern = of_type(resources(), "AWS::Logs::MetricFilter")["AccountTrouble"]["FilterPattern"]
    assert '"account * needs a look: *"' in pattern
    names = ("safety/mass_deletion", "accounts/health", "safety/poison")
    sources = [ROOT / "chalicelib" / "sync" / f"{name}.py" for name in names]
    assert all('"account %s needs a look: ' in path.read_text("utf-8") for path in sources)


def test_the_watcher_is_there_only_with_an_image() -> None:
    document = yaml.safe_load(TEMPLATE.read_text("utf-8"))
    assert document["Parameters"]["WatcherImage"]["Default"] == ""
    assert document["Conditions"]["Watched"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WatcherImage"}, ""]}]}
    mine = {name: item for name, item in resources().items() if name.startswith("Watcher")}
    assert {item["Type"] for item in mine.values()} >= {"AWS::ECS::Service", "AWS::ECS::TaskDefinition"}
    assert {item.get("Condition") for item in mine.values()} == {"Watched"}


def test_the_watcher_may_read_credentials_and_enqueue_and_nothing_else() -> None:
    assert actions("Watcher") == {"dynamodb:Query", "dynamodb:GetItem", "kms:Decrypt", "sqs:SendMessage"}
    assert all(isinstance(item["Resource"], dict) for item in statements("Watcher"))


def test_the_watcher_finds_its_settings() -> None:
    [container] = resources()["WatcherTask"]["Properties"]["ContainerDefinitions"]
    settings = Settings.from_env({item["Name"]: "value" for item in container["Environment"]})
    assert set(settings.queue_urls) == {"sync"}
