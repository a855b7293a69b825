"""The command `ramp`: a plain timed ramp by hand, that never goes down."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flags.cli import shown
from flags.cli.climb import Climb, End, Ended
from flags.cli.invocation import EX_SIGNAL, EX_UNAVAILABLE, REFUSED, Invocation, RefusedError
from flags.cli.output import Answer, printable
from flags.errors import FlagsError, VersionConflictError
from flags.model import Flag


async def ramp(invocation: Invocation) -> Answer:
    """Raise a flag's percentage step by step."""
    arguments = invocation.arguments
    last: float = arguments.last
    flag = await invocation.flag()
    _check(flag, last, arguments.if_version)
    stages = stages_of(flag.rollout.percentage, arguments.first, arguments.steps, last)
    progress = _Progress(invocation, flag, stages)
    climb = Climb(
        invocation.store,
        invocation.request(why=f"ramp to {shown.per_cent(last)}"),
        every_s=arguments.every,
        told=progress.took,
        said=invocation.say,
    )
    ended = await climb.run(flag, stages)
    return await _answer(invocation, ended, progress)


def stages_of(
    current: float, first: float | None, steps: Sequence[float], last: float
) -> list[float]:
    """Return the percentages to take: above today's, from the first on, up to the last."""
    wanted = {last, *(step for step in steps if step < last)}
    if first is not None:
        wanted = {first, *(step for step in wanted if step > first)}
    return sorted(step for step in wanted if step > current)


class _Progress:
    """What was done, for the answer; and told while it is."""

    def __init__(self, invocation: Invocation, flag: Flag, stages: Sequence[float]) -> None:
        self._say = invocation.say
        self._every = timedelta(seconds=invocation.arguments.every)
        self._stages = stages
        self.steps: list[dict[str, object]] = []
        if stages:
            way = " → ".join(map(shown.per_cent, [flag.rollout.percentage, *stages]))
            self._say(
                f"{flag.key}: {way}, {_lasting(self._every)} between two steps. Ctrl-C leaves it"
                " at its last step."
            )

    def took(self, flag: Flag) -> None:
        """Note a step."""
        now = datetime.now(UTC)
        percentage = flag.rollout.percentage
        self.steps.append(
            {
                "percentage": shown.number(percentage),
                "version": flag.version,
                "at": shown.instant(now),
            }
        )
        said = f"{now:%H:%M:%SZ}  {shown.per_cent(percentage)} (version {flag.version})"
        if len(self.steps) < len(self._stages):
            then, at = self._stages[len(self.steps)], now + self._every
            said = f"{said}; {shown.per_cent(then)} follows at {at:%H:%M:%SZ}"
        self._say(said)


def _check(flag: Flag, last: float, if_version: int | None) -> None:
    if if_version is not None and if_version != flag.version:
        raise VersionConflictError(flag.key, expected=if_version, version=flag.version)
    if flag.kill:
        raise RefusedError(
            "flag_killed", f"{flag.key} is killed: a ramp would let nobody in; end-kill first."
        )
    if not flag.enabled:
        raise RefusedError(
            "flag_disabled",
            f"{flag.key} is disabled: a ramp would let nobody in; enable its definition first.",
        )
    if flag.rollout.percentage > last:
        now = shown.per_cent(flag.rollout.percentage)
        raise RefusedError(
            "ramp_goes_down", f"{flag.key} is at {now}: a ramp never goes down; set does."
        )


async def _answer(invocation: Invocation, ended: Ended, progress: _Progress) -> Answer:
    flag = ended.flag
    fault, status = "", 0
    match ended.end:
        case End.INTERRUPTED:
            fault = f"Interrupted: {_stays(ended)}; the same command goes on from there."
            status = EX_SIGNAL + ended.signal
        case End.OVERTAKEN:
            fault, status = f"Stopped: {await _overtaken(invocation, flag.key)}", REFUSED
        case End.STORE_LOST:
            lost = f"{invocation.place.shown} is lost ({ended.fault.rstrip('.')})"
            fault = f"Stopped: {lost}; {_stays(ended)}."
            status = EX_UNAVAILABLE
        case End.DONE:
            pass
    now = shown.per_cent(flag.rollout.percentage)
    already = "" if progress.steps else " already"
    document: dict[str, object] = {
        "key": flag.key,
        "ended": ended.end.value,
        "percentage": shown.number(flag.rollout.percentage),
        "version": flag.version,
        "steps": progress.steps,
    }
    if fault:
        document["error"] = {"code": f"ramp_{ended.end.value}", "detail": fault}
    text = "" if fault else f"{flag.key} is at {now}{already} (version {flag.version}).\n"
    return Answer(document, text, status, fault)


def _stays(ended: Ended) -> str:
    stays = f"{ended.flag.key} stays at {shown.per_cent(ended.flag.rollout.percentage)}"
    if ended.in_doubt is None:
        return stays
    return f"{stays}, or got to {shown.per_cent(ended.in_doubt)} unheard"


async def _overtaken(invocation: Invocation, key: str) -> str:
    """Return who did what to a flag meanwhile, as far as the store tells."""
    try:
        entries = await invocation.store.history(f"flag:{key}", limit=1)
    except FlagsError:
        entries = []
    if not entries:
        return f"somebody else changed {key}; look at it, then decide."
    entry = entries[0]
    why = f" ({entry.author.why})" if entry.author.why else ""
    did = "killed it" if entry.action == "kill" else f"made a change: {shown.change(entry)}"
    return printable(f"{entry.author.who} {did}{why}. Look at {key}, then decide.")


def _lasting(every: timedelta) -> str:
    seconds = every.total_seconds()
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:g} s"
