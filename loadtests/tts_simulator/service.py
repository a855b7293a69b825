"""The calls of Google's service: SynthesizeSpeech, StreamingSynthesize and ListVoices."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.cloud import texttospeech_v1 as tts

from loadtests.tts_simulator import encodings, faults, requests, voices
from loadtests.tts_simulator.options import Options, duration_of
from loadtests.tts_simulator.requests import RefusedError
from loadtests.tts_simulator.stats import Call, Method, Stats

_Status = grpc.StatusCode
_FOREVER_S = 3_600.0
_GARBAGE = b"This is no audio. " * 40
_ASKED = "The simulator was asked to fail."


class Speech:
    """The service's methods, in the form that `grpc.aio` calls."""

    def __init__(self, options: Options, stats: Stats) -> None:
        self._options = options
        self._stats = stats

    async def synthesize(
        self, request: tts.SynthesizeSpeechRequest, context: grpc.aio.ServicerContext
    ) -> tts.SynthesizeSpeechResponse:
        """Return the audio of one text."""
        response = tts.SynthesizeSpeechResponse()
        async with self._recorded("synthesize", context) as call:
            voice = requests.read_voice(call, request.voice)
            text = requests.read_text(call, request.input, voice)
            requests.check_audio(call, request.audio_config, voice)
            fault = await self._play_latency(call, text)
            if fault == "cut":
                raise RefusedError(_Status.UNAVAILABLE, _ASKED)
            if fault == "garbage":
                response.audio_content = _GARBAGE
            elif fault != "empty":
                response.audio_content = encodings.WHOLE[call.encoding](text, call.duration_s)
        return response

    async def stream(self, _requests: object, context: grpc.aio.ServicerContext) -> None:
        """Read texts and write their audio as it is made."""
        async with self._recorded("stream", context) as call:
            first = await self._read(context)
            if first is None or "streaming_config" not in first:
                raise requests.invalid("The first message must be a `streaming_config`.")
            voice = requests.read_voice(call, first.streaming_config.voice)
            requests.check_stream(call, first.streaming_config, voice)
            said = ""
            async for text in self._texts(context):
                said += text
                call.note_text(said)
                if call.encoding != "OGG_OPUS":
                    await self._write(call, context, text)
            # An Ogg file has one last page: it is written when no more text can come.
            if said and call.encoding == "OGG_OPUS":
                await self._write(call, context, said)

    async def list_voices(
        self, request: tts.ListVoicesRequest, context: grpc.aio.ServicerContext
    ) -> tts.ListVoicesResponse:
        """Return what can be asked for."""
        async with self._recorded("voices", context) as call:
            call.language = request.language_code
            if self._options.voices_fail:
                raise RefusedError(_Status.UNAVAILABLE, _ASKED)
        return voices.listed(request.language_code)

    @asynccontextmanager
    async def _recorded(
        self, method: Method, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[Call, None]:
        call = self._stats.open(method)
        try:
            yield call
            call.state = "completed"
        except RefusedError as exc:
            call.state, call.code = "refused", exc.code.name
            await context.abort(exc.code, exc.details)
        except asyncio.CancelledError:
            call.state = "cancelled"
            raise
        finally:
            self._stats.close(call)

    async def _play_latency(self, call: Call, text: str) -> str:
        """Wait as long as the audio takes; return the fault that is left for the caller.

        Raises:
            RefusedError: The text is too long, a burst is on, or the fault is a status.
        """
        requests.check_text(text, self._options.max_sentence)
        call.duration_s = duration_of(text, call.rate)
        if self._options.is_in_burst(call.number):
            raise RefusedError(_Status.UNAVAILABLE, "The service is currently unavailable.")
        asked = faults.asked_for(text, call.voice)
        name = ""
        if asked is not None and self._stats.meets_fault(text, asked.times):
            name = asked.name
        await asyncio.sleep(self._options.latency_of(text, call.duration_s))
        if name == "slow":
            await asyncio.sleep(self._options.slow_s)
        elif name == "never":
            await asyncio.sleep(_FOREVER_S)
        elif name and (fault := faults.CATALOGUE[name]).code is not None:
            raise RefusedError(fault.code, fault.details)
        return name

    async def _write(self, call: Call, context: grpc.aio.ServicerContext, text: str) -> None:
        fault = await self._play_latency(call, text)
        if fault == "empty":
            return
        chunks = encodings.chunks(text, call.duration_s, call.encoding)
        if fault == "garbage":
            chunks = [_GARBAGE]
        for place, chunk in enumerate(chunks):
            if fault == "cut" and place >= len(chunks) // 2:
                raise RefusedError(_Status.ABORTED, _ASKED)
            await context.write(tts.StreamingSynthesizeResponse(audio_content=chunk))

    async def _texts(self, context: grpc.aio.ServicerContext) -> AsyncIterator[str]:
        while (request := await self._read(context)) is not None:
            if "input" not in request or not request.input.text:
                raise requests.invalid("The messages after the first must have an `input`.")
            yield request.input.text

    async def _read(self, context: grpc.aio.ServicerContext) -> Any:
        """Return the next message; None where the client has half-closed."""
        try:
            async with asyncio.timeout(self._options.idle_s):
                request = await context.read()
        except TimeoutError:
            raise RefusedError(
                _Status.ABORTED, "Stream aborted due to long duration elapsed without input sent."
            ) from None
        return None if request is grpc.aio.EOF else request
