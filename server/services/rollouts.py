"""The guarded rollout of `streaming`: what is counted for it, who leads it, what operators see."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic

from flags.model import Decision, Reason
from flags.rollout.batches import Arm
from flags.rollout.controller import Intervals, RolloutController
from flags.rollout.decision.report import Report
from flags.rollout.model import GuardedRollout
from flags.rollout.operations import RolloutOperator
from flags.rollout.store.base import RolloutStore
from flags.rollout.tally import Tally
from history.model import TurnRecord
from metrics.series.flags import RolloutFigures
from metrics.turns import TurnMetrics
from server.services.flags import STREAMING, Flags
from server.settings import Settings
from streaming.operators import TurnResult, counted_as
from streaming.turn import TurnSpec

_BY_PERCENTAGE = frozenset({Reason.SPLIT, Reason.DEFAULT})

BUSY_SPEED = 5.0
"""Under much traffic the controller looks this many times as often."""


class CountedTurns:
    """Counts the turns of this process for the rollout: those that a percentage decided about."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def began(self, spec: TurnSpec) -> None:
        """A turn runs here from now on."""
        if spec.flag_epoch is not None:
            self._tally.began(
                spec.turn_id,
                spec.owner_id,
                epoch=spec.flag_epoch,
                arm=_arm(streaming=spec.streaming),
                now=spec.received_at,
            )

    def first_token(self, spec: TurnSpec, seconds: float) -> None:
        """A turn has its first text."""
        self._tally.first_token(spec.turn_id, seconds)

    def ended(self, spec: TurnSpec, result: TurnResult) -> None:
        """A turn has ended here."""
        self._tally.ended(
            spec.turn_id,
            counted_as(result.outcome, result.error_code),
            is_amiss=result.is_amiss,
            ttft_s=result.ttft_s,
            total_s=result.total_s,
        )

    def left(self, spec: TurnSpec) -> None:
        """A turn goes on elsewhere."""
        self._tally.left(spec.turn_id)


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The guarded rollout as the server uses it."""

    operator: RolloutOperator
    controller: RolloutController
    turns: CountedTurns
    tally: Tally

    def assigned(self, decision: Decision, unit: str) -> None:
        """Note that a user is dealt an arm, before any work."""
        if is_dealt(decision):
            arm = _arm(streaming=decision.value is True)
            self.tally.assigned(unit, epoch=decision.epoch, arm=arm)

    def reaped(self, record: TurnRecord) -> None:
        """Count a turn that ended with the worker that it ran in."""
        epoch = dealt_epoch(record.spec)
        if epoch is None:
            return
        self.tally.began(
            record.turn_id,
            record.owner_id,
            epoch=epoch,
            arm=_arm(streaming=record.streaming),
            now=monotonic(),
        )
        # How soon it had a token nobody knows any more: it failed, whenever that was.
        self.tally.ended(record.turn_id, "interrupted", is_amiss=False, ttft_s=None, total_s=0.0)

    def report(self, key: str) -> Report | None:
        """Return what the controller saw last of a flag's rollout; None: nothing."""
        return self.controller.report(key)


def open_rollouts(
    settings: Settings, stack: AsyncExitStack, flags: Flags, metrics: TurnMetrics, *, worker: str
) -> Rollouts:
    """Return what leads rollouts; a store that is down does not matter."""
    store = _choose_store(settings)
    stack.push_async_callback(store.close)
    tally = Tally(worker)
    tick_s = settings.rollout_tick_s
    controller = RolloutController(
        store,
        flags.editor,
        flags.client,
        tallies={STREAMING: tally},
        worker=worker,
        intervals=Intervals(
            flush_s=min(1.0, tick_s), tick_s=tick_s, busy_tick_s=tick_s / BUSY_SPEED
        ),
        on_transition=partial(_told, metrics),
    )
    stack.push_async_callback(controller.close)
    metrics.watch_rollout(partial(_figures, flags, controller))
    operator = RolloutOperator(flags.editor, led={STREAMING})
    return Rollouts(operator, controller, CountedTurns(tally), tally)


def is_dealt(decision: Decision) -> bool:
    """Say whether a percentage decided; lists and rules deal other shares, and are not judged."""
    return decision.reason in _BY_PERCENTAGE


def dealt_epoch(spec: Mapping[str, object]) -> int | None:
    """Return the epoch in which a percentage decided a record's arm; None: something else did."""
    flag = spec.get("flag")
    if not isinstance(flag, Mapping) or flag.get("dealt") is not True:
        return None
    epoch = flag.get("epoch")
    return epoch if isinstance(epoch, int) else None


def _choose_store(settings: Settings) -> RolloutStore:
    if settings.redis_url is None:
        from flags.rollout.store.memory import MemoryRolloutStore  # noqa: PLC0415  # only what is used

        return MemoryRolloutStore(settings.data_dir / "rollout.json")
    from flags.rollout.store.redis import RedisRolloutStore  # noqa: PLC0415

    # That the address can be used is known: the flags are there.
    return RedisRolloutStore(
        settings.redis_url.get_secret_value(), timeout_s=settings.redis_timeout_s
    )


def _arm(*, streaming: bool) -> Arm:
    return Arm.ON if streaming else Arm.OFF


def _told(
    metrics: TurnMetrics, _key: str, _before: GuardedRollout, _after: GuardedRollout, action: str
) -> None:
    metrics.rollout_moved(action)


def _figures(flags: Flags, controller: RolloutController) -> RolloutFigures:
    rollout = flags.client.ruleset.rollouts.get(STREAMING)
    return RolloutFigures(
        state="idle" if rollout is None else rollout.state.value, is_leader=controller.is_leader
    )
