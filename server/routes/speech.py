"""Speech outside the event stream: a chunk again, the voices, and a given text spoken."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio.to_thread
from anyio.lowlevel import RunVar
from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.audio import check_voice, parse_audio_id, spoken_answer
from server.audio_response import audio_response
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.openapi.described import speech as docs
from server.wire import owner_of, services_of
from streaming.languages import guess_language
from streaming.speech.base import MAX_UTTERANCE_BYTES, Utterance
from streaming.speech.errors import SpeechOffError, SpeechTimeoutError
from streaming.speech.maker import AudioMaker
from streaming.speech.whole import units_of

MAX_SPOKEN_CHARS = 4000

MAX_SPOKEN_AT_ONCE = 2
"""Given texts in the engines at once. One is as long as a whole answer, in one call: without a
bound, 20 of them hold eSpeak NG so long that its breaker opens, and every turn falls silent."""

_places: RunVar[anyio.CapacityLimiter | None] = RunVar("places_for_given_texts")


def _speakable(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


class SpeakText(StrictModel):
    """The body of `POST /api/v1/speech`."""

    text: Annotated[str, Field(max_length=MAX_SPOKEN_CHARS), AfterValidator(_speakable)]
    voice: str | None = Field(None, max_length=100)


async def get_audio(request: Request) -> Response:
    """Answer with a unit of a turn's speech, made again where it is no longer kept."""
    services = services_of(request)
    turn_id, index = parse_audio_id(request.path_params["audio_id"])
    answer = await spoken_answer(services, owner_of(request), turn_id)
    utterance = answer.utterance(index)
    if utterance is None:
        raise ProblemError(404, "audio_not_found", "This turn has no such audio (yet).")
    maker = await _counted_maker(request)
    try:
        made = await maker.make(utterance)
    except SpeechOffError:
        raise ProblemError(
            410, "audio_gone", "This audio is no longer kept, and there is no engine to make it."
        ) from None
    headers = {"X-Speech-Sentence": str(answer.units[index].sentence)}
    place = await answer.range_of(index)
    if place is not None:
        headers["X-Speech-Range"] = f"{place[0]}-{place[1]}"
    return audio_response(request, made.audio, headers)


async def list_voices(request: Request) -> Response:
    """List the voices of the engine that speaks."""
    maker = services_of(request).studio.maker
    answer = {
        "engine": maker.engine,
        "voices": [
            {"name": voice.name, "language": voice.language} for voice in await maker.voices()
        ],
    }
    return JSONResponse(answer, headers={"Cache-Control": "private, max-age=300"})


async def speak_text(request: Request) -> Response:
    """Answer with a given text as audio; what is no speech (code, markup) is left out."""
    services = services_of(request)
    body = await read_model(request, SpeakText)
    if body.voice:
        await check_voice(services, body.voice)
    units = await anyio.to_thread.run_sync(units_of, body.text)
    spoken = " ".join(unit.text for unit in units)
    if not spoken:
        raise _unspeakable("has nothing that can be said", "nothing_to_say")
    if len(spoken.encode()) > MAX_UTTERANCE_BYTES:
        raise _unspeakable(f"must be at most {MAX_UTTERANCE_BYTES} bytes when spoken", "invalid")
    voice = body.voice or services.settings.tts_voice
    utterance = Utterance(spoken, guess_language(body.text), voice)
    maker = await _counted_maker(request)
    async with _place(services.settings.tts_timeout_s):
        made = await maker.make(utterance)
    return audio_response(request, made.audio, {})


async def _counted_maker(request: Request) -> AudioMaker:
    """Return what makes audio for the caller.

    Raises:
        ProblemError: 429, they had the day's.
    """
    services = services_of(request)
    subjects = services.limits.subjects(request)
    await services.limits.speech.check(subjects)
    return services.studio.maker.counted_for([subject.name for subject in subjects])


@asynccontextmanager
async def _place(wait_s: float) -> AsyncGenerator[None, None]:
    """Hold one of the places for given texts.

    Raises:
        SpeechTimeoutError: none became free in `wait_s` seconds.
    """
    limiter = _places.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(MAX_SPOKEN_AT_ONCE)
        _places.set(limiter)
    place = object()
    with anyio.move_on_after(wait_s) as waiting:
        await limiter.acquire_on_behalf_of(place)
    if waiting.cancelled_caught:
        raise SpeechTimeoutError("All places for given texts stayed taken.")
    try:
        yield
    finally:
        limiter.release_on_behalf_of(place)


def _unspeakable(message: str, code: str) -> ProblemError:
    return ProblemError(
        422, code, f"text {message}.", errors=[{"field": "text", "message": message}]
    )


routes = [
    ApiRoute(
        "/api/v1/speech",
        speak_text,
        methods=["POST"],
        access=Access.OWNER,
        tier=Tier.SPEECH,
        doc=docs.SPEAK.taking(SpeakText),
    ),
    ApiRoute(
        "/api/v1/speech/voices",
        list_voices,
        methods=["GET"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.VOICES,
    ),
    ApiRoute(
        "/api/v1/speech/{audio_id}",
        get_audio,
        methods=["GET"],
        access=Access.OWNER,
        tier=Tier.SIGNALS,
        doc=docs.AGAIN,
    ),
]
