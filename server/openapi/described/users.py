"""Users, their sign-ins and API keys, for operators."""

from server.openapi.answers.users import (
    EndedSessions,
    SignInSessions,
    User,
    UserApiKeys,
    Users,
)
from server.openapi.describing import Answer, Doc, Parameter, Tag
from server.openapi.parameters import CURSOR, IF_MATCH, limit

_UNAVAILABLE = {503: ("accounts_unavailable",)}
_BUSY = {503: ("accounts_unavailable", "passwords_busy")}
_NO_USER = {404: ("user_not_found",), **_UNAVAILABLE}
_WHY = Parameter(
    "reason",
    "Why; kept in the audit log.",
    {"type": "string", "minLength": 1, "maxLength": 500},
    is_required=True,
)
_USER = {
    "user_id": "user_0ab",
    "email": "ann@example.com",
    "name": "Ann",
    "role": "user",
    "is_disabled": False,
    "has_password": True,
    "identities": [],
    "created_at": "2026-11-22T10:00:00.000Z",
    "version": 1,
}

LIST = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("The users.", Users, example={"users": [_USER], "next": None})},
    problems={400: ("malformed",), **_UNAVAILABLE},
    parameters=(
        Parameter("search", "A part of the address.", {"type": "string", "maxLength": 254}),
        limit(default=50, most=100),
        CURSOR,
    ),
)
CREATE = Doc(
    Tag.ACCOUNTS,
    answers={201: Answer("Created.", User, ("ETag",), example=_USER)},
    problems={409: ("email_taken",), **_BUSY},
    description="Without a password they sign in with the provider, whose verified address must be"
    " this one.",
    example={"email": "ann@example.com", "reason": "New in the team"},
)
GET = Doc(Tag.ACCOUNTS, answers={200: Answer("The user.", User, ("ETag",))}, problems=_NO_USER)
CHANGE = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("As they are now.", User, ("ETag",), example=_USER)},
    problems={409: ("last_admin",), 412: ("version_conflict",), **_NO_USER},
    description="Who is disabled, or has a role named, is signed out everywhere. Nobody takes away"
    " the last admin.",
    parameters=(IF_MATCH,),
    example={"is_disabled": True, "reason": "Left the company"},
)
PASSWORD = Doc(
    Tag.ACCOUNTS,
    answers={204: Answer("Set; all their sign-ins are over.")},
    problems={412: ("version_conflict",), 404: ("user_not_found",), **_BUSY},
    example={"password": "correct horse battery", "reason": "Forgot it; asked in person"},
)
SESSIONS = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("The sign-ins.", SignInSessions)},
    problems=_NO_USER,
)
END_SESSIONS = Doc(
    Tag.ACCOUNTS,
    answers={200: Answer("They are over.", EndedSessions, example={"ended": 2})},
    problems=_NO_USER,
    parameters=(_WHY,),
)
END_SESSION = Doc(
    Tag.ACCOUNTS,
    answers={204: Answer("It is over.")},
    problems={404: ("user_not_found", "session_not_found"), **_UNAVAILABLE},
    parameters=(_WHY,),
)
KEYS = Doc(Tag.API_KEYS, answers={200: Answer("The keys.", UserApiKeys)}, problems=_NO_USER)
REVOKE_KEY = Doc(
    Tag.API_KEYS,
    answers={204: Answer("It is worth nothing now.")},
    problems={404: ("user_not_found", "api_key_not_found"), **_UNAVAILABLE},
    parameters=(_WHY,),
)
