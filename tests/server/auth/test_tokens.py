"""Tokens prove only what this server has signed, for this server, lately."""

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.model import Session, User
from server.auth.tokens import AccessClaims, AccessTokens, RefreshTokens, TokenError, key_id

SECRET = "the secret that signs now, at random"  # noqa: S105 - made up for the tests
FORMER = "the secret that signed before, at random"
OTHER = "somebody else's secret, just as random"
CASES = json.loads((Path(__file__).parents[2] / "vectors/access_tokens.json").read_text())
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ANN = User("user_1", "ann@example.com", "Ann", "user", None, NOW)
SESSION = Session("session_1", "user_1", "ab" * 16, 3, NOW, NOW, NOW)


def access(*ring: str) -> AccessTokens:
    return AccessTokens(
        ring or (SECRET,), issuer="chatstream", audience="chatstream", lifetime_s=900
    )


def reading(tokens: AccessTokens, token: str) -> str:
    try:
        tokens.read(token)
    except TokenError as error:
        return error.reason
    return "ok"


def crafted(case: dict[str, Any]) -> str:
    """Return the token that a case describes: what is not named is as in a good one."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "chatstream",
        "aud": "chatstream",
        "sub": "user_1",
        "sid": "session_1",
        "role": "user",
        "jti": "1",
    }
    times = {"iat": 0, "nbf": 0, "exp": 900, **case.get("times", {})}
    claims |= {name: now + after_s for name, after_s in times.items()} | case.get("claims", {})
    if "long" in case:
        claims[case["long"]] = "a" * claims[case["long"]]
    claims.pop(case.get("without", ""), None)
    header = {"alg": "HS256", "typ": "at+jwt", "kid": key_id(SECRET), **case.get("header", {})}
    header = {name: value for name, value in header.items() if value is not None}
    parts = [jwt.utils.base64url_encode(json.dumps(part).encode()) for part in (header, claims)]
    signed = b".".join(parts)
    algorithm = jwt.get_algorithm_by_name("HS512" if header["alg"] == "HS512" else "HS256")
    secret = {"other": OTHER, "empty": ""}.get(case.get("signature", ""), SECRET)
    signature = b"" if case.get("signature") == "none" else algorithm.sign(signed, secret.encode())
    return b".".join([signed, jwt.utils.base64url_encode(signature)]).decode()


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_an_access_token_is_read_as_the_case_says(case: dict[str, Any]) -> None:
    assert reading(access(), crafted(case)) == case.get("reads", "invalid")


def test_what_was_issued_names_its_user() -> None:
    tokens = access()

    claims = tokens.read(tokens.issue(replace(ANN, role="admin"), "session_1"))

    assert claims == AccessClaims("user_1", "session_1", "admin")


def test_a_former_secrets_tokens_are_good_and_new_ones_are_signed_with_the_newest() -> None:
    before, rotated, after = access(FORMER), access(SECRET, FORMER), access(SECRET)
    old, new = before.issue(ANN, "session_1"), rotated.issue(ANN, "session_1")

    assert reading(rotated, old) == "ok"
    assert reading(after, new) == "ok"
    assert reading(after, old) == reading(before, new) == "invalid"


def test_a_token_that_is_too_long_is_not_even_parsed() -> None:
    assert reading(access(), "a" * 5_000_000 + ".b.c") == "invalid"


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_garbage_is_refused(text: str) -> None:
    assert reading(access(), text) == "invalid"
    with pytest.raises(TokenError):
        RefreshTokens([SECRET]).read(text)


@given(st.data())
@settings(max_examples=200)
def test_a_token_that_was_changed_somewhere_is_refused(data: st.DataObject) -> None:
    token = crafted({})
    at = data.draw(st.integers(0, len(token) - 2))  # the last one's low bits carry nothing
    other = data.draw(st.sampled_from("abcXYZ019-_."))
    changed = token[:at] + other + token[at + 1 :]

    assert reading(access(), changed) == ("ok" if changed == token else "invalid")


def test_a_generations_refresh_token_is_always_the_same_and_proves_its_session() -> None:
    tokens = RefreshTokens([SECRET])

    claim = tokens.read(tokens.make(SESSION))

    assert tokens.make(SESSION) == tokens.make(SESSION)
    assert re.fullmatch(r"rt_[A-Za-z0-9_-]{50,150}", tokens.make(SESSION))
    assert (claim.session_id, claim.generation) == ("session_1", 3)
    assert tokens.is_proved(claim, SESSION)
    assert not tokens.is_proved(replace(claim, generation=4), SESSION)
    assert not tokens.is_proved(claim, replace(SESSION, nonce="cd" * 16))
    assert not RefreshTokens([OTHER]).is_proved(claim, SESSION)


def test_a_former_secrets_refresh_tokens_are_taken_still() -> None:
    claim = RefreshTokens([FORMER]).read(RefreshTokens([FORMER]).make(SESSION))

    assert RefreshTokens([SECRET, FORMER]).is_proved(claim, SESSION)
    assert not RefreshTokens([SECRET]).is_proved(claim, SESSION)


def test_neither_token_is_taken_for_the_other() -> None:
    refresh = RefreshTokens([SECRET])

    assert reading(access(), refresh.make(SESSION)) == "invalid"
    with pytest.raises(TokenError):
        refresh.read(access().issue(ANN, "session_1"))


def test_what_names_a_secret_does_not_tell_it() -> None:
    assert re.fullmatch("[0-9a-f]{16}", key_id(SECRET))
    assert key_id(SECRET) != key_id(OTHER)
