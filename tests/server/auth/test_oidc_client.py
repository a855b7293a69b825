"""The code flow against a real provider: its keys, its addresses, and how often it is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import parse_qsl

import pytest
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from server.auth.oidc.attempts import MAX_AGE_S, Attempt, Attempts
from server.auth.oidc.calls import ProviderCalls
from server.auth.oidc.client import OidcClient, Registration
from server.auth.oidc.discovery import KEPT_S, KEYS_AGAIN_S, Discovery, _address, _key_set
from server.auth.oidc.errors import OidcError
from tests.support.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT_URL,
    OidcProvider,
    new_key,
    running_provider,
)

DISCOVERY = "/.well-known/openid-configuration"
ATTEMPT = Attempt("state", "nonce", "v" * 43, "/")


@asynccontextmanager
async def beside_a_provider() -> AsyncIterator[tuple[OidcClient, OidcProvider]]:
    """Have a provider in order, and a client of it."""
    async with running_provider() as provider:
        provider.is_user("ann", "ann@example.com")
        registration = Registration(
            issuer=provider.issuer,
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
            redirect_url=REDIRECT_URL,
            scopes="openid",
        )
        client = OidcClient(registration, timeout_s=5)
        yield client, provider
        await client.close()


async def signed_in(client: OidcClient, provider: OidcProvider) -> str:
    """Sign in, and return as whom."""
    came_back = provider.authorize(await client.address(ATTEMPT))
    return (await client.claims(dict(parse_qsl(came_back)), ATTEMPT)).subject


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
async def test_every_algorithm_is_known_and_new_keys_are_found_at_once(alg: str) -> None:
    async with beside_a_provider() as (client, provider):
        provider.alg = alg
        first = await signed_in(client, provider)
        provider.rotate_keys()
        second = await signed_in(client, provider)
        provider.rotate_keys()
        with pytest.raises(OidcError) as refused:
            await signed_in(client, provider)

        assert (first, second) == ("ann", "ann")
        assert refused.value.code == "provider_untrusted"
        # Of keys that are not known the provider is asked once in ten seconds.
        assert provider.asked.count("/jwks") == 2
        assert provider.asked.count(DISCOVERY) == 1


async def test_keys_and_addresses_are_read_again_after_an_hour_and_for_a_key_after_a_while() -> (
    None
):
    async with beside_a_provider() as (_, provider):
        now = 1000.0
        calls = ProviderCalls(timeout_s=5)
        discovery = Discovery(provider.issuer, calls, clock=lambda: now)
        seen: list[tuple[int, int]] = []

        for passed_s in (0.0, 1.0, KEYS_AGAIN_S, KEYS_AGAIN_S + 1, KEPT_S + 1):
            now += passed_s
            await discovery.keys_for({"alg": "RS256", "kid": "unknown"})
            await discovery.keys_for({"alg": "RS256", "kid": "unknown"})
            seen.append((provider.asked.count(DISCOVERY), provider.asked.count("/jwks")))
        await calls.close()

        assert seen == [(1, 2), (1, 2), (1, 3), (1, 4), (2, 6)]


async def test_a_provider_that_names_itself_must_do_so_in_each_answer() -> None:
    async with beside_a_provider() as (client, provider):
        provider.names_itself = True
        assert await signed_in(client, provider) == "ann"

        provider.names_itself = False
        with pytest.raises(OidcError) as refused:
            await signed_in(client, provider)

        assert refused.value.code == "provider_untrusted"


async def test_a_code_that_was_used_or_made_up_signs_nobody_in() -> None:
    async with beside_a_provider() as (client, provider):
        came_back = dict(parse_qsl(provider.authorize(await client.address(ATTEMPT))))
        await client.claims(came_back, ATTEMPT)

        for code, wanted in (
            (came_back["code"], "provider_unavailable"),
            ("x", "provider_unavailable"),
            ("x" * 5000, "refused"),
            ("", "refused"),
        ):
            with pytest.raises(OidcError) as refused:
                await client.claims({**came_back, "code": code}, ATTEMPT)
            assert refused.value.code == wanted


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        ("https://accounts.example.com/x", True),
        ("http://accounts.example.com/x", False),
        ("ftp://accounts.example.com/x", False),
        ("https://", False),
        ("https://[", False),
        ("/relative", False),
        (7, False),
    ],
)
def test_no_address_of_a_provider_is_less_safe_than_its_issuer(
    address: object, is_good: bool
) -> None:
    # Private: a provider with TLS would be asked here for one line.
    try:
        used = _address({"token_endpoint": address}, "token_endpoint", "https")
    except OidcError:
        used = ""

    assert used == (address if is_good else "")


def test_keys_that_cannot_sign_are_left_out() -> None:
    good = new_key("ES256").as_dict(private=False)
    weak = cast("dict[str, object]", _weak_key())
    others: list[object] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "RSA", "n": "?", "e": 7},
        {**new_key("ES256").as_dict(private=False), "use": "enc"},
        weak,
        {},
        "RSA",
        None,
    ]

    # Private: what a provider tells is read over a socket above.
    keys = _key_set({"keys": [*others, good]})

    assert [key.kid for key in keys] == [good["kid"]]
    useless: list[dict[str, object]] = [{"keys": others}, {"keys": 7}, {"key": []}]
    for told in useless:
        with pytest.raises(OidcError):
            _key_set(told)


def _weak_key() -> object:
    with pytest.warns(match="2048"):
        return RSAKey.generate_key(1024).as_dict(private=False)


def test_a_try_ends_after_ten_minutes_and_is_its_own() -> None:
    now = 1_000_000.0
    attempts = Attempts("secret-secret-secret-secret-01", now=lambda: now)
    attempt, cookie = attempts.make("/c/conv_1")
    other, _ = attempts.make("/")

    now += MAX_AGE_S
    assert attempts.read(cookie, attempt.state) == attempt
    assert attempts.read(cookie, other.state) is None
    assert attempts.read(cookie, "ä") is None
    assert Attempts("another-secret", now=lambda: now).read(cookie, attempt.state) is None
    now += 1
    assert attempts.read(cookie, attempt.state) is None
