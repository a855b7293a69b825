"""The audit log."""

from server.openapi.answers.users import AuditEntries
from server.openapi.describing import Answer, Doc, Parameter, Tag
from server.openapi.parameters import CURSOR, limit

_ID = {"type": "string", "maxLength": 200}

LIST = Doc(
    Tag.OPERATORS,
    answers={200: Answer("What was done.", AuditEntries)},
    problems={400: ("malformed",), 503: ("accounts_unavailable",)},
    description="Entries are added before what they tell of is done, and are never altered.",
    parameters=(
        Parameter("subject", "What it was done to, such as a user id.", _ID),
        Parameter("who", "Who did it: a user id, `admin_token`, `admin_cookie` or `cli`.", _ID),
        limit(default=50, most=200),
        CURSOR,
    ),
)
