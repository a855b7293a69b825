"""Limits."""

from server.openapi.answers.limits import LimitsLeft
from server.openapi.describing import Answer, Doc, Tag

LIMITS = Doc(
    Tag.ACCOUNTS,
    summary="Tell what the caller may still ask for",
    description="""\
Of what is counted for the caller alone; the guests of one address share further limits. `tokens`
and `speech_s` are those of the day (UTC), which ends in `resets_in_s` seconds.""",
    answers={
        200: Answer(
            "What is left.",
            LimitsLeft,
            example={
                "rates": {
                    "messages": {"limit": 60, "window_s": 60, "remaining": 58, "reset_s": 41.2}
                },
                "live_turns": {"used": 1, "limit": 5},
                "readers": {"used": 2, "limit": 100},
                "tokens": {"spent": 1834, "limit": 500000},
                "speech_s": {"spent": 0, "limit": 3600},
                "resets_in_s": 30712,
            },
        )
    },
)
