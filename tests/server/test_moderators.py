"""Who judges, as the settings say."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from metrics.turns import TurnMetrics
from server.services.faults import StartError
from server.services.moderation import open_checks
from server.settings import Settings


async def chosen(**settings: Any) -> list[str] | None:
    """Return the names of the moderators, None where moderation is off."""
    async with AsyncExitStack() as stack:
        checks = open_checks(Settings(_env_file=None, **settings), stack, TurnMetrics())
        return None if checks is None else [each.name for each in checks.health()]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words"
    path.write_text("darn\n", "utf-8")
    return path


KEY = "a-key-of-openai"


async def test_without_settings_nobody_judges_and_that_is_not_the_same_as_off() -> None:
    assert await chosen() == []
    assert await chosen(moderation_engine="off") is None


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"openai_api_key": KEY}, ["openai"]),
        ({"moderation_api_key": KEY}, ["openai"]),
        ({"moderation_base_url": "http://127.0.0.1:1/v1"}, ["openai"]),
        ({"openai_base_url": "http://127.0.0.1:1/v1"}, []),
        ({"openai_base_url": "http://127.0.0.1:1/v1", "openai_api_key": KEY}, []),
        ({"openai_base_url": "http://127.0.0.1:1/v1", "moderation_engine": "openai"}, ["openai"]),
        ({"openai_api_key": KEY, "moderation_engine": "OFF"}, None),
    ],
)
async def test_the_endpoint_is_asked_where_it_is_known_to_be(
    settings: dict[str, object], names: list[str] | None
) -> None:
    assert await chosen(**settings) == names


async def test_the_words_come_first(words: Path) -> None:
    both = {"moderation_words_file": words, "openai_api_key": KEY}

    assert await chosen(**both) == ["words", "openai"]
    assert await chosen(**both, moderation_engine="words") == ["words"]
    assert await chosen(**both, moderation_engine="openai") == ["openai"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"moderation_engine": "words"}, "set MODERATION_WORDS_FILE"),
        ({"moderation_engine": "openai"}, "set OPENAI_API_KEY, MODERATION_API_KEY or"),
        ({"moderation_words_file": "/nowhere/words"}, "cannot be read"),
        ({"moderation_words_file": "/"}, "cannot be read"),
        ({"moderation_words_file": "/dev/null"}, "has 0 entries"),
    ],
)
async def test_moderators_that_cannot_be_used_keep_the_server_from_starting(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(StartError, match=said):
        await chosen(**settings)
