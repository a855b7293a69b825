"""What all tests share: how long the seeded ones run, and how many run side by side."""

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the number of runs of each seeded test: `make acceptance` wants more of them."""
    parser.addoption("--runs", type=int, default=300, help="runs of each seeded test")


def pytest_xdist_auto_num_workers() -> int:
    """Run one more process than there are cores: tests wait for the programs that they start.

    On two cores `make test` took 273 s with three processes, and 304 s with two.
    """
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> int:
    """How often a seeded test is repeated, each time with the next seed."""
    number: int = request.config.getoption("--runs")
    return number
