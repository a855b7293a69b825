"""An OpenID Connect provider: a real HTTP server with keys of its own, that can be told to lie.

It shows nobody a page: whoever comes to `/authorize` is the user of `claims`.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, KeyParameters, OKPKey, RSAKey

CLIENT_ID = "chat client"
CLIENT_SECRET = "provider:secret/canary"  # noqa: S105 - made up for the tests
REDIRECT_URL = "http://127.0.0.1:8000/api/v1/auth/oidc/callback"
HUGE = "x" * 2_000_000

CLAIMS_THAT_LIE: Mapping[str, Mapping[str, object]] = {
    "nonce of another try": {"nonce": "another"},
    "another audience": {"aud": "another client"},
    "another party": {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
    "no party": {"aud": [CLIENT_ID, "another client"]},
    "another issuer": {"iss": "https://other.example"},
    "another access token": {"at_hash": "of-another-token"},
    "subject that is none": {"sub": 7},
    "expiry that is none": {"exp": "tomorrow"},
}
CLOCKS_THAT_LIE: Mapping[str, Mapping[str, int]] = {
    "expired": {"iat": -600, "exp": -300},
    "of the future": {"iat": 600, "exp": 900},
    "not yet": {"nbf": 600},
}
KEYS_THAT_LIE = ("none", "garbage", "HS256", "other key", "unknown key", "own key")
CLAIMS_LEFT_OUT = ("no nonce", "no exp", "no iat", "no iss", "no aud", "no sub")
LIES = (*CLAIMS_THAT_LIE, *CLOCKS_THAT_LIE, *KEYS_THAT_LIE, *CLAIMS_LEFT_OUT)
"""What may be wrong with an ID token."""


def new_key(alg: str) -> Key:
    """Return a new key for an algorithm."""
    named: KeyParameters = {"kid": secrets.token_hex(4), "use": "sig"}
    if alg.startswith("ES"):
        return ECKey.generate_key("P-256", named)
    if alg in {"EdDSA", "Ed25519"}:
        return OKPKey.generate_key("Ed25519", named)
    return RSAKey.generate_key(2048, named)


@dataclass
class OidcProvider:
    """How it answers; tests change it as they like.

    Attributes:
        claims: Of the user who signs in.
        alg: Of ID tokens.
        lie: What is wrong with the ID tokens, of `LIES`.
        broken: By path, how it answers there instead: of `BROKEN`, or `hang`.
        names_itself: Whether its answers to browsers carry `iss`.
        userinfo: What the userinfo endpoint tells.
        asked: The paths that were asked for.
        told: Codes and tokens that were given out, and secrets: never to be seen in a log.
    """

    port: int = 0
    claims: dict[str, object] = field(default_factory=dict)
    alg: str = "RS256"
    lie: str = ""
    broken: dict[str, str] = field(default_factory=dict)
    names_itself: bool = False
    userinfo: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    _keys: dict[str, Key] = field(default_factory=dict)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """Its name, and where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, object]:
        """The settings of a server that signs in here."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_redirect_url": REDIRECT_URL,
            "oidc_timeout_s": 1,
        }

    def is_user(self, subject: str, email: str = "", **claims: object) -> None:
        """Have this user sign in from now on, and nothing else be out of the ordinary."""
        named = {"email": email, "email_verified": True} if email else {}
        self.claims = {"sub": subject, **named, **claims}
        self.alg, self.lie, self.names_itself = "RS256", "", False
        self.broken, self.userinfo = {}, {}

    def rotate_keys(self) -> None:
        """Sign with new keys; the old ones are told no more."""
        self._keys.clear()

    def authorize(self, address: str) -> str:
        """Return the query that a browser comes back with, which came to this address."""
        asked = dict(parse_qsl(urlsplit(address).query, strict_parsing=True))
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["redirect_uri"] == REDIRECT_URL
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        self.told.append(code)
        named = {"iss": self.issuer} if self.names_itself else {}
        return urlencode({"code": code, "state": asked["state"], **named})

    async def serve(self, stream: ByteStream) -> None:
        """Answer one request."""
        async with stream:
            try:
                method, target, headers, body = await _request(stream)
                path = urlsplit(target).path
                self.asked.append(path)
                await self._answer(stream, path, headers, body)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return  # who asked has given up
            assert method in {"GET", "POST"}

    async def _answer(
        self, stream: ByteStream, path: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        fault = self.broken.get(path, "")
        if fault == "hang":
            await stream.receive()  # until who asked has given up
        elif fault:
            await stream.send(BROKEN[fault])
        else:
            status, told = self._told(path, headers, body)
            await stream.send(_http(status, json.dumps(told).encode()))

    def _told(
        self, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, object]]:
        if path == "/token":
            return self._token(headers, body)
        if path == "/jwks":
            shown = [self._key(alg).as_dict(private=False) for alg in (self.alg, "ES256")]
            return 200, {"keys": [{"kty": "strange"}, *shown]}
        told = {"/.well-known/openid-configuration": self._discovery(), "/userinfo": self.userinfo}
        return (200, told[path]) if path in told else (404, {})

    def _discovery(self) -> Mapping[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "authorization_response_iss_parameter_supported": self.names_itself,
        }

    def _token(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, object]]:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        given = base64.b64decode(headers["authorization"].partition(" ")[2]).decode()
        named, _, secret = given.partition(":")
        assert (unquote(named), unquote(secret)) == (CLIENT_ID, CLIENT_SECRET)
        asked = self._codes.pop(form["code"], None)
        if asked is None:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = _text(digest)
        assert challenge == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        access_token = secrets.token_urlsafe(16)
        id_token = self._id_token(asked["nonce"])
        self.told += [access_token, id_token, form["code_verifier"]]
        return 200, {
            "access_token": access_token,
            "token_type": "Bearer",
            "id_token": id_token,
        }

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        claims |= {"nonce": nonce, **self.claims, **CLAIMS_THAT_LIE.get(self.lie, {})}
        for name, moved_s in CLOCKS_THAT_LIE.get(self.lie, {}).items():
            claims[name] = now + moved_s
        claims.pop(self.lie.removeprefix("no "), None)
        return self._signed(claims)

    def _signed(self, claims: dict[str, Any]) -> str:
        key, alg = self._key(self.alg), self.alg
        header: dict[str, Any] = {}
        if self.lie == "none":
            return f"{_part({'alg': 'none', 'kid': key.kid})}.{_part(claims)}."
        if self.lie == "garbage":
            return "a.b.c"
        if self.lie == "HS256":
            signed = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(claims)}"
            public = key.as_pem(private=False)  # type: ignore[union-attr]  # it is no secret
            return f"{signed}.{_text(hmac.digest(public, signed.encode(), 'sha256'))}"
        if self.lie in {"other key", "unknown key", "own key"}:
            header = {"kid": "unknown" if self.lie == "unknown key" else key.kid}
            key = new_key(self.alg)
            if self.lie == "own key":
                header["jwk"] = key.as_dict(private=False)
        with warnings.catch_warnings():  # `EdDSA` is an older name of `Ed25519`
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode({"alg": alg, "kid": key.kid, **header}, claims, key, [alg])

    def _key(self, alg: str) -> Key:
        if alg not in self._keys:
            self._keys[alg] = new_key(alg)
        return self._keys[alg]


def _part(value: object) -> str:
    return _text(json.dumps(value).encode())


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _http(status: int, body: bytes, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _request(stream: ByteStream) -> tuple[str, str, Mapping[str, str], bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in rest)}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive()
    method, target, _ = first.split()
    return method, target, headers, body


BROKEN: Mapping[str, bytes] = {
    "redirect": _http(302, b"", Location="/elsewhere"),
    "huge": _http(200, json.dumps({"x": HUGE}).encode()),
    "html": _http(200, b"<html><body>Sorry</body></html>"),
    "gzip": _http(200, b"{}", Content_Encoding="gzip"),
    "list": _http(200, b"[]"),
    "500": _http(500, b"{}"),
}
"""What may be answered instead."""


@asynccontextmanager
async def running_provider() -> AsyncIterator[OidcProvider]:
    """Run a provider until the block ends."""
    provider = OidcProvider(told=[CLIENT_SECRET])
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    provider.port = int(listener.extra_attributes[SocketAttribute.local_port]())
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, provider.serve)
        yield provider
        tasks.cancel_scope.cancel()
