"""What went wrong, in words: each failure says what to do, and nothing that was sent is trusted."""

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_ENDING = """async (error) => {
  const {ending} = await import('/assets/problems.js');
  const {newTurn} = await import('/assets/turn.js');
  return ending(newTurn({status: 'failed', error}));
}"""
_SENTENCE = """async ([status, code]) => {
  const {ProblemError} = await import('/assets/problems.js');
  const {accountSentence} = await import('/assets/account/words.js');
  return accountSentence(new ProblemError(status, {code, detail: 'Detail'}, 150));
}"""
_DEVICE = "async (client) => (await import('/assets/account/words.js')).deviceName(client)"


@pytest.mark.parametrize(
    ("code", "words"),
    [("content_blocked", "breaks the rules"), ("moderation_unavailable", "could not be checked")],
)
async def test_an_answer_that_moderation_ended_says_so(
    modules: Page, code: str, words: str
) -> None:
    error = {"code": code, "detail": "internal words", "retryable": False}

    told = await modules.evaluate(_ENDING, error)

    assert words in told
    assert "internal words" not in told


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (422, "message_blocked", "Change it and send it again"),
        (503, "moderation_unavailable", "Try again in a moment"),
        (401, "wrong_credentials", "Check both and try again"),
        (429, "too_many_tries", "Try again in 3 min"),
        (503, "passwords_busy", "Try again in a moment"),
    ],
)
async def test_a_refusal_says_what_to_do(modules: Page, status: int, code: str, words: str) -> None:
    assert words in await modules.evaluate(_SENTENCE, [status, code])


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
            "Chrome on Linux",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown device"),
    ],
)
async def test_a_device_is_called_what_people_call_it(
    modules: Page, client: str, name: str
) -> None:
    assert await modules.evaluate(_DEVICE, client) == name
