"""The TTS simulator, asked by Google's own client and by bare gRPC."""

import base64
import re
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import grpc
import pytest
import pytest_asyncio
from google.cloud import texttospeech_v1 as tts
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechGrpcAsyncIOTransport,
)

from loadtests.tts_simulator import encodings, faults
from loadtests.tts_simulator.options import Options, duration_of
from streaming.speech.audio import duration_s
from tests.support.browser import running_browser
from tests.support.tts_simulator import TtsSimulator, running_tts_simulator

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

SENTENCE = "This sentence of some length would take a moment to say."
CHIRP = "en-US-Chirp3-HD-Kore"
PATIENCE_S = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncGenerator[TtsSimulator, None]:
    async with running_tts_simulator(idle=1) as running:
        yield running


def client_of(simulator: TtsSimulator) -> tts.TextToSpeechAsyncClient:
    transport = TextToSpeechGrpcAsyncIOTransport(channel=simulator.channel)
    return tts.TextToSpeechAsyncClient(transport=transport)


async def synthesize(
    simulator: TtsSimulator,
    text: str = SENTENCE,
    *,
    encoding: str = "OGG_OPUS",
    voice: str = "",
    **more: Any,
) -> bytes:
    source = tts.SynthesisInput(text=text) if text else tts.SynthesisInput(ssml=more.pop("ssml"))
    answer = await client_of(simulator).synthesize_speech(
        input=source,
        voice=tts.VoiceSelectionParams(language_code="en-US", name=voice),
        audio_config=tts.AudioConfig(audio_encoding=encoding, **more),
        timeout=PATIENCE_S,
    )
    return bytes(answer.audio_content)


def messages(
    *texts: str, encoding: str = "PCM", voice: str = CHIRP
) -> list[tts.StreamingSynthesizeRequest]:
    config = tts.StreamingSynthesizeConfig(
        voice=tts.VoiceSelectionParams(language_code="en-US", name=voice),
        streaming_audio_config=tts.StreamingAudioConfig(audio_encoding=encoding),
    )
    said = [
        tts.StreamingSynthesizeRequest(input=tts.StreamingSynthesisInput(text=text))
        for text in texts
    ]
    return [tts.StreamingSynthesizeRequest(streaming_config=config), *said]


async def _each(
    sent: list[tts.StreamingSynthesizeRequest],
) -> AsyncIterator[tts.StreamingSynthesizeRequest]:
    for message in sent:
        yield message


async def stream(
    simulator: TtsSimulator, sent: list[tts.StreamingSynthesizeRequest]
) -> AsyncIterator[bytes]:
    start: Callable[..., Any] = client_of(simulator).transport.streaming_synthesize
    call = start(_each(sent), timeout=PATIENCE_S)
    try:
        async for answer in call:
            yield bytes(answer.audio_content)
    finally:
        call.cancel()


async def streamed(simulator: TtsSimulator, sent: list[tts.StreamingSynthesizeRequest]) -> bytes:
    return b"".join([chunk async for chunk in stream(simulator, sent)])


@pytest.mark.parametrize(
    ("encoding", "media_type"),
    [
        ("OGG_OPUS", "audio/ogg"),
        ("MP3", "audio/mpeg"),
        ("LINEAR16", "audio/wav"),
        ("MULAW", "audio/wav"),
    ],
)
async def test_audio_is_as_long_as_its_text(
    simulator: TtsSimulator, encoding: str, media_type: str
) -> None:
    audio = await synthesize(simulator, encoding=encoding)

    assert duration_s(media_type, audio) == pytest.approx(len(SENTENCE) / 15, abs=0.03)


async def test_a_rate_makes_it_shorter(simulator: TtsSimulator) -> None:
    audio = await synthesize(simulator, speaking_rate=2.0)

    assert duration_s("audio/ogg", audio) == pytest.approx(len(SENTENCE) / 30, abs=0.03)


async def test_the_shortest_text_takes_a_moment() -> None:
    assert duration_of("A", 1.0) == 0.3


