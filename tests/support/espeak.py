"""Whether eSpeak NG, an optional package, is there to be tested."""

import os

import pytest

from streaming.speech.espeak import espeak_available


def require_espeak() -> None:
    """Skip the test without the package, or fail it where services are required."""
    if espeak_available():
        return
    reason = "espeakng-loader is not installed (requirements-espeak.lock)"
    if os.environ.get("REQUIRE_SERVICES") == "1":  # noqa: TID251 - a switch of the tests, not a setting
        pytest.fail(reason)
    pytest.skip(reason)
