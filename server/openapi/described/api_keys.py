"""API keys, as their users see them."""

from server.openapi.answers.accounts import NewApiKeyTold, OwnApiKeys
from server.openapi.describing import Answer, Doc, Tag

_UNAVAILABLE = {503: ("accounts_unavailable",)}
_KEY = {
    "key_id": "key_0ab",
    "name": "Our shop",
    "scopes": ["chat"],
    "created_at": "2026-11-22T10:00:00.000Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}

CREATE = Doc(
    Tag.API_KEYS,
    answers={
        201: Answer("The key, this once.", NewApiKeyTold, example={**_KEY, "key": "ck_key_0ab_…"})
    },
    problems={403: ("forbidden",), 409: ("too_many_api_keys",), **_UNAVAILABLE},
    description="With scope `chat` it sees its user's conversations. Keys of the other scopes are"
    " made by admins, and good while they are admins.",
    example={"name": "Our shop", "scopes": ["chat"], "expires_in_days": 365},
)
LIST = Doc(
    Tag.API_KEYS,
    answers={200: Answer("The keys.", OwnApiKeys, example={"api_keys": [_KEY]})},
    problems=_UNAVAILABLE,
)
REVOKE = Doc(
    Tag.API_KEYS,
    answers={204: Answer("It is worth nothing now.")},
    problems={404: ("api_key_not_found",), **_UNAVAILABLE},
)
