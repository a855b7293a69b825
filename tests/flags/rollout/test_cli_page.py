"""What the command says of a rollout, and the plan that it starts one with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flags.cli.arguments import parse
from flags.cli.invocation import RefusedError
from flags.cli.place import ConfigurationError, read_settings
from flags.cli.rollouts.page import BAR, Look, bar, lasting, line, page, stages
from flags.cli.rollouts.plans import plan_of
from flags.errors import FlagInvalidError
from flags.rollout.controller import observation
from flags.rollout.decided import Inputs
from flags.rollout.model import Criteria, GuardedRollout, Hold, Plan, State
from flags.rollout.store.base import Beat, Sight
from tests.flags.factories import a_flag
from tests.support.rollout_stores import counters

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAN = Plan(stages=(1.0, 12.5, 100.0))


def a_look(*ttfts_s: float, failures: int = 0, **rollout: object) -> Look:
    """Return a rollout at 12.5 % after these requests with the flag."""
    flag = a_flag(rollout={"percentage": 12.5})
    stands = GuardedRollout("streaming", PLAN, stage=1, since=AT, stage_since=AT, last_good=0)
    stands = replace(stands, **rollout)  # type: ignore[arg-type]  # a test's own
    on = counters(ttfts_s, errors=failures, non_success=failures, failing_users=min(failures, 4))
    sight = Sight(AT.timestamp() + 5, on, counters((0.2,) * 50), {"w1": Beat(0, 0.1)})
    inputs = Inputs(stands, None, observation(flag, Sight(AT.timestamp(), workers=sight.workers)))
    begun = inputs.verdict().evidence
    report = Inputs(stands, begun, observation(flag, sight)).verdict().report
    return Look(flag, stands, AT + timedelta(seconds=90), report=report, report_age_s=0.5)


def test_a_page_shows_each_metric_between_its_thresholds() -> None:
    text = page(a_look(*[0.25] * 100, failures=1, reason="5 % passed"))

    head, line_of_stages, *rest = text.splitlines()
    assert head == "streaming: 12.5 %, running, stage 2 of 3"
    assert line_of_stages == "1 = [12.5] - 100"
    assert "reason  5 % passed" in rest
    assert "since   2026-01-02 03:04:05Z (1.5 min ago)" in rest
    assert "passed  1 %" in rest
    error = next(each for each in rest if each.startswith("error"))
    assert error.split()[1:4] == ["100", "1.00", "%"]
    assert error.count("[") == 2
    assert any(each.startswith("ttft") and "250 ms" in each for each in rest)
    assert any("0.00 % errors of 50 requests" in each for each in rest)
    assert any(each.endswith("too few to tell") for each in rest)


def test_a_page_of_what_waits_says_why() -> None:
    held = a_look(state=State.HOLD, hold=Hold.APPROVAL, is_approved=True, rollbacks=2)

    assert line(held) == "streaming: 12.5 %, hold (approval), stage 2 of 3"
    assert "approved   yes" in page(held)
    assert "rollbacks  2" in page(held)
    back = replace(held, cooldown_left_s=7200.0, report=None)
    assert "cools down  2 h more" in page(back)
    assert page(back).endswith("No leader has looked at it yet.\n")
    assert line(replace(held, flag=a_flag(kill=True))).endswith(", killed")


def test_a_page_of_what_nobody_has_used_yet_says_so() -> None:
    begun = a_look(since=None, last_good=None, state=State.PAUSED)

    assert "since" not in page(begun)
    assert "passed" not in page(begun)
    assert "verdict" not in page(begun)
    assert begun.report is not None
    control = replace(begun.report.control, error_rate=None)
    srm = replace(begun.report.srm, evidence=9.0)
    report = replace(begun.report, control=control, srm=srm, is_alert=True)
    text = page(replace(begun, report=report))
    assert "control" not in text
    assert "0 with, 0 without; not in the share that was dealt" in text
    assert "alert" in text


def test_a_flag_without_a_rollout_says_so() -> None:
    look = Look(a_flag(rollout={"percentage": 5}), None, AT)

    assert page(look) == "streaming has no guarded rollout; it is at 5 %.\n"
    assert line(look) == "streaming: 5 %, without a rollout"


def test_bars_stages_and_durations_are_short() -> None:
    assert bar(0.5, 1) == f"[{'#' * (BAR // 2)}{'.' * (BAR // 2)}]"
    assert bar(-3, 9) == f"[{'.' * BAR}]"
    assert bar(99, 9) == f"[{'#' * BAR}]"
    assert bar(1, 0) == f"[{'#' * BAR}]"
    assert stages(GuardedRollout("a", PLAN, stage=2)) == "1 = 12.5 = [100]"
    assert [lasting(each) for each in (0, 59, 60, 5400, 172_800)] == [
        "0 s",
        "59 s",
        "1 min",
        "1.5 h",
        "2 d",
    ]


def test_a_plan_comes_from_options_before_a_file_before_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"bake_s": 5, "alarm": 7, "promote": {"ttft_s": 0.5}}')
    settings = read_settings(
        {
            "ROLLOUT_STAGES": "2, 50,100",
            "rollout_bake_s": "60",
            "ROLLOUT_COOLDOWN_S": "90",
            "ROLLOUT_PROMOTE_TTFT_S": "0.8",
            "ROLLOUT_ROLL_BACK_ERROR_RATE": "0.04",
            "ROLLOUT_TICK_S": "not ours",
            "ROLLOUT_APPROVAL_AT": "",
            "ROLLOUT_PROMOTE_COLOUR": "red",
        }
    ).rollout
    words = f"rollout start beta --plan {file} --cooldown 1h --approval-at 50"

    plan = plan_of(parse(words.split()), settings)

    assert plan == Plan(
        stages=(2.0, 50.0, 100.0),
        bake_s=5.0,
        cooldown_s=3600.0,
        approval_at=(50.0,),
        promote=Criteria(0.01, 0.95, 0.5),
        roll_back=Criteria(0.04, 0.90, 2.0),
        alarm=7.0,
    )
    assert plan_of(parse(["rollout", "start", "beta"]), {}) == Plan()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rollout_bake_s", "soon", "ROLLOUT_BAKE_S is not a number"),
        ("rollout_stages", "5,1", "ROLLOUT_STAGES must be above"),
        ("rollout_promote_error_rate", "0.5", "ROLLOUT_PROMOTE_ERROR_RATE must be below"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plan_of(parse(["rollout", "start", "beta"]), {name: value})


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b'{"beta": 2}', b'{"hue": 1}'])
def test_a_plan_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "plan.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises((RefusedError, FlagInvalidError)):
        plan_of(parse(["rollout", "start", "beta", "--plan", str(file)]), {})


@pytest.mark.parametrize(
    "words",
    [
        "rollout",
        "rollout begin beta",
        "rollout start",
        "rollout start beta --stages 5,1",
        "rollout start beta --bake soon",
        "rollout resume beta --stage 101",
        "rollout watch beta --json",
        "--json rollout watch beta",
        "history beta --rollout --segment",
    ],
)
def test_a_wrong_line_is_told(words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words.split())
    assert caught.value.code == 2
