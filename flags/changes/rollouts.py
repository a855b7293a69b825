"""What a person's change of a flag means for its rollout: whoever takes the wheel has it. Pure."""

from dataclasses import replace
from datetime import datetime

from flags.changes.commits import is_dealt_alike
from flags.model import Author, Flag, Ruleset
from flags.rollout.model import ACTIVE, GuardedRollout, State


def handed_over(before: Ruleset, after: Ruleset, author: Author, at: datetime) -> Ruleset:
    """Return a changed ruleset with rollouts that fit it.

    Without its flag a rollout is gone. One whose flag deals otherwise now is paused; one that is
    completed only if its flag deals to fewer than its last stage does, one that was rolled back
    only if its flag deals to somebody again.
    """
    rollouts = {
        key: paused(rollout, author, at)
        if _is_taken(rollout, before.flags.get(key), after.flags[key])
        else rollout
        for key, rollout in after.rollouts.items()
        if key in after.flags
    }
    return after if rollouts == after.rollouts else replace(after, rollouts=rollouts)


def dealt_as_led(ruleset: Ruleset, known: Ruleset) -> Ruleset:
    """Return a ruleset whose flags deal as those that are led in another one do there.

    What a store has lost comes back with the rollouts that went with it: nobody has taken the wheel
    by that.
    """
    led = {key: flag for key, flag in known.flags.items() if key in known.rollouts}
    return replace(ruleset, flags={**ruleset.flags, **led})


def taken(ruleset: Ruleset, key: str, author: Author, at: datetime) -> Ruleset:
    """Return a ruleset with one flag's rollout paused, if it is active."""
    rollout = ruleset.rollouts.get(key)
    if rollout is None or rollout.state not in ACTIVE:
        return ruleset
    return replace(ruleset, rollouts={**ruleset.rollouts, key: paused(rollout, author, at)})


def paused(rollout: GuardedRollout, author: Author, at: datetime) -> GuardedRollout:
    """Return a rollout that waits for a person."""
    return replace(rollout, state=State.PAUSED, hold=None, reason=said("paused", author), since=at)


def said(done: str, author: Author) -> str:
    """Return who did what, and why."""
    why = f": {author.why}" if author.why else ""
    return f"{done} by {author.who}{why}"


def _is_taken(rollout: GuardedRollout, before: Flag | None, after: Flag) -> bool:
    if before is None or is_dealt_alike(before, after):
        return False
    match rollout.state:
        case State.COMPLETED:
            return after.kill or after.rollout.percentage < rollout.plan.stages[-1]
        case State.ROLLED_BACK:  # it is not any more: a person has brought the flag back
            return after.rollout.percentage > 0
        case _:
            return rollout.state in ACTIVE
