"""What somebody can do who knows a client id and an address, and has a mailbox of his own: nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chalice.test import Client

from app import app as APP
from tests.fakes.connections import body
from tests.fakes.services import MemoryServices
from tests.worlds.api import Call, basic
from tests.worlds.api import call as call  # a fixture
from tests.worlds.strangers import MINE, connected, kept, redeem
from tests.worlds.strangers import here as here  # a fixture


def test_a_stranger_with_a_mailbox_of_his_own_takes_nothing(call: Call, here: MemoryServices) -> None:
    victim = connected(call)
    before = kept(here)
    asked = body(name="Mallory", settings=MINE, history_days=1, folder_history_days={"inbox": "none"})
    for more in ({}, {"reauth_account_id": victim["id"]}, {"email_address": "MIRA@kestrel.EXAMPLE"}):
        status, answer = call("POST", "/connect/authorize", {**asked, **more})
        if status == 200:
            status, answer = redeem(call, answer["code"])
        assert status in (400, 403) and answer["type"] == "auth_error"
        assert kept(here) == before
    assert call("GET", "/account", auth=f"Bearer {victim['access_token']}")[1]["name"] == "Mira"


def test_his_own_mailbox_makes_another_account_when_the_application_says_so(
    call: Call, here: MemoryServices
) -> None:
    victim = connected(call)
    before = kept(here)
    asked = body(name="Mallory", email_address="mallory@evil.example", settings=MINE)
    code = call("POST", "/connect/authorize", asked)[1]["code"]
    assert kept(here) == before, "nobody has heard of it yet"
    assert call("GET", "/a/app/accounts", auth=basic("secret-of-app"))[1][0]["id"] == victim["id"]
    status, other = redeem(call, code)
    assert status == 200 and other["id"] != victim["id"]
    assert call("GET", "/account", auth=f"Bearer {victim['access_token']}")[1]["id"] == victim["id"]


def test_a_code_is_good_once_and_for_its_application_only(call: Call, here: MemoryServices) -> None:
    code = call("POST", "/connect/authorize", body())[1]["code"]
    assert redeem(call, code, "app2")[0] == 400 and not here.accounts.rows
    assert [redeem(call, code)[0] for _ in range(3)] == [200, 400, 400]
    assert {one.application_id for one in here.accounts.rows.values()} == {"app"}


@pytest.mark.parametrize("way", ["basic", "bearer", "body"])
def test_the_application_gives_an_account_another_login_and_old_tokens_end(
    call: Call, here: MemoryServices, way: str
) -> None:
    victim = connected(call)
    asked = body(reauth_account_id=victim["id"], settings=MINE)
    secret = "secret-of-app"
    auth = {"basic": basic(secret), "bearer": f"Bearer {secret}", "body": ""}[way]
    more = {"client_secret": secret} if way == "body" else {}
    status, answer = call("POST", "/connect/authorize", {**asked, **more}, auth=auth)
    assert status == 200, answer
    token = f"Bearer {victim['access_token']}"
    assert call("GET", "/account", auth=token)[0] == 200, "not redeemed yet"
    status, account = redeem(call, answer["code"])
    assert (status, account["id"]) == (200, victim["id"])
    assert call("GET", "/account", auth=token)[0] == 401
    assert call("GET", "/account", auth=f"Bearer {account['access_token']}")[0] == 200


@pytest.mark.parametrize("auth", [basic("secret-of-app2"), basic("guess"), "Bearer token", "Basic !", "x"])
def test_any_other_credential_gives_no_right_to_another_login(
    call: Call, here: MemoryServices, auth: str
) -> None:
    victim = connected(call)
    before = kept(here)
    asked = body(reauth_account_id=victim["id"], settings=MINE, client_secret="secret-of-app2")
    assert call("POST", "/connect/authorize", asked, auth=auth)[0] == 400
    assert kept(here) == before
    assert call("POST", "/connect/authorize", body(), auth=auth)[0] == 200, "SDKs send others' credentials"


def test_connecting_the_same_mailbox_again_keeps_its_tokens(call: Call, here: MemoryServices) -> None:
    first = connected(call)
    assert connected(call, name="Mira O.")["id"] == first["id"]
    assert call("GET", "/account", auth=f"Bearer {first['access_token']}")[1]["name"] == "Mira O."


class TestNothingIsToldWithoutASecret:
    def test_of_client_ids(self, call: Call, here: MemoryServices) -> None:
        answers = {}
        for id in ("app", "nobody"):
            logins = len(here.logins)
            right = call("POST", "/connect/authorize", body(client_id=id))
            wrong = call("POST", "/connect/authorize", body(client_id=id, settings={"imap_password": "x"}))
            token = {"client_id": id, "client_secret": "guess", "code": "guess"}
            answers[id] = (
                right[0], right[1].keys(), wrong, call("POST", "/connect/token", token),
                call("GET", f"/a/{id}", auth=basic("guess")), len(here.logins) - logins,
            )  # fmt: skip
        assert answers["app"] == answers["nobody"] and answers["app"][0] == 200
        assert {one.wanted.application_id for one in here.codes.codes.values()} == {"app"}

    def test_of_account_ids(self, call: Call, here: MemoryServices) -> None:
        victim = connected(call)
        answers = []
        for id in (victim["id"], "0" * 25, "nobody"):
            logins = len(here.logins)
            asked = body(email_address="mallory@evil.example", settings=MINE, reauth_account_id=id)
            answers.append((call("POST", "/connect/authorize", asked), len(here.logins) - logins))
        assert answers[0] == answers[1] == answers[2] and answers[0][0][0] == 400

    def test_of_addresses_to_who_has_no_mailbox(self, call: Call, here: MemoryServices) -> None:
        connected(call)
        wrong = {**MINE, "imap_password": "x"}
        here.quotas.spent.clear()
        asked = [body(email_address=address, settings=wrong) for address in ("mira@kestrel.example", "a@b.c")]
        one, other = (call("POST", "/connect/authorize", body) for body in asked)
        assert one == other and one[0] == 403

    def test_of_what_a_server_says_before_a_login_has_worked(self, call: Call, here: MemoryServices) -> None:
        status, answer = call("POST", "/connect/authorize", body(settings={"imap_password": "x"}))
        assert status == 403 and "nobody trusts" not in repr(answer)


LONG = "x" * 3_000
SURROGATE = "a\ud800b"


@pytest.mark.parametrize("key", ["client_id", "name", "email_address", "scopes", "reauth_account_id"])
@pytest.mark.parametrize("value", [LONG, SURROGATE, "y" * 500_000, ["a", SURROGATE], {"a": 1}, 7])
def test_no_field_of_a_connection_breaks_anything(
    call: Call, here: MemoryServices, key: str, value: Any
) -> None:
    if key == "email_address" and isinstance(value, str):
        value += "@kestrel.example"
    assert call("POST", "/connect/authorize", body(**{key: value}))[0] == 400
    assert not here.logins


@pytest.mark.parametrize("kind", ["imap", "smtp"])
@pytest.mark.parametrize("key", ["host", "username", "password"])
@pytest.mark.parametrize("value", [LONG, SURROGATE, "\udfff", "a\0b"])
def test_no_field_of_its_settings_does(
    call: Call, here: MemoryServices, kind: str, key: str, value: str
) -> None:
    assert call("POST", "/connect/authorize", body(settings={f"{kind}_{key}": value}))[0] == 400
    assert not here.logins


@pytest.mark.parametrize("key", ["client_id", "client_secret", "code"])
@pytest.mark.parametrize("value", [LONG, SURROGATE, "", 7, None, "y" * 900])
def test_no_field_of_an_exchange_does(call: Call, key: str, value: Any) -> None:
    exchange = {"client_id": "app", "client_secret": "secret-of-app", "code": "code"}
    assert call("POST", "/connect/token", {**exchange, key: value})[0] in (400, 401)


@pytest.mark.parametrize("id", [LONG, "%F0%9F%98%80" * 300, "%ED%A0%80" * 900, "%00", "%23" * 2_000])
def test_no_client_id_of_a_path_does(call: Call, here: MemoryServices, id: str) -> None:
    for path in (f"/a/{id}", f"/a/{id}/accounts", f"/a/{id}/webhooks", f"/a/{id}/accounts/{LONG}"):
        assert call("GET", path, auth=basic("secret-of-app"))[0] == 401


@pytest.mark.parametrize(
    "asked",
    [
        {"application_name": "n" * 500_000}, {"icon_url": LONG}, {"redirect_uris": [LONG]},
        {"redirect_uris": ["https://a"] * 101}, {"application_name": 7}, {"redirect_uris": "https://a"},
    ],
)  # fmt: skip
def test_settings_of_an_application_have_bounds(call: Call, asked: dict[str, Any]) -> None:
    assert call("PUT", "/a/app", asked, auth=basic("secret-of-app"))[0] == 400


def test_a_lone_surrogate_in_settings_of_an_application_is_replaced(call: Call) -> None:
    asked = {"application_name": SURROGATE, "redirect_uris": [SURROGATE]}
    status, answer = call("PUT", "/a/app", asked, auth=basic("secret-of-app"))
    assert (status, answer["application_name"], answer["redirect_uris"]) == (200, "a?b", ["a?b"])


class TestQuotas:
    def test_guessing_a_mailboxs_password_ends_soon_whatever_the_spelling(
        self, call: Call, here: MemoryServices
    ) -> None:
        spellings = [("mail.example", "mira"), ("MAIL.example.", "Mira"), ("mail.example", " MIRA")]
        statuses = []
        for number in range(12):
            host, user = spellings[number % 3]
            settings = {"imap_host": host, "imap_username": user, "imap_password": f"guess {number}"}
            here.passwords[host, user] = "a password"
            statuses.append(call("POST", "/connect/authorize", body(settings=settings))[0])
        assert statuses == [403] * 5 + [429] * 7
        assert call("POST", "/connect/authorize", body())[0] == 429, "the right one, too"
        assert call("POST", "/connect/authorize", body(), auth=basic("secret-of-app"))[0] == 200

    def test_guessing_by_way_of_the_smtp_login_ends_as_well(self, call: Call, here: MemoryServices) -> None:
        here.passwords["victim.example", "vera"] = "a password"
        imap = {key: value for key, value in MINE.items() if key.startswith("imap")}
        smtp = {"smtp_host": "victim.example", "smtp_username": "vera", "smtp_password": "guess"}
        asked = body(email_address="mallory@evil.example", settings={**imap, **smtp})
        assert [call("POST", "/connect/authorize", asked)[0] for _ in range(7)] == [403] * 5 + [429] * 2

    def test_logins_that_work_are_not_counted(self, call: Call, here: MemoryServices) -> None:
        for _ in range(12):
            connected(call)

    def test_a_source_has_a_quota_that_others_do_not_feel(self, call: Call, here: MemoryServices) -> None:
        statuses = [call("POST", "/connect/authorize", body())[0] for _ in range(62)]
        assert statuses == [200] * 60 + [429] * 2
        assert call("POST", "/connect/authorize", body(), auth=basic("secret-of-app"))[0] == 200

    def test_client_ids_have_one_together(self, call: Call, here: MemoryServices) -> None:
        here.quotas.spent["connect#app"] = 3_000
        assert call("POST", "/connect/authorize", body())[0] == 429
        assert call("POST", "/connect/authorize", body(client_id="app2"))[0] == 200

    def test_wrong_secrets_are_counted_on_every_route_and_lock_nobody_out(
        self, call: Call, here: MemoryServices
    ) -> None:
        guess = {"client_id": "app", "client_secret": "guess", "code": "x"}
        statuses = [call("POST", "/connect/token", guess)[0] for _ in range(20)]
        statuses += [call("GET", "/a/app", auth=basic("guess"))[0] for _ in range(12)]
        assert statuses == [401] * 30 + [429] * 2
        assert call("GET", "/a/app", auth=basic("secret-of-app"))[0] == 200
        connected(call)

    def test_wrong_codes_are_counted_and_the_right_one_passes(self, call: Call, here: MemoryServices) -> None:
        code = call("POST", "/connect/authorize", body())[1]["code"]
        assert [redeem(call, "guess")[0] for _ in range(61)] == [400] * 60 + [429]
        assert redeem(call, code)[0] == 200

    def test_a_refusal_has_the_apis_shape(self, here: MemoryServices) -> None:
        here.quotas.spent["connect#app"] = 3_000
        with Client(APP) as client:
            answer = client.http.post("/connect/authorize", body=json.dumps(body()).encode())
        assert (answer.status_code, answer.json_body["type"]) == (429, "api_error")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_a_replaced_secret_manages_no_secrets_and_can_be_ended(call: Call, here: MemoryServices) -> None:
    first = basic("secret-of-app")
    status, rotated = call("POST", "/a/app/rotate_secret", {"overlap_seconds": 3600}, auth=first)
    newest = basic(rotated["client_secret"])
    assert status == 200 and call("GET", "/a/app", auth=first)[0] == 200, "the overlap"
    for asked in ({"overlap_seconds": 0}, {"overlap_seconds": 60}, {}):
        assert call("POST", "/a/app/rotate_secret", asked, auth=first)[0] == 403
    assert call("DELETE", "/a/app/previous_secret", auth=first)[0] == 403
    assert call("GET", "/a/app", auth=newest)[0] == 200
    assert call("DELETE", "/a/app/previous_secret", auth=newest) == (200, {"previous_valid_until": None})
    assert call("GET", "/a/app", auth=first)[0] == 401
    assert call("GET", "/a/app", auth=newest)[0] == 200
