"""Exposures: each told once for a unit and an epoch, and nothing that was not dealt."""

from datetime import UTC, datetime

from flags.exposures import MAX_UNITS, Exposure, Exposures
from flags.model import Reason
from tests.flags.factories import a_decision

AT = datetime(2026, 1, 2, tzinfo=UTC)


def test_an_exposure_is_told_once_with_what_was_given() -> None:
    told: list[Exposure] = []
    exposures = Exposures(told.append, now=lambda: AT)

    for _ in range(3):
        exposures.record(a_decision(version=4), "ann")

    assert told == [Exposure("streaming", "on", epoch=1, version=4, unit="ann", at=AT)]


def test_every_unit_flag_epoch_and_variant_is_an_exposure_of_its_own() -> None:
    told: list[Exposure] = []
    exposures = Exposures(told.append)

    exposures.record(a_decision(), "ann")
    exposures.record(a_decision(), "bob")
    exposures.record(a_decision(key="other"), "ann")
    exposures.record(a_decision(epoch=2), "ann")
    exposures.record(a_decision("off"), "ann")

    assert [(each.flag, each.unit, each.epoch, each.variant) for each in told] == [
        ("streaming", "ann", 1, "on"),
        ("streaming", "bob", 1, "on"),
        ("other", "ann", 1, "on"),
        ("streaming", "ann", 2, "on"),
        ("streaming", "ann", 1, "off"),
    ]
    assert all(each.at.tzinfo is UTC for each in told)


def test_a_new_version_of_the_same_dealing_is_no_new_exposure() -> None:
    told: list[Exposure] = []
    exposures = Exposures(told.append)

    exposures.record(a_decision(version=4), "ann")
    exposures.record(a_decision(version=5), "ann")

    assert len(told) == 1


def test_what_was_not_dealt_is_no_exposure() -> None:
    told: list[Exposure] = []
    exposures = Exposures(told.append)

    exposures.record(a_decision(None, reason=Reason.ERROR, error="flag_not_found"), "ann")
    exposures.record(a_decision("off", reason=Reason.ERROR, error="targeting_key_missing"), "")

    assert told == []


def test_the_stale_word_of_a_lost_store_is_an_exposure_all_the_same() -> None:
    told: list[Exposure] = []

    Exposures(told.append).record(a_decision(reason=Reason.STALE), "ann")

    assert len(told) == 1


def test_so_many_are_remembered_and_the_least_recent_is_forgotten() -> None:
    told: list[Exposure] = []
    exposures = Exposures(told.append, max_units=2)

    for unit in ("ann", "bob", "ann", "cid", "ann", "bob"):
        exposures.record(a_decision(), unit)

    assert [each.unit for each in told] == ["ann", "bob", "cid", "bob"]
    assert MAX_UNITS == 50_000