@pytest.mark.services
async def test_a_browser_decodes_every_file() -> None:
    files = {name: encodings.WHOLE[name](SENTENCE, 2.5) for name in encodings.WHOLE}
    del files["PCM"]  # has no header to tell what it is

    decoded: dict[str, list[float]] = {}
    with anyio.fail_after(60):
        async with running_browser() as browser:
            page = await browser.new_page()
            for name, data in files.items():
                decoded[name] = await page.evaluate(_DECODE, base64.b64encode(data).decode())

    durations = {name: duration for name, (duration, _) in decoded.items()}
    assert durations == pytest.approx(dict.fromkeys(files, 2.5), abs=0.03)
    assert {name for name, (_, peak) in decoded.items() if peak > 0.1} == {"LINEAR16", "MULAW"}


_DECODE = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const context = new OfflineAudioContext(1, 48000, 48000);
  const audio = await context.decodeAudioData(bytes.buffer);
  const peak = audio.getChannelData(0).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return [audio.duration, peak];
}"""


async def test_two_texts_sound_different_and_one_always_the_same(simulator: TtsSimulator) -> None:
    for encoding in ("OGG_OPUS", "LINEAR16", "MULAW"):
        one = await synthesize(simulator, "Rain today.", encoding=encoding)
        other = await synthesize(simulator, "Snow today.", encoding=encoding)
        again = await synthesize(simulator, "Rain today.", encoding=encoding)

        assert len(one) == len(other)
        assert one != other
        assert one == again


async def test_a_seed_gives_each_text_its_latency() -> None:
    one, same, other = Options(seed=1), Options(seed=1), Options(seed=2)
    texts = [f"Text number {number}." for number in range(200)]

    latencies = [one.latency_of(text, 0.0) for text in texts]

    assert latencies == [same.latency_of(text, 0.0) for text in texts]
    assert latencies != [other.latency_of(text, 0.0) for text in texts]
    assert sorted(latencies)[100] == pytest.approx(0.35, rel=0.15)
    assert one.latency_of("A", 5.0) - one.latency_of("A", 0.0) == pytest.approx(0.5)


async def test_a_burst_is_unavailable_and_passes() -> None:
    async with running_tts_simulator(burst_every=4, burst_length=2) as simulator:
        outcomes = []
        for number in range(8):
            try:
                await synthesize(simulator, f"Text {number}.")
                outcomes.append("spoken")
            except Exception as exc:  # noqa: BLE001  the class is the point
                outcomes.append(type(exc).__name__)

    assert outcomes == ["spoken", "spoken", "ServiceUnavailable", "ServiceUnavailable"] * 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"text": "word " * 80 + "end."}, "too long"),
        ({"text": "End. " * 1001}, "longer than the limit of 5000 bytes"),
        ({"voice": "en-US-Nobody-A"}, "does not exist"),
        ({"voice": "de-DE-Neural2-A"}, "doesn't match"),
        ({"voice": "Kore"}, "model name"),
        ({"voice": CHIRP, "text": "", "ssml": "<speak>Hello.</speak>"}, "SSML"),
        ({"voice": CHIRP, "pitch": 2.0}, "pitch"),
        ({"speaking_rate": 3.0}, "speaking rate"),
        ({"encoding": "ALAW"}, "encoding"),
    ],
)
async def test_what_google_would_not_accept_is_refused(
    simulator: TtsSimulator, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(Exception, match=said) as raised:
        await synthesize(simulator, **asked)

    assert type(raised.value).__name__ == "InvalidArgument"


async def test_a_stop_ends_a_sentence_in_any_script(simulator: TtsSimulator) -> None:
    for text in ("word " * 50 + "end. " + "word " * 50, "\u6587" * 250 + "\u3002" + "\u6587" * 250):
        assert await synthesize(simulator, text)


async def test_a_fault_heals_after_some_calls(simulator: TtsSimulator) -> None:
    text = "Say fault:internal:times=2 please."

    for _ in range(2):
        with pytest.raises(Exception, match="500"):
            await synthesize(simulator, text)

    assert await synthesize(simulator, text)


async def test_faults_have_voices(simulator: TtsSimulator) -> None:
    answer = await client_of(simulator).list_voices(language_code="en-US")

    names = {voice.name for voice in answer.voices}
    assert {f"en-US-Fault-{name}" for name in faults.CATALOGUE} < names
    with pytest.raises(Exception, match="403"):
        await synthesize(simulator, voice="en-US-Fault-denied")


async def test_a_stream_says_the_same_as_a_call(simulator: TtsSimulator) -> None:
    pcm = await streamed(simulator, messages("Rain today.", "Snow tomorrow."))
    ogg = await streamed(simulator, messages(SENTENCE, encoding="OGG_OPUS"))

    assert len(pcm) / 48_000 == pytest.approx(len("Rain today.Snow tomorrow.") / 15, abs=0.01)
    assert ogg == await synthesize(simulator, SENTENCE, voice=CHIRP)


@pytest.mark.parametrize(
    "sent",
    [
        messages(SENTENCE, encoding="MP3"),
        messages(SENTENCE, voice="en-US-Neural2-A"),
        messages("")[:1] + messages("")[:1],
        messages(SENTENCE)[1:],
        messages("word " * 80),
        [],
    ],
    ids=["mp3", "voice", "second-config", "no-config", "too-long", "nothing"],
)
async def test_a_stream_that_google_would_not_take_is_refused(
    simulator: TtsSimulator, sent: list[tts.StreamingSynthesizeRequest]
) -> None:
    code = grpc.StatusCode.INTERNAL
    for _ in range(5):  # a refusal may overtake what is being sent: then gRPC tells of that instead
        with pytest.raises(grpc.RpcError) as raised:
            await streamed(simulator, sent)
        if (code := raised.value.code()) is not grpc.StatusCode.INTERNAL:
            break

    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_without_input_is_aborted(simulator: TtsSimulator) -> None:
    start: Callable[..., Any] = client_of(simulator).transport.streaming_synthesize
    call = start(timeout=PATIENCE_S)
    await call.write(messages()[0])

    with anyio.fail_after(PATIENCE_S):
        assert await call.code() is grpc.StatusCode.ABORTED


async def test_a_cut_stream_breaks_after_some_audio(simulator: TtsSimulator) -> None:
    chunks = stream(simulator, messages(f"{SENTENCE} fault:cut"))
    got = [await anext(chunks)]
    with pytest.raises(grpc.RpcError) as raised:
        got += [chunk async for chunk in chunks]

    assert raised.value.code() is grpc.StatusCode.ABORTED
    assert got[0]


async def test_it_counts_what_it_saw(simulator: TtsSimulator) -> None:
    await simulator.reset()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(synthesize, simulator, "Say fault:never please.")
        await simulator.wait_for(lambda seen: seen["in_flight"] == 1)
        await synthesize(simulator)
        with pytest.raises(Exception, match="503"):
            await synthesize(simulator, "Say fault:unavailable please.")
        tasks.cancel_scope.cancel()
    seen = await simulator.wait_for(lambda seen: seen["cancelled"] == 1)

    counted = {name: seen[name] for name in ("synthesize", "completed", "refused", "cancelled")}
    assert counted == {"synthesize": 3, "completed": 1, "refused": 1, "cancelled": 1}
    assert (seen["in_flight"], seen["max_in_flight"]) == (0, 2)
    assert [call["state"] for call in seen["calls"]] == ["cancelled", "completed", "refused"]
    assert seen["calls"][2]["code"] == "UNAVAILABLE"
    assert seen["calls"][1]["text"] == SENTENCE


async def test_it_stops_when_told(simulator: TtsSimulator) -> None:
    async with running_tts_simulator() as other:
        other.process.send_signal(signal.SIGTERM)

        with anyio.fail_after(PATIENCE_S):
            assert await other.process.wait() == 0
    assert await synthesize(simulator)


async def test_a_taken_port_is_one_clear_line() -> None:
    command = [sys.executable, "-m", "loadtests.tts_simulator", "--host", "203.0.113.1"]

    with anyio.fail_after(30):
        ended = await anyio.run_process(command, cwd=Path(__file__).parents[2], check=False)

    assert ended.returncode == 1
    assert b"tts simulator: 203.0.113.1:9200 cannot be had\n" in ended.stderr


async def test_the_manual_names_every_fault_and_option() -> None:
    root = Path(__file__).parents[2]
    manual = (root / "docs" / "tts-simulator.md").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "loadtests.tts_simulator", "--help"]
    with anyio.fail_after(30):
        shown = (await anyio.run_process(command, cwd=root)).stdout.decode()

    options = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help"}
    assert {name for name in faults.CATALOGUE if f"`{name}`" not in manual} == set()
    assert {option for option in options if f"`{option}`" not in manual} == set()
