"""The two addresses that operators' scripts use: how far is a rollout, and set it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flags.changes.validation import check_percentage
from flags.client import FlagsStatus
from flags.codec import read_flag
from flags.errors import FlagInvalidError
from flags.model import Flag
from flags.rollout.model import GuardedRollout
from server.auth.operators import author_of
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model
from server.changes import NO_STORE, Why, change_of, plain, serve_now, versioned
from server.limits.tiers import Tier
from server.openapi.described import rollouts as docs
from server.rollout_view import guarded, rollout_evidence
from server.routes.metrics import arm_json
from server.services import Services
from server.services.flags import STREAMING
from server.wire import Json, instant, services_of

_EVIDENCE = ("turns", "success_rate", "error_rate", "avg_ttft_ms")


def _share(value: float) -> float:
    try:
        check_percentage(value, "percentage")
    except FlagInvalidError as error:
        raise ValueError(error.reason) from None
    return value


class SetRollout(StrictModel):
    """The body of `POST /api/metrics/feature-flags/rollout`."""

    feature: str = Field(max_length=100)
    percentage: Annotated[float, AfterValidator(_share)] = Field(
        description="In per cent, with at most 3 decimals.",
        json_schema_extra={"minimum": 0, "maximum": 100},
    )
    reason: Why = ""


async def read_flags(request: Request) -> Response:
    """`GET /api/metrics/feature-flags`: each flag's state, and how well it is known."""
    return JSONResponse(flags_body(services_of(request)), headers=NO_STORE)


def flags_body(services: Services) -> Json:
    """Return how every flag stands, its rollout, and what that is decided by."""
    client = services.flags.client
    status, ruleset = client.status, client.ruleset
    flags = dict(ruleset.flags)
    flags.setdefault(STREAMING, read_flag({"enabled": False}, STREAMING, strict=True))
    shown = {
        key: _flag(flag, ruleset.rollouts.get(key), is_killed_here=key in status.killed_here)
        for key, flag in sorted(flags.items())
    }
    seen = rollout_evidence(services.rollouts.report(STREAMING))
    shown[STREAMING]["evidence"] = {**_arms(services), **seen}
    return {"flags": shown, "store": _store(services.flags.store.kind, status)}


async def set_rollout(request: Request) -> Response:
    """`POST /api/metrics/feature-flags/rollout`: give a flag another percentage."""
    author = author_of(request)
    services = services_of(request)
    body = await read_model(request, SetRollout)
    flag = await services.flags.editor.set_percentage(
        body.feature, body.percentage, change_of(request, author, body.reason)
    )
    await serve_now(services)
    answer: Json = {
        "feature": flag.key,
        "percentage": plain(flag.rollout.percentage),
        "kill": flag.kill,
        "version": flag.version,
        "epoch": flag.epoch,
    }
    return versioned(answer, flag)


def _flag(flag: Flag, rollout: GuardedRollout | None, *, is_killed_here: bool) -> Json:
    is_killed = flag.kill or is_killed_here
    return {
        "type": flag.type.value,
        "enabled": flag.enabled,
        "rolloutPercentage": plain(flag.rollout.percentage),
        "kill": flag.kill,
        "killedHere": is_killed_here,
        "state": state_of(flag, rollout, is_killed=is_killed),
        "salt": flag.rollout.salt,
        "variants": flag.variants,
        "version": flag.version,
        "epoch": flag.epoch,
        "updatedAt": None if flag.updated_at is None else instant(flag.updated_at),
        "sinceSeconds": _since(flag),
        "rollout": None if rollout is None else guarded(rollout),
        "evidence": None,
    }


def state_of(flag: Flag, rollout: GuardedRollout | None, *, is_killed: bool) -> str:
    """Return a flag's state in one word: a kill lies above all, then whether it is enabled."""
    if is_killed:
        return "killed"
    if not flag.enabled:
        return "disabled"
    return "idle" if rollout is None else rollout.state.value


def _since(flag: Flag) -> float | None:
    if flag.updated_at is None:
        return None
    return round(max(0.0, (datetime.now(UTC) - flag.updated_at).total_seconds()), 1)


def _arms(services: Services) -> Json:
    """Return how each arm does: the same figures as in the summary."""
    snapshot = services.metrics.snapshot()
    arms: Mapping[str, Json] = {name: arm_json(arm) for name, arm in snapshot.arms.items()}
    shown = {name: {each: arm[each] for each in _EVIDENCE} for name, arm in arms.items()}
    return {"windowSeconds": snapshot.window_s, **shown}


def _store(kind: str, status: FlagsStatus) -> Json:
    return {
        "kind": kind,
        "source": status.source.value,
        "version": status.version,
        "stale": status.is_stale,
        "ageSeconds": None if status.age_s is None else round(status.age_s, 1),
        "fault": status.fault,
    }


routes = [
    ApiRoute(
        "/api/metrics/feature-flags",
        read_flags,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.STANDING,
    ),
    ApiRoute(
        "/api/metrics/feature-flags/rollout",
        set_rollout,
        methods=["POST"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.SET.taking(SetRollout),
    ),
]
