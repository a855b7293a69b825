"""What a change of the flags means to operators."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flags.codec import read_flag
from flags.model import Flag, InFlight, Ruleset
from flags.rollout.model import GuardedRollout, Hold, State
from server.alerts.model import Notice, Severity
from server.alerts.rollouts import notices

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BEFORE = GuardedRollout("streaming", stage=2, version=7, updated_at=NOW - timedelta(hours=1))


def told_of(after: GuardedRollout, before: GuardedRollout | None = BEFORE) -> list[Notice]:
    """Return what is told where a rollout changes now."""
    was = Ruleset(7, rollouts={} if before is None else {"streaming": before})
    return notices(was, Ruleset(8, rollouts={"streaming": after}), NOW)


def moved(**values: object) -> GuardedRollout:
    """Return the rollout as it stands after a step."""
    return replace(BEFORE, version=8, updated_at=NOW, **values)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("after", "severity", "words"),
    [
        (moved(state=State.ROLLED_BACK, stage=0), Severity.CRITICAL, "was rolled back."),
        (moved(state=State.COMPLETED, stage=7), Severity.INFO, "is completed."),
        (moved(state=State.PAUSED), Severity.INFO, "is paused."),
        (moved(stage=3), Severity.INFO, "goes on at 25 %."),
        (moved(state=State.FINAL_BAKE, stage=7), Severity.INFO, "goes on at 100 %."),
        (
            moved(state=State.HOLD, hold=Hold.INCIDENT),
            Severity.WARNING,
            "is held at 10 %: both arms fail.",
        ),
        (moved(state=State.HOLD, hold=Hold.SRM), Severity.WARNING, "users do not fall"),
        (moved(state=State.HOLD, hold=Hold.APPROVAL), Severity.INFO, "somebody has to approve."),
    ],
)
def test_a_step_that_people_should_know_of_is_one_message(
    after: GuardedRollout, severity: Severity, words: str
) -> None:
    (notice,) = told_of(after)

    assert notice.severity is severity
    assert words in notice.summary
    assert notice.subject == "rollout:streaming:v8"
    assert not notice.lasts


def test_the_reason_comes_with_it() -> None:
    (notice,) = told_of(moved(state=State.ROLLED_BACK, reason="errors: 12 of 80, beyond doubt"))

    assert notice.detail == "errors: 12 of 80, beyond doubt"


@pytest.mark.parametrize(
    "after",
    [
        moved(state=State.HOLD, hold=Hold.INSUFFICIENT_DATA),
        moved(state=State.HOLD, hold=Hold.INCONCLUSIVE),
        moved(restarts=1),
        moved(reason="other words"),
    ],
)
def test_what_ends_by_itself_is_not_told(after: GuardedRollout) -> None:
    assert told_of(after) == []


def test_a_process_that_finds_its_store_does_not_tell_what_is_long_past() -> None:
    old = moved(state=State.ROLLED_BACK)
    old = replace(old, updated_at=NOW - timedelta(days=2))

    assert told_of(old) == []
    assert told_of(moved(state=State.ROLLED_BACK), before=None) == []


def a_flag(*, version: int, kill: bool, in_flight: InFlight = InFlight.DRAIN) -> Flag:
    flag = read_flag({"rollout": {"percentage": 5}}, "streaming", strict=True)
    return replace(flag, version=version, kill=kill, in_flight=in_flight, updated_at=NOW)


def test_a_kill_is_told_and_so_is_its_end() -> None:
    alive = Ruleset(3, flags={"streaming": a_flag(version=3, kill=False)})
    killed = Ruleset(4, flags={"streaming": a_flag(version=4, kill=True, in_flight=InFlight.ABORT)})
    again = Ruleset(5, flags={"streaming": a_flag(version=5, kill=False)})

    (begins,), (ends,) = notices(alive, killed, NOW), notices(killed, again, NOW)

    assert (begins.severity, begins.summary) == (
        Severity.WARNING,
        "The flag streaming is killed.",
    )
    assert begins.detail == "Turns that run: abort."
    assert ends.summary == "The flag streaming is no longer killed."
    assert begins.subject != ends.subject


def test_other_changes_of_a_flag_are_not_told() -> None:
    before = Ruleset(3, flags={"streaming": a_flag(version=3, kill=True)})
    after = Ruleset(4, flags={"streaming": a_flag(version=4, kill=True)})

    assert notices(before, after, NOW) == []
    assert notices(Ruleset(), after, NOW) == []
