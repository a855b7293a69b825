"""What people do to a rollout: start, pause, resume, approve. Each is one audited write.

A rollout and the percentage that it stands at change together or not at all.
"""

from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from datetime import UTC, datetime

from flags.changes.editor import FlagEditor, Request
from flags.changes.rollouts import paused, said
from flags.codec import decode_rollout
from flags.errors import (
    FlagInvalidError,
    FlagNotFoundError,
    RolloutRefusedError,
    VersionConflictError,
)
from flags.model import Author, Flag, Ruleset
from flags.rollout.model import ACTIVE, GuardedRollout, Hold, Plan, State
from flags.rollout.validation import MAX_DURATION_S, check_plan

Change = Callable[[Ruleset, datetime], Ruleset]


class RolloutOperator:
    """Carries out what people want of rollouts.

    Every method returns the rollout as it is then, and raises FlagNotFoundError, FlagStoreError,
    IdempotencyMismatchError, RolloutRefusedError where the rollout cannot do that where it stands,
    and VersionConflictError where the flag is not at `if_version`: each other percentage gives the
    flag another version.

    Args:
        editor: Changes the flags.
        led: The flags that a controller leads; None: that is not known here.
        now: The time of day.
    """

    def __init__(
        self,
        editor: FlagEditor,
        *,
        led: Collection[str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._editor = editor
        self._led = led
        self._now = now

    async def start(self, key: str, plan: Plan, request: Request) -> GuardedRollout:
        """Begin a rollout at its first stage, or at the highest that the flag has reached already.

        A flag whose percentage is between two stages keeps it, so that nobody loses the flag.

        Raises:
            FlagInvalidError: the plan means nothing; with the place of the fault.
        """
        check_plan(plan)

        def change(ruleset: Ruleset, at: datetime) -> Ruleset:
            begun = started(ruleset, key, plan, by=request.author, at=at)
            self._check_led(key)
            return begun

        return await self._change(key, "start", change, request, asked=asdict(plan))

    async def pause(self, key: str, request: Request) -> GuardedRollout:
        """Stop deciding; the percentage stays where it is. What is paused stays so."""

        def change(ruleset: Ruleset, at: datetime) -> Ruleset:
            return held_still(ruleset, key, by=request.author, at=at)

        return await self._change(key, "pause", change, request, asked=None)

    async def resume(
        self, key: str, request: Request, stage: float | None = None
    ) -> GuardedRollout:
        """Go on with the plan of a rollout that is paused or was rolled back; evidence begins anew.

        What is paused goes on at the highest stage that the percentage has reached; what was rolled
        back, after its cooldown, at the last stage that was passed.

        Args:
            key: The flag.
            request: Who asks.
            stage: A lower stage to go on at, in per cent.
        """

        def change(ruleset: Ruleset, at: datetime) -> Ruleset:
            return resumed(ruleset, key, stage, by=request.author, at=at)

        return await self._change(key, "resume", change, request, asked=stage)

    async def approve(self, key: str, request: Request) -> GuardedRollout:
        """Let a rollout pass the end of its stage, where the plan asks a person."""

        def change(ruleset: Ruleset, _at: datetime) -> Ruleset:
            return approved(ruleset, key, by=request.author)

        return await self._change(key, "approve", change, request, asked=None)

    def _check_led(self, key: str) -> None:
        if self._led is not None and key not in self._led:
            listed = ", ".join(sorted(self._led))
            raise RolloutRefusedError(
                f"nobody counts what becomes of {key}: only {listed} is rolled out on evidence;"
                " set the percentage by hand"
            )

    async def _change(
        self, key: str, action: str, change: Change, request: Request, *, asked: object
    ) -> GuardedRollout:
        def checked(ruleset: Ruleset) -> Ruleset:
            version = _flag(ruleset, key).version
            if request.if_version is not None and request.if_version != version:
                raise VersionConflictError(key, expected=request.if_version, version=version)
            return change(ruleset, self._now())

        subject = f"rollout:{key}"
        made = await self._editor.change(
            action, checked, request, asked=[subject, asked], about=subject
        )
        return decode_rollout(made[subject] or "", key)


def started(ruleset: Ruleset, key: str, plan: Plan, *, by: Author, at: datetime) -> Ruleset:
    """Return the rules with a new rollout.

    Raises:
        RolloutRefusedError: the flag is off, another rollout is active or cools down.
    """
    flag = _flag_that_deals(ruleset, key)
    before = ruleset.rollouts.get(key)
    if before is not None and before.state in ACTIVE:
        raise RolloutRefusedError(f"the rollout of {key} is active; pause it first")
    if before is not None and before.state is State.ROLLED_BACK:
        _check_cooled_down(before, at)
    # What was completed owes nothing to what was rolled back before.
    goes_on = before is not None and before.state is not State.COMPLETED
    new = GuardedRollout(
        key,
        plan,
        rollbacks=before.rollbacks if before is not None and goes_on else 0,
        restarts=before.restarts if before is not None else 0,
    )
    reached = flag.rollout.percentage
    begun = _begun(new, _reached(plan, reached), said("started", by), at)
    return _with(ruleset, flag, begun, max(reached, begun.percentage))


def held_still(ruleset: Ruleset, key: str, *, by: Author, at: datetime) -> Ruleset:
    """Return the rules with a rollout paused; as they are if it is.

    Raises:
        RolloutRefusedError: it is not active.
    """
    flag, rollout = _flag(ruleset, key), _rollout(ruleset, key)
    if rollout.state is State.PAUSED:
        return ruleset
    if rollout.state not in ACTIVE:
        raise RolloutRefusedError(f"the rollout of {key} is {_word(rollout)}: it does nothing now")
    return _with(ruleset, flag, paused(rollout, by, at), flag.rollout.percentage)


def resumed(
    ruleset: Ruleset, key: str, wanted: float | None, *, by: Author, at: datetime
) -> Ruleset:
    """Return the rules with a rollout that goes on.

    Raises:
        RolloutRefusedError: it is neither paused nor rolled back, cools down, or the flag is off.
        FlagInvalidError: the stage that is wanted is none, or above where it may go on.
    """
    flag, rollout = _flag_that_deals(ruleset, key), _rollout(ruleset, key)
    match rollout.state:
        case State.PAUSED:
            highest = _reached(rollout.plan, flag.rollout.percentage)
        case State.ROLLED_BACK:
            _check_cooled_down(rollout, at)
            highest = rollout.last_good or 0
        case _:
            raise RolloutRefusedError(
                f"the rollout of {key} is {_word(rollout)}: only what is paused or was rolled back"
                " can be resumed"
            )
    stage = highest if wanted is None else _stage(rollout.plan, wanted, highest)
    resumed = _begun(rollout, stage, said("resumed", by), at)
    return _with(ruleset, flag, resumed, resumed.percentage)


def approved(ruleset: Ruleset, key: str, *, by: Author) -> Ruleset:
    """Return the rules with a stage approved; as they are if it is.

    Raises:
        RolloutRefusedError: its stage asks for no approval, or it is not active.
    """
    flag, rollout = _flag(ruleset, key), _rollout(ruleset, key)
    waits = rollout.state is State.HOLD and rollout.hold is Hold.APPROVAL
    asks = rollout.state in ACTIVE and rollout.percentage in rollout.plan.approval_at
    if not waits and not asks:
        raise RolloutRefusedError(f"the rollout of {key} asks for no approval at its stage")
    if rollout.is_approved:
        return ruleset
    agreed = replace(rollout, is_approved=True, reason=said("approved", by))
    return _with(ruleset, flag, agreed, flag.rollout.percentage)


def cooldown_left_s(rollout: GuardedRollout, at: datetime) -> float:
    """Return for how long what was rolled back cannot be resumed yet; it doubles with each."""
    if rollout.state is not State.ROLLED_BACK or rollout.since is None:
        return 0.0
    # Bounded before the power is taken: after a hundred rollbacks it would be no number any more.
    doublings = min(max(rollout.rollbacks - 1, 0), 32)
    lasts_s = min(rollout.plan.cooldown_s * 2.0**doublings, MAX_DURATION_S)
    # A clock that was set back since must not make it last for longer.
    return max(lasts_s - abs((at - rollout.since).total_seconds()), 0.0)


def _begun(rollout: GuardedRollout, stage: int, reason: str, at: datetime) -> GuardedRollout:
    is_last = stage == len(rollout.plan.stages) - 1
    return replace(
        rollout,
        state=State.FINAL_BAKE if is_last else State.RUNNING,
        stage=stage,
        hold=None,
        reason=reason,
        since=at,
        stage_since=at,
        # Only what lies below has been passed: this stage has to be passed again.
        last_good=_lower(rollout.last_good, stage),
        is_approved=False,
        restarts=rollout.restarts + 1,
    )


def _lower(last_good: int | None, stage: int) -> int | None:
    return None if last_good is None or stage == 0 else min(last_good, stage - 1)


def _with(ruleset: Ruleset, flag: Flag, rollout: GuardedRollout, percentage: float) -> Ruleset:
    dealt = replace(flag, rollout=replace(flag.rollout, percentage=percentage))
    return replace(
        ruleset,
        flags={**ruleset.flags, flag.key: dealt},
        rollouts={**ruleset.rollouts, flag.key: rollout},
    )


def _flag(ruleset: Ruleset, key: str) -> Flag:
    try:
        return ruleset.flags[key]
    except KeyError:
        raise FlagNotFoundError(key) from None


def _flag_that_deals(ruleset: Ruleset, key: str) -> Flag:
    flag = _flag(ruleset, key)
    if flag.kill:
        raise RolloutRefusedError(f"{key} is killed; end the kill first")
    if not flag.enabled:
        raise RolloutRefusedError(f"{key} is disabled; enable its definition first")
    return flag


def _rollout(ruleset: Ruleset, key: str) -> GuardedRollout:
    try:
        return ruleset.rollouts[key]
    except KeyError:
        raise RolloutRefusedError(f"{key} has no rollout; start one first") from None


def _reached(plan: Plan, percentage: float) -> int:
    """Return the highest stage that a percentage has reached, else the first."""
    return max(sum(1 for stage in plan.stages if stage <= percentage) - 1, 0)


def _stage(plan: Plan, wanted: float, highest: int) -> int:
    allowed = plan.stages[: highest + 1]
    if wanted not in allowed:
        listed = ", ".join(f"{stage:g}" for stage in allowed)
        raise FlagInvalidError("stage", f"must be one of those it may go on at ({listed})")
    return allowed.index(wanted)


def _check_cooled_down(rollout: GuardedRollout, at: datetime) -> None:
    left_s = cooldown_left_s(rollout, at)
    if left_s > 0:
        raise RolloutRefusedError(
            f"the rollout of {rollout.key} was rolled back: it cools down for {left_s:.0f} s more;"
            " wait, and look into the reason meanwhile",
            wait_s=left_s,
        )


def _word(rollout: GuardedRollout) -> str:
    return rollout.state.value.replace("_", " ")
