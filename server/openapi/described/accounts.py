"""Registering, signing in and out, and one's own account."""

from server.openapi.answers.accounts import Me, OwnSessions, SignedIn, SignInOptions
from server.openapi.describing import Answer, Doc, Tag

_UNAVAILABLE = {503: ("accounts_unavailable",)}
_BUSY = {503: ("accounts_unavailable", "passwords_busy")}
_USER = {
    "user_id": "user_0ab",
    "email": "ann@example.com",
    "name": "Ann",
    "role": "user",
    "created_at": "2026-11-22T10:00:00.000Z",
    "has_password": True,
}
_SIGNED_IN = {
    "user": _USER,
    "expires_in": 900,
    "access_token": "eyJ…",
    "token_type": "Bearer",
    "refresh_token": "rt_…",
}

OPTIONS = Doc(
    Tag.ACCOUNTS,
    answers={
        200: Answer(
            "The ways.",
            SignInOptions,
            example={"guests": True, "registration": True, "oidc": None},
        )
    },
)
REGISTER = Doc(
    Tag.ACCOUNTS,
    answers={201: Answer("Signed in.", SignedIn, example=_SIGNED_IN)},
    problems={
        401: ("session_ended",),
        403: ("registration_closed",),
        409: ("email_taken",),
        **_BUSY,
    },
    description="A guest who registers keeps id and conversations; the guest's cookie is worth"
    " nothing from then on.",
    example={"email": "ann@example.com", "password": "correct horse battery", "name": "Ann"},
)
LOGIN = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("Signed in.", SignedIn, example=_SIGNED_IN)},
    problems={401: ("wrong_credentials", "session_ended"), 429: ("too_many_tries",), **_BUSY},
    description="Browsers get cookies, and no tokens in the body. An unknown address, a wrong"
    " password and a disabled account are answered alike.",
    example={"email": "ann@example.com", "password": "correct horse battery"},
)
REFRESH = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("New tokens.", SignedIn, example=_SIGNED_IN)},
    problems={401: ("session_ended", "refresh_reused"), **_UNAVAILABLE},
    description="The refresh token is used up. The one used last is taken again for a few seconds"
    " (`REFRESH_GRACE_S`) and gives the same next one; an older one ends the session.",
    example={"refresh_token": "rt_…"},
)
LOGOUT = Doc(
    Tag.ACCOUNTS,
    answers={204: Answer("Signed out.")},
    problems=_UNAVAILABLE,
    example={"everywhere": True},
)
GUEST = Doc(
    Tag.ACCOUNTS,
    answers={
        200: Answer("Who one is.", Me, example={"user": {"user_id": "guest_0ab", "role": "guest"}})
    },
    problems={
        401: ("unauthenticated", "session_ended", "token_expired"),
        403: ("guests_not_allowed",),
        404: ("user_not_found",),
        429: ("too_many_tries",),
        **_UNAVAILABLE,
    },
)
ME = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("Who one is.", Me, example={"user": _USER})},
    problems={404: ("user_not_found",), **_UNAVAILABLE},
)
CHANGE_ME = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("As it is now.", Me, example={"user": _USER})},
    problems={404: ("user_not_found",), 412: ("version_conflict",), **_UNAVAILABLE},
    example={"name": "Ann"},
)
DELETE_ME = Doc(
    Tag.ACCOUNTS,
    answers={204: Answer("It is gone.")},
    problems={
        403: ("wrong_password", "sign_in_again"),
        404: ("user_not_found", "session_not_found"),
        409: ("admin_account",),
        412: ("version_conflict",),
        429: ("too_many_tries",),
        503: ("accounts_unavailable", "passwords_busy", "history_unavailable"),
    },
    description="Conversations, keys and sign-ins go; what is left is an id that names nobody.",
    example={"password": "correct horse battery"},
)
PASSWORD = Doc(
    Tag.ACCOUNTS,
    answers={204: Answer("Changed; all other sign-ins are over.")},
    problems={
        403: ("wrong_password", "sign_in_again"),
        404: ("user_not_found", "session_not_found"),
        412: ("version_conflict",),
        429: ("too_many_tries",),
        **_BUSY,
    },
    example={
        "current_password": "correct horse battery",
        "new_password": "battery staple correct",
    },
)
SESSIONS = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("The sign-ins.", OwnSessions)},
    problems=_UNAVAILABLE,
)
END_SESSION = Doc(
    Tag.ACCOUNTS,
    answers={204: Answer("It is over.")},
    problems={404: ("session_not_found",), **_UNAVAILABLE},
)
