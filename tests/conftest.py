"""What all tests share: how long the seeded ones run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the number of runs of each seeded test: `make acceptance` wants more of them."""
    parser.addoption("--runs", type=int, default=300, help="runs of each seeded test")


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> int:
    """How often a seeded test is repeated, each time with the next seed."""
    number: int = request.config.getoption("--runs")
    return number
