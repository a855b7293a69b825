"""What eSpeak NG's speaker does beyond the contract: a process that ends, hangs or is not there."""

import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from streaming.speech.audio import mulaw_wav
from streaming.speech.base import Audio, Utterance
from streaming.speech.errors import (
    SpeechError,
    SpeechRefusedError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.espeak import EspeakSpeaker, espeak_available, process, speaker
from tests.support.espeak import require_espeak

SENTENCE = "The answer is spoken while it is being written."
LONG = "nine " * 900
PATIENCE_S = 20.0
HEAD_BYTES = 58

HELLO = (
    '{"version": "1", "sample_rate": 8000, '
    '"voices": [{"identifier": "gmw/en", "languages": [[5, "en"]]}]}'
)


@asynccontextmanager
async def a_speaker(**options: float) -> AsyncIterator[EspeakSpeaker]:
    made = EspeakSpeaker(**options)  # type: ignore[arg-type]  # only rates are given
    try:
        yield made
    finally:
        with anyio.fail_after(PATIENCE_S):
            await made.close()


@pytest.fixture
async def espeak() -> AsyncGenerator[EspeakSpeaker, None]:
    require_espeak()
    async with a_speaker() as made:
        yield made


async def said(espeak: EspeakSpeaker, text: str = SENTENCE, **more: str) -> Audio:
    with anyio.fail_after(PATIENCE_S):
        return await espeak.speak(Utterance(text, **more))


async def pid_of(espeak: EspeakSpeaker) -> int:
    """Return the process id, starting the process if need be."""
    await espeak.voices()
    assert espeak._running is not None
    return espeak._running[0].pid


def play(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Have another program started: a script of Python's lines, with `read()` and `say(text)`."""
    script = [
        "import sys",
        "read = sys.stdin.buffer.readline",
        "say = lambda text: (sys.stdout.write(text + '\\n'), sys.stdout.flush())",
        f"hello = {HELLO!r}",
        *lines,
    ]
    monkeypatch.setattr(process, "_COMMAND", [sys.executable, "-c", "\n".join(script)])
    monkeypatch.setattr(speaker, "espeak_available", lambda: True)


async def test_sound_is_mulaw_at_the_librarys_rate_and_is_not_silent(espeak: EspeakSpeaker) -> None:
    audio = await said(espeak)

    assert audio.media_type == "audio/wav"
    assert audio.data[20:32] == mulaw_wav(b"", 22_050)[20:32]
    assert audio.duration_s == pytest.approx((len(audio.data) - HEAD_BYTES) / 22_050, abs=1e-4)
    loud = sum(byte & 0x7F < 0x40 for byte in audio.data[HEAD_BYTES:])
    assert loud > len(audio.data) / 10


async def test_markup_and_commands_are_text(espeak: EspeakSpeaker) -> None:
    count = "one two three four five six"
    plain = await said(espeak, count)

    faster = await said(espeak, f"\x01450S {count}")
    pause = await said(espeak, f'<break time="60s"/> {count}')
    phonemes = await said(espeak, f"[[h@l'oU h@l'oU h@l'oU h@l'oU]] {count}")

    assert plain.duration_s < faster.duration_s < 30
    assert plain.duration_s < pause.duration_s < 30
    assert plain.duration_s < phonemes.duration_s < 30


async def test_the_voice_asked_for_speaks(espeak: EspeakSpeaker) -> None:
    german = await said(espeak, "1789", language="de")
    english = await said(espeak, "1789", language="en")
    named = await said(espeak, "1789", language="en", voice="DE")

    assert german.duration_s != pytest.approx(english.duration_s, rel=0.02)
    assert named.duration_s == pytest.approx(german.duration_s, rel=0.02)


async def test_the_rate_is_kept_within_what_the_library_has() -> None:
    require_espeak()
    lengths = {}
    for rate in (0.01, 0.46, 1.0, 2.5, 100.0):
        async with a_speaker(rate=rate) as espeak:
            lengths[rate] = (await said(espeak)).duration_s

    assert lengths[0.01] == pytest.approx(lengths[0.46], rel=0.05)
    assert lengths[0.46] > lengths[1.0] > lengths[2.5]
    assert lengths[100.0] == pytest.approx(lengths[2.5], rel=0.1)


async def test_a_process_that_was_killed_is_started_again(espeak: EspeakSpeaker) -> None:
    for _ in range(3):
        os.kill(await pid_of(espeak), signal.SIGKILL)

        assert (await said(espeak)).duration_s > 1.0


async def test_a_process_that_ends_while_it_speaks_is_started_again(espeak: EspeakSpeaker) -> None:
    audio: list[Audio] = []
    pid = await pid_of(espeak)
    os.kill(pid, signal.SIGSTOP)

    async def say() -> None:
        audio.append(await said(espeak, "one, two - three"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say)
        await anyio.wait_all_tasks_blocked()
        os.kill(pid, signal.SIGKILL)

    assert audio[0].duration_s > 0.5
    assert await pid_of(espeak) != pid


async def test_cancelling_a_call_that_hangs_ends_its_process(espeak: EspeakSpeaker) -> None:
    pid = await pid_of(espeak)
    os.kill(pid, signal.SIGSTOP)

    with anyio.fail_after(PATIENCE_S):
        with anyio.move_on_after(0.01) as given_up:
            await espeak.speak(Utterance(SENTENCE))
        assert given_up.cancelled_caught
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert (await said(espeak)).duration_s > 1.0


async def test_a_cancelled_call_leaves_its_process_to_the_next(
    espeak: EspeakSpeaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_S", PATIENCE_S)  # this machine may be busy
    pid = await pid_of(espeak)

    for wait_s in (0, 0.001, 0.005, 0.02, 0.1):
        with anyio.move_on_after(wait_s):
            await espeak.speak(Utterance(LONG))
        assert 1.0 < (await said(espeak)).duration_s < 6.0

    assert await pid_of(espeak) == pid


async def test_closing_while_it_hangs_ends_process_and_calls(espeak: EspeakSpeaker) -> None:
    ended: list[SpeechError] = []
    pid = await pid_of(espeak)
    os.kill(pid, signal.SIGSTOP)

    async def say() -> None:
        with pytest.raises(SpeechUnavailableError) as raised:
            await said(espeak)
        ended.append(raised.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(say)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(PATIENCE_S):
            await espeak.close()

    assert len(ended) == 3
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_closing_while_it_starts_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pid, go = tmp_path / "pid", tmp_path / "go"
    play(
        monkeypatch,
        "import os, pathlib, time",
        f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))",
        f"while not os.path.exists({str(go)!r}): time.sleep(0.001)",
        "say(hello)",
        "read()",
    )
    async with a_speaker() as espeak, anyio.create_task_group() as tasks:

        async def say() -> None:
            with pytest.raises(SpeechUnavailableError, match="closed"):
                await said(espeak)

        tasks.start_soon(say)
        await anyio.wait_all_tasks_blocked()
        await espeak.close()
        go.touch()

    assert espeak._running is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_start_that_is_given_up_is_tried_again_by_the_next(espeak: EspeakSpeaker) -> None:
    for wait_s in (0, 0.001, 0.01, 0.02):
        with anyio.move_on_after(wait_s):
            await espeak.voices()

    assert (await said(espeak)).duration_s > 1.0


async def test_too_many_that_wait_are_refused_and_the_others_served(
    espeak: EspeakSpeaker,
) -> None:
    audio: list[Audio] = []
    pid = await pid_of(espeak)
    os.kill(pid, signal.SIGSTOP)

    async def say() -> None:
        audio.append(await said(espeak, "one"))

    async with anyio.create_task_group() as tasks:
        for _ in range(speaker.MAX_WAITING):
            tasks.start_soon(say)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(SpeechUnavailableError):
            await said(espeak)
        os.kill(pid, signal.SIGCONT)

    assert len(audio) == speaker.MAX_WAITING
    assert (await said(espeak)).duration_s > 1.0


async def test_a_text_that_ends_the_process_is_said_in_words_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play(
        monkeypatch,
        "import json",
        "say(hello)",
        "request = json.loads(read())",
        "if '#' in request['text'] or '-' in request['text']: sys.exit(1)",
        "size = len(request['text'].encode())",
        "say(json.dumps({'id': 1, 'samples': 8000 * size, 'bytes': 4}) + chr(10) + 'RIF')",
        "read()",
    )
    async with a_speaker() as espeak:
        audio = await said(espeak, "Größe - हिन्दी #1!")

    assert audio.duration_s == len("Größe   हिन्दी  1!".encode())
    assert audio.data == b"RIF\n"


BROKEN: dict[str, tuple[list[str], type[SpeechError]]] = {
    "ends at once": (["sys.exit(3)"], SpeechUnavailableError),
    "says that it failed": (['say(\'{"failed": "no data"}\')'], SpeechUnavailableError),
    "has no voices": (['say(\'{"version": "1"}\')'], SpeechUnavailableError),
    "says no JSON": (["say('hello')", "read()"], SpeechUnavailableError),
    "says no end of a line": (["say('x' * 99999)", "read()"], SpeechUnavailableError),
    "ends at each text": (["say(hello)", "read()"], SpeechRefusedError),
    "reads nothing": (["say(hello)", "sys.stdin.close()", "sys.exit()"], SpeechRefusedError),
    "answers another": (["say(hello)", "read()", "say('{\"id\": 9}')"], SpeechRefusedError),
    "answers no JSON": (["say(hello)", "read()", "say('{')", "read()"], SpeechRefusedError),
    "promises too much": (
        ["say(hello)", "read()", 'say(\'{"id": 1, "bytes": 999999999999}\')', "read()"],
        SpeechRefusedError,
    ),
    "gives half": (
        ["say(hello)", "read()", 'say(\'{"id": 1, "bytes": 99}\')'],
        SpeechRefusedError,
    ),
    "refuses": (
        ["say(hello)", "read()", 'say(\'{"id": 1, "failed": "status 2"}\')', "read()"],
        SpeechRefusedError,
    ),
    "finds it too long": (
        ["say(hello)", "read()", 'say(\'{"id": 1, "failed": "too_long"}\')', "read()"],
        SpeechTooLongError,
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_program_is_an_error_of_speech(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    lines, error = BROKEN[fault]
    play(monkeypatch, *lines)

    async with a_speaker() as espeak:
        for _ in range(2):
            with pytest.raises(error) as raised:
                await said(espeak)
            assert SENTENCE not in raised.value.detail


async def test_a_program_that_never_starts_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play(monkeypatch, "read()")
    monkeypatch.setattr(process, "START_S", 0.05)

    async with a_speaker() as espeak:
        with pytest.raises(SpeechUnavailableError, match="in time"):
            await said(espeak)


async def test_a_program_that_cannot_be_run_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play(monkeypatch)
    monkeypatch.setattr(process, "_COMMAND", ["/nonexistent/python"])

    async with a_speaker() as espeak:
        with pytest.raises(SpeechUnavailableError, match="did not start"):
            await said(espeak)


async def test_without_the_package_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "_PACKAGE", "no-such-package")

    assert not espeak_available()
    async with a_speaker() as espeak:
        assert espeak.identity.startswith("no no-such-package")
        with pytest.raises(SpeechUnavailableError, match="make run"):
            await said(espeak)
