"""Rollouts: how far a flag is, set by hand or led by the controller."""

from dataclasses import replace

from server.openapi.answers.flags import FlagHistory, LedRollout, SetPercentage
from server.openapi.answers.rollouts import FlagStandings
from server.openapi.described.flags import CHANGED, CONFLICT, GONE, INVALID, OF_CHANGES, STORE
from server.openapi.describing import Answer, Doc, Tag

_MOVED = Doc(
    Tag.ROLLOUTS,
    answers={200: Answer("Where it stands now.", LedRollout, ("ETag",))},
    problems={
        **GONE,
        **INVALID,
        409: ("rollout_refused", "idempotency_mismatch"),
        412: CONFLICT[412],
        **STORE,
    },
    parameters=CHANGED,
)
START = replace(_MOVED, example={"stages": [1, 10, 100], "reason": "as agreed"})
PAUSE = replace(_MOVED, example={"reason": "over the weekend"})
RESUME = replace(
    _MOVED,
    summary="Give a flag back to the controller",
    description="After a pause, or a rollback that has cooled down. `stage` is a lower stage to go"
    " on at, in per cent.",
    example={"stage": 5, "reason": "mended"},
)
APPROVE = replace(_MOVED, example={"reason": "looks good"})
HISTORY = Doc(
    Tag.ROLLOUTS,
    summary="List what became of a rollout",
    description="Newest first; the controller's decisions come with their `evidence`.",
    answers={200: Answer("A page.", FlagHistory)},
    problems={**GONE, 422: ("invalid",), **STORE},
    parameters=OF_CHANGES,
)
STANDING = Doc(
    Tag.ROLLOUTS,
    summary="Tell how every flag stands",
    answers={200: Answer("Each flag's state, and how well it is known.", FlagStandings)},
)
SET = Doc(
    Tag.ROLLOUTS,
    summary="Give a flag another percentage",
    answers={200: Answer("Set.", SetPercentage, ("ETag",))},
    problems={**GONE, **INVALID, **CONFLICT, **STORE},
    parameters=CHANGED,
    example={"feature": "streaming", "percentage": 1},
)
