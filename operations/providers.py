"""Whom the service asks: the model, and who signs people in."""

from functools import partial
from urllib.parse import urlsplit

import anyio

from operations.findings import Finding, fail, ok, skip, warn
from server.settings import Settings


def oidc(settings: Settings) -> Finding:
    """Return whether the OpenID Connect provider tells its addresses and keys, and leads back."""
    issuer, back = settings.oidc_issuer, settings.oidc_redirect_url
    if issuer is None or back is None:
        return skip("OIDC_ISSUER", "unset: people sign in by password")
    host = urlsplit(back).hostname or ""
    if settings.allowed_hosts and host not in settings.allowed_hosts:
        return fail("OIDC_REDIRECT_URL", f"leads to {host}, which ALLOWED_HOSTS has not")
    return anyio.run(partial(_asked_oidc, issuer, settings.oidc_timeout_s))


async def _asked_oidc(issuer: str, timeout_s: float) -> Finding:
    from server.auth.oidc.calls import ProviderCalls  # noqa: PLC0415  # only what is used
    from server.auth.oidc.discovery import Discovery  # noqa: PLC0415
    from server.auth.oidc.errors import OidcError  # noqa: PLC0415

    calls = ProviderCalls(timeout_s=timeout_s)
    try:
        await Discovery(issuer, calls).keys_for({})
    except OidcError as error:
        return fail("OIDC_ISSUER", f"{issuer}: {error.reason or error.code}")
    finally:
        await calls.close()
    return ok("OIDC_ISSUER", f"{issuer} tells its addresses and keys")


def model(settings: Settings, *, ask: bool) -> Finding:
    """Return who answers; with `ask`, whether it writes a first word now."""
    if settings.is_offline:
        said = "unset: the offline model answers from our documentation"
        return (
            warn("OPENAI_API_KEY", said)
            if settings.app_env == "production"
            else skip("OPENAI_API_KEY", said)
        )
    name = settings.openai_base_url or "OpenAI"
    if not ask:
        return skip("model", f"{name}, {settings.openai_model}: not asked (--ask)")
    return anyio.run(partial(_asked_model, settings, name))


async def _asked_model(settings: Settings, name: str) -> Finding:
    from openai import APIError, AsyncOpenAI  # noqa: PLC0415  # half a second

    key = settings.openai_api_key
    client = AsyncOpenAI(
        api_key=key.get_secret_value() if key else "none",
        base_url=settings.openai_base_url,
        max_retries=0,
        timeout=settings.first_token_timeout_s,
    )
    began_at = anyio.current_time()
    try:
        stream = await client.chat.completions.create(
            model=settings.openai_model,
            messages=[{"role": "user", "content": "Say: ready."}],
            stream=True,
        )
        async with stream:
            async for _ in stream:
                break
    except APIError as error:
        return fail("model", f"{name}, {settings.openai_model}: {type(error).__name__}")
    finally:
        await client.close()
    took = anyio.current_time() - began_at
    return ok("model", f"{name}, {settings.openai_model}: began to answer after {took:.2f} s")
