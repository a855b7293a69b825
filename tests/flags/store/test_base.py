"""Writes that no store takes."""

import pytest

from flags.store.base import Claim, Commit
from tests.support.commits import a_commit, a_flag


@pytest.mark.parametrize("version", [3, 2, 0])
def test_a_write_whose_version_does_not_grow_is_none(version: int) -> None:
    with pytest.raises(ValueError, match="is not above 3"):
        a_commit(3, a_flag("a"), version=version)


def test_a_write_that_tells_twice_of_a_subject_is_none() -> None:
    with pytest.raises(ValueError, match="two audit entries"):
        a_commit(3, a_flag("a"), "flag:a")


def test_a_write_without_audit_may_stay_at_its_version_but_not_go_back() -> None:
    assert Commit(3, 3, {}, (), Claim("key", "change")).version == 3
    with pytest.raises(ValueError, match="is not above 3"):
        Commit(3, 2, {}, ())
