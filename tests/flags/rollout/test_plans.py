"""Plans: what is refused, with its place, and what a description may leave out."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from flags.errors import FlagInvalidError
from flags.rollout.model import Criteria, Plan
from flags.rollout.validation import check_plan, read_plan

BASE = Plan()


def test_the_default_plan_means_something() -> None:
    check_plan(BASE)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"stages": []}, "stages"),
        ({"stages": list(range(1, 34))}, "stages"),
        ({"stages": [0, 5]}, "stages.0"),
        ({"stages": [5, 5]}, "stages.1"),
        ({"stages": [5, 1]}, "stages.1"),
        ({"stages": [5, 100.1]}, "stages.1"),
        ({"stages": [0.0001]}, "stages.0"),
        ({"stages": ["5"]}, "stages.0"),
        ({"stages": [True]}, "stages.0"),
        ({"stages": 5}, "stages"),
        ({"approval_at": [5, 6]}, "approval_at.1"),
        ({"bake_s": -1}, "bake_s"),
        ({"final_bake_s": 2_592_001}, "final_bake_s"),
        ({"cooldown_s": float("nan")}, "cooldown_s"),
        ({"incident_max_s": float("inf")}, "incident_max_s"),
        ({"beta": 0}, "beta"),
        ({"beta": 0.51}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"alarm": 1.9}, "alarm"),
        ({"alarm": 51}, "alarm"),
        ({"max_ttft_s": 30.1}, "max_ttft_s"),
        ({"max_ttft_s": 2}, "promote.ttft_s"),
        ({"on_shared_incident": "panic"}, "on_shared_incident"),
        ({"promote": {"error_rate": 0.02}}, "promote.error_rate"),
        ({"promote": {"error_rate": 0}}, "promote.error_rate"),
        ({"promote": {"success_rate": 0.9}}, "promote.success_rate"),
        ({"promote": {"ttft_s": 2}}, "promote.ttft_s"),
        ({"roll_back": {"success_rate": 1}}, "roll_back.success_rate"),
        ({"roll_back": {"ttft_s": -1}}, "roll_back.ttft_s"),
        ({"promote": 5}, "promote"),
        ({"colour": "red"}, "colour"),
        ({"promote": {"colour": "red"}}, "promote.colour"),
    ],
)
def test_a_plan_that_means_nothing_is_refused_with_its_place(
    document: Mapping[str, object], place: str
) -> None:
    with pytest.raises(FlagInvalidError) as caught:
        read_plan(document, BASE)

    assert caught.value.path == place


def test_a_description_changes_only_what_it_names() -> None:
    base = replace(BASE, alarm=7.0, promote=Criteria(0.001, 0.99, 0.5))
    document = {"stages": [2, 50, 100], "promote": {"ttft_s": 1.5}, "bake_s": 0}

    plan = read_plan(document, base)

    assert plan == replace(
        base, stages=(2.0, 50.0, 100.0), bake_s=0.0, promote=Criteria(0.001, 0.99, 1.5)
    )
    assert read_plan({}, base) == base
