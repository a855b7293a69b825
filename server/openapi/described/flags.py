"""Flags and segments."""

from server.openapi.answers.flags import (
    FlagExplanation,
    FlagHistory,
    FlagShown,
    FlagsShown,
    SegmentShown,
    SegmentsShown,
)
from server.openapi.describing import Answer, Doc, Parameter, Tag
from server.openapi.parameters import (
    CURSOR,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    REASON,
    limit,
)

CHANGED = (IF_MATCH, IF_NONE_MATCH, IDEMPOTENCY_KEY)
STORE = {503: ("flag_store_unavailable", "flag_store_damaged")}
GONE = {404: ("flag_not_found",)}
INVALID = {422: ("invalid", "flag_invalid", "condition_invalid")}
CONFLICT = {409: ("idempotency_mismatch",), 412: ("version_conflict",)}
OF_CHANGES = (
    limit(default=20, most=200),
    Parameter(
        "before",
        "`next` of the page before: changes older than that.",
        {"type": "integer", "minimum": 1, "maximum": 10**15 - 1},
    ),
)
_PAGE = (limit(default=100, most=200), CURSOR)
_MEMORY = "Told from memory; `stale` says that the store is lost."

LIST = Doc(
    Tag.FLAGS,
    answers={200: Answer("A page.", FlagsShown)},
    problems={422: ("invalid",)},
    parameters=_PAGE,
    description=_MEMORY,
)
GET = Doc(
    Tag.FLAGS,
    answers={200: Answer("The definition.", FlagShown, ("ETag",))},
    problems=GONE,
    description=_MEMORY,
)
PUT = Doc(
    Tag.FLAGS,
    answers={
        200: Answer("Replaced.", FlagShown, ("ETag",)),
        201: Answer("Created.", FlagShown, ("ETag",)),
    },
    problems={
        **INVALID,
        409: ("flag_required", "idempotency_mismatch"),
        412: CONFLICT[412],
        **STORE,
    },
    parameters=CHANGED,
    example={"enabled": True, "rollout": {"percentage": 5}, "reason": "first look"},
)
DELETE = Doc(
    Tag.FLAGS,
    answers={204: Answer("Deleted.")},
    problems={
        **GONE,
        **INVALID,
        409: ("flag_required", "idempotency_mismatch"),
        412: CONFLICT[412],
        **STORE,
    },
    parameters=(REASON, *CHANGED),
)
KILL = Doc(
    Tag.FLAGS,
    answers={200: Answer("Killed.", FlagShown, ("ETag",))},
    problems={**GONE, **INVALID, **CONFLICT, **STORE},
    parameters=CHANGED,
    example={"in_flight": "drain", "reason": "error rate"},
)
END_KILL = Doc(
    Tag.FLAGS,
    answers={200: Answer("Evaluated again, at 0 %.", FlagShown, ("ETag",))},
    problems={**GONE, **INVALID, **CONFLICT, **STORE},
    parameters=(REASON, *CHANGED),
)
HISTORY = Doc(
    Tag.FLAGS,
    summary="List who changed a flag, when, why and how",
    description="Newest first; also of a deleted flag.",
    answers={200: Answer("A page.", FlagHistory)},
    problems={**GONE, 422: ("invalid",), **STORE},
    parameters=OF_CHANGES,
)
EXPLAIN = Doc(
    Tag.FLAGS,
    answers={200: Answer("Step by step.", FlagExplanation)},
    problems={**GONE, 422: ("invalid",)},
    parameters=(
        Parameter(
            "user_id",
            "Who.",
            {"type": "string", "minLength": 1, "maxLength": 256},
            is_required=True,
        ),
        Parameter(
            "attributes",
            "What rules may ask for, as a JSON object.",
            {
                "type": "string",
                "contentMediaType": "application/json",
                "examples": ['{"plan":"pro"}'],
            },
        ),
    ),
)

LIST_SEGMENTS = Doc(
    Tag.SEGMENTS,
    answers={200: Answer("A page.", SegmentsShown)},
    problems={422: ("invalid",)},
    parameters=_PAGE,
    description=_MEMORY,
)
GET_SEGMENT = Doc(
    Tag.SEGMENTS,
    answers={200: Answer("The segment.", SegmentShown, ("ETag",))},
    problems=GONE,
    description=_MEMORY,
)
PUT_SEGMENT = Doc(
    Tag.SEGMENTS,
    answers={
        200: Answer("Replaced.", SegmentShown, ("ETag",)),
        201: Answer("Created.", SegmentShown, ("ETag",)),
    },
    problems={**INVALID, **CONFLICT, **STORE},
    parameters=CHANGED,
    example={"include": ["user-17"], "reason": "testers"},
)
DELETE_SEGMENT = Doc(
    Tag.SEGMENTS,
    answers={204: Answer("Deleted.")},
    problems={**GONE, **INVALID, **CONFLICT, **STORE},
    parameters=(REASON, *CHANGED),
)
