"""A day's seconds of speech: what is spent is said no more, and text goes on."""

from pathlib import Path

import pytest

from tests.e2e.spoken import spoken_server
from tests.e2e.test_limits import left_to
from tests.support.chat import data_of

pytestmark = [pytest.mark.services, pytest.mark.long]

TEXT = " ".join(f"Sentence number {n} is told at some length, and then it ends." for n in range(9))


async def test_speech_ends_with_the_days_seconds_and_text_goes_on(tmp_path: Path) -> None:
    async with spoken_server(
        tmp_path, rate_limit_enabled="true", speech_seconds_per_day=6
    ) as speech:
        events = await speech.answer(TEXT)
        again = await speech.server.client.post("/api/v1/speech", json={"text": "One more."})
        left = await left_to(speech.server.client)
        url = next(data_of(each)["url"] for each in events if each.event == "speech.chunk")
        kept = await speech.server.client.get(url)

        failed = [data_of(each) for each in events if each.event == "speech.failed"]
        spoken_s = sum(
            data_of(each)["duration_s"] for each in events if each.event == "speech.chunk"
        )
        assert events[-1].event == "turn.completed"
        assert data_of(events[-1])["text"] == TEXT
        assert failed
        assert {each["code"] for each in failed} == {"speech_budget_spent"}
        assert 6 <= spoken_s < 30
        assert left["speech_s"]["spent"] == pytest.approx(spoken_s, abs=0.1)
        assert (again.status_code, again.json()["code"]) == (429, "speech_budget_spent")
        assert int(again.headers["retry-after"]) > 0
        assert kept.status_code in {200, 429}
