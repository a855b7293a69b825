"""Access tokens as an attacker would make them; each but `good` has one thing wrong."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.auth.tokens import key_id

Claims = dict[str, Any]


class Forger:
    """Makes tokens from what a good one says, and from the secret that signs it.

    Args:
        token: A good one.
        secret: What it is signed with: most forgeries are signed well.
    """

    def __init__(self, token: str, secret: str) -> None:
        self._secret = secret
        self._claims: Claims = jwt.decode(token, options={"verify_signature": False})
        self._header = {"typ": "at+jwt", "kid": key_id(secret)}

    def make(self, how: str) -> str:
        """Return the forgery of this name."""
        return _FORGERIES[how](self)

    def signed(self, header: Mapping[str, object] | None = None, **claims: object) -> str:
        """Return a token that is signed well, with these changes; None takes a claim away."""
        changed = {name: value for name, value in (self._claims | claims).items() if value != ()}
        headers = {**self._header, **(header or {})}
        return _unchecked(changed, headers, self._secret)

    def alg_none(self) -> str:
        """Return one without a signature."""
        return f"{_part({'alg': 'none', **self._header})}.{_part(self._claims)}."

    def signed_with_public_key(self) -> str:
        """Return one that takes a public key for a secret."""
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return _unchecked(self._claims, self._header, public.decode())

    def signed_with_private_key(self) -> str:
        """Return one of another algorithm."""
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        return jwt.encode(self._claims, key, "RS256", self._header)

    def cut(self) -> str:
        """Return one with the last character of its signature changed."""
        token = self.signed()
        return token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]


def _part(value: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unchecked(claims: Mapping[str, object], header: Mapping[str, object], secret: str) -> str:
    """Sign what the library would refuse to: claims of wrong types, keys that are none."""
    signing = f"{_part({'alg': 'HS256', **header})}.{_part(claims)}"
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = algorithm.sign(signing.encode(), secret.encode())
    return f"{signing}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


_FORGERIES: Mapping[str, Callable[[Forger], str]] = {
    "good": lambda by: by.signed(),
    "alg_none": Forger.alg_none,
    "public_key": Forger.signed_with_public_key,
    "rs256": Forger.signed_with_private_key,
    "cut": Forger.cut,
    "jku": lambda by: by.signed({"jku": "http://127.0.0.1:9/keys", "kid": "none-of-ours"}),
    "x5u": lambda by: by.signed({"x5u": "http://127.0.0.1:9/chain", "kid": "none-of-ours"}),
    "jwk": lambda by: by.signed({"jwk": {"kty": "oct", "k": "AAAA"}, "kid": "none-of-ours"}),
    "kid_path": lambda by: by.signed({"kid": "../../dev/null"}),
    "kid_operator": lambda by: by.signed({"kid": {"$ne": ""}}),
    "kid_missing": lambda by: by.signed({"kid": ""}),
    "crit": lambda by: by.signed({"crit": ["b64"], "b64": False}),
    "typ_missing": lambda by: by.signed({"typ": "JWT"}),
    "no_exp": lambda by: by.signed(exp=()),
    "expired": lambda by: by.signed(exp=int(time.time()) - 60),
    "nbf_ahead": lambda by: by.signed(nbf=int(time.time()) + 600),
    "iat_ahead": lambda by: by.signed(iat=int(time.time()) + 600),
    "exp_text": lambda by: by.signed(exp="tomorrow"),
    "aud": lambda by: by.signed(aud="somebody-else"),
    "iss": lambda by: by.signed(iss="https://evil.example"),
    "sub_integer": lambda by: by.signed(sub=1),
    "sub_list": lambda by: by.signed(sub=["a"]),
    "sub_object": lambda by: by.signed(sub={"$ne": None}),
    "sub_10_kb": lambda by: by.signed(sub="s" * 10_240),
    "sid_unknown": lambda by: by.signed(sid="session_unknown"),
    "role_unknown": lambda by: by.signed(role="root"),
    "no_jti": lambda by: by.signed(jti=()),
}
