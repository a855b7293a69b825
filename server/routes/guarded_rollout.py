"""A guarded rollout: started, paused, resumed and approved by a person; led by the controller."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flags.codec import rollout_json
from flags.rollout.model import Criteria, GuardedRollout, Plan
from server.auth.operators import author_of
from server.auth.routing import Access, ApiRoute
from server.body import Model, StrictModel, read_model
from server.changes import NO_STORE, Why, change_of, plain, serve_now, versioned
from server.limits.tiers import Tier
from server.openapi.described import rollouts as docs
from server.routes.flags import changes_of
from server.wire import Json, services_of

Share = float | int


class Thresholds(StrictModel):
    """What of the thresholds of a plan is to be another than its default."""

    error_rate: float | None = None
    success_rate: float | None = None
    ttft_s: float | None = None


class Start(StrictModel):
    """The optional body of `POST /api/v1/flags/{key}/rollout/start`."""

    stages: list[Share] | None = Field(None, max_length=100)
    bake_s: float | None = None
    final_bake_s: float | None = None
    cooldown_s: float | None = None
    approval_at: list[Share] | None = Field(None, max_length=100)
    promote: Thresholds = Thresholds()
    roll_back: Thresholds = Thresholds()
    beta: float | None = None
    alarm: float | None = None
    max_ttft_s: float | None = None
    incident_max_s: float | None = None
    on_shared_incident: Literal["hold", "rollback"] | None = None
    reason: Why = ""

    def plan(self, default: Plan) -> Plan:
        """Return the plan that is asked for; what is left out is as by default."""
        given: dict[str, Any] = self.model_dump(
            exclude={"reason", "promote", "roll_back"}, exclude_none=True
        )
        for name in ("stages", "approval_at"):
            if name in given:
                given[name] = tuple(map(float, getattr(self, name)))
        given["promote"] = _criteria(default.promote, self.promote)
        given["roll_back"] = _criteria(default.roll_back, self.roll_back)
        return replace(default, **given)


class Resume(StrictModel):
    """The optional body of `POST /api/v1/flags/{key}/rollout/resume`."""

    stage: Share | None = None
    reason: Why = ""


class Because(StrictModel):
    """The optional body of what only takes a reason."""

    reason: Why = ""


async def start(request: Request) -> Response:
    """Have the controller take a flag through its stages, on evidence."""
    author = author_of(request)
    services = services_of(request)
    body = await _body(request, Start)
    rollout = await services.rollouts.operator.start(
        request.path_params["key"],
        body.plan(services.settings.rollout_plan),
        change_of(request, author, body.reason),
    )
    return await _answer(request, "start", rollout)


async def pause(request: Request) -> Response:
    """Keep a flag where it is, until somebody resumes its rollout."""
    author = author_of(request)
    body = await _body(request, Because)
    change = change_of(request, author, body.reason)
    operator = services_of(request).rollouts.operator
    return await _answer(request, "pause", await operator.pause(request.path_params["key"], change))


async def resume(request: Request) -> Response:
    """Give a flag back to the controller: after a pause, or a rollback that has cooled down."""
    author = author_of(request)
    body = await _body(request, Resume)
    change = change_of(request, author, body.reason)
    stage = None if body.stage is None else float(body.stage)
    operator = services_of(request).rollouts.operator
    key = request.path_params["key"]
    return await _answer(request, "resume", await operator.resume(key, change, stage=stage))


async def approve(request: Request) -> Response:
    """Let a rollout pass the stage that waits for a person's word."""
    author = author_of(request)
    body = await _body(request, Because)
    change = change_of(request, author, body.reason)
    operator = services_of(request).rollouts.operator
    return await _answer(
        request, "approve", await operator.approve(request.path_params["key"], change)
    )


async def list_history(request: Request) -> Response:
    """List what became of a rollout, newest first; the controller's decisions with their inputs."""
    key = request.path_params["key"]
    history, after = await changes_of(request, f"rollout:{key}", key)
    return JSONResponse({"history": history, "next": after}, headers=NO_STORE)


async def _body(request: Request, model: type[Model]) -> Model:
    return await read_model(request, model) if await request.body() else model()


async def _answer(request: Request, action: str, rollout: GuardedRollout) -> Response:
    services = services_of(request)
    services.metrics.rollout_moved(action)
    await serve_now(services)
    flag = services.flags.client.ruleset.flags[rollout.key]
    answer: Json = {
        "feature": flag.key,
        "percentage": plain(flag.rollout.percentage),
        "version": flag.version,
        "epoch": flag.epoch,
        "rollout": rollout_json(rollout),
    }
    return versioned(answer, flag)


def _criteria(default: Criteria, given: Thresholds) -> Criteria:
    changed: Mapping[str, float] = given.model_dump(exclude_none=True)
    return replace(default, **changed)


def _both(action: str) -> list[str]:
    """Return the addresses of an action: beside the percentage's, and beside the kill's."""
    return [f"/api/v1/flags/{{key}}/rollout/{action}", f"/api/v1/flags/{{key}}/{action}"]


_ACTIONS = (
    ("pause", pause, docs.PAUSE.taking(Because, optional=True)),
    ("resume", resume, docs.RESUME.taking(Resume, optional=True)),
    ("approve", approve, docs.APPROVE.taking(Because, optional=True)),
)
routes = [
    ApiRoute(
        "/api/v1/flags/{key}/rollout/start",
        start,
        methods=["POST"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.START.taking(Start, optional=True),
    ),
    ApiRoute(
        "/api/v1/flags/{key}/rollout/history",
        list_history,
        methods=["GET"],
        access=Access.READER,
        tier=Tier.OPERATORS,
        scope="flags",
        doc=docs.HISTORY,
    ),
    *(
        ApiRoute(path, act, methods=["POST"], access=Access.ADMIN, tier=Tier.OPERATORS, doc=doc)
        for action, act, doc in _ACTIONS
        for path in _both(action)
    ),
]
