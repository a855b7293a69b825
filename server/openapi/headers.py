"""The headers of answers: each is described once, and named by the routes that send it."""

from collections.abc import Mapping

from server.openapi.describing import Schema

_TEXT: Schema = {"type": "string"}
_SECONDS: Schema = {"type": "integer", "minimum": 0}

HEADERS: Mapping[str, tuple[str, Schema]] = {
    "X-Request-ID": ("The request's id in our logs: the caller's own, or a new one.", _TEXT),
    "X-Turn-ID": ("The turn.", _TEXT),
    "X-Conversation-ID": ("The turn's conversation.", _TEXT),
    "X-Streaming": (
        "How the flag `streaming` was decided for the turn.",
        {"type": "string", "enum": ["on", "off"]},
    ),
    "ETag": ("The version, or a hash, of what is answered.", _TEXT),
    "Location": ("Where what was made is found.", _TEXT),
    "Retry-After": ("Seconds to wait before trying again.", _SECONDS),
    "RateLimit-Limit": ("Requests in the window.", _SECONDS),
    "RateLimit-Remaining": ("Requests that are left of them.", _SECONDS),
    "RateLimit-Reset": ("Seconds until the oldest that counts no longer does.", _SECONDS),
    "RateLimit": (
        'The limit that counts, and what is left of it: `"api";r=299;t=900`.',
        _TEXT,
    ),
    "RateLimit-Policy": ('That limit: `"api";q=300;w=900`, in requests and seconds.', _TEXT),
    "WWW-Authenticate": ("How to prove who one is.", _TEXT),
    "Content-Range": ("Which bytes these are.", _TEXT),
    "Accept-Ranges": ("Parts may be asked for.", _TEXT),
    "X-Speech-Sentence": ("The sentence that is spoken.", _SECONDS),
    "X-Speech-Range": (
        "Its place in the message: `start-end` in code points.",
        {"type": "string", "pattern": "^[0-9]+-[0-9]+$"},
    ),
    "X-Speech-Duration": ("Seconds of audio.", {"type": "number", "minimum": 0}),
}
"""By name: what it tells, and what it is. None is in every answer but `X-Request-ID`."""

OF_EVERY_ANSWER = ("X-Request-ID",)
OF_LIMITED = (
    "RateLimit",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
)
OF_PROBLEMS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
