"""What a turn's record keeps for the worker that goes on with it."""

from dataclasses import asdict

import pytest

from server.planning import moderation_of, speech_of
from streaming.moderation.base import Policy
from streaming.speech.turn_speech import SpeechSpec

SPOKEN = SpeechSpec("en-GB-Standard-A", "en-GB", inline=False)


@pytest.mark.parametrize(
    ("kept", "speech"),
    [
        ({}, None),
        ({"speech": None}, None),
        ({"speech": asdict(SPOKEN)}, SPOKEN),
        ({"speech": {}}, SpeechSpec()),
        ({"speech": asdict(SPOKEN) | {"tempo_of_a_later_release": 2}}, SPOKEN),
    ],
)
def test_how_a_turn_is_spoken_is_read_from_the_records_of_any_release(
    kept: dict[str, object], speech: SpeechSpec | None
) -> None:
    assert speech_of(kept) == speech


@pytest.mark.parametrize(
    ("kept", "policy"),
    [
        ({}, "off"),  # of 0.1.0
        ({"moderation": "off"}, "off"),
        ({"moderation": "flag"}, "flag"),
        ({"moderation": "block"}, "block"),
        ({"moderation": "of a later release"}, "block"),
        ({"moderation": 7}, "block"),
    ],
)
def test_what_may_be_said_is_read_from_the_records_of_any_release_as_the_strictest_where_unknown(
    kept: dict[str, object], policy: Policy
) -> None:
    assert moderation_of(kept) == policy
