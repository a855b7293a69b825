"""One running `streaming.speech.espeak_program`, as seen from the server."""

import sys
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TypeVar

import anyio
import anyio.abc
import msgspec
from anyio import BrokenResourceError, ClosedResourceError, DelimiterNotFound, IncompleteRead
from anyio.streams.buffered import BufferedByteReceiveStream

from streaming.speech.base import Audio
from streaming.speech.errors import SpeechRefusedError, SpeechTooLongError, SpeechUnavailableError
from streaming.speech.espeak.voices import ListedVoice

START_S = 10.0
"""A start takes less than 0.1 s; a machine that swaps may need more."""
STOP_S = 0.045
"""What a cancelled request may take to end; then the program is killed: the seam promises 50 ms."""
_LEAVE_S = 0.1
_EXIT_S = 1.0

_MAX_LINE_BYTES = 1 << 16
_MAX_FILE_BYTES = 1 << 26
"""Beyond what the program sends (half an hour of sound): then it is out of its mind."""

_GONE = (
    BrokenResourceError, ClosedResourceError, DelimiterNotFound, IncompleteRead, OSError,
    RuntimeError,  # uvloop's answer where a pipe is closed
)  # fmt: skip

_ROOT = Path(__file__).parents[3]
_COMMAND = [sys.executable, "-s", "-m", "streaming.speech.espeak_program"]


T = TypeVar("T")


class Hello(msgspec.Struct, frozen=True):
    """What the program says first."""

    version: str = ""
    sample_rate: int = 0
    voices: tuple[ListedVoice, ...] = ()
    failed: str = ""


class _Answer(msgspec.Struct, frozen=True):
    id: int
    samples: int = 0
    bytes: int = 0
    failed: str = ""


class _Request(msgspec.Struct, frozen=True):
    id: int
    text: str
    voice: str
    words_per_minute: int


class _Stop(msgspec.Struct, frozen=True):
    stop: int


class ProcessEndedError(Exception):
    """The program is not there any more; start another."""


class EspeakProcess:
    """The program, ready to speak. One request at a time: who uses it takes turns."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        self.hello = Hello()
        self._process = process
        self._requests = process.stdin
        self._answers = BufferedByteReceiveStream(process.stdout)
        self._last_id = 0
        self._answer: _Answer | None = None
        self._closed = False

    @classmethod
    async def start(cls) -> "EspeakProcess":
        """Start the program and wait until it is ready.

        Raises:
            SpeechUnavailableError: it could not be started, or not in time.
        """
        try:
            # Its own session: a signal for the server's whole group must not silence the turns
            # that are still to be finished. It ends when its stdin does, however the server ends.
            # No environment: it works on text that nobody has checked, and needs no key of ours.
            process = await anyio.open_process(
                _COMMAND,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd=_ROOT,
                env={},
                start_new_session=True,
            )
        except OSError as exc:
            raise SpeechUnavailableError(f"eSpeak NG did not start: {exc.strerror}.") from exc
        started = cls(process)
        try:
            with anyio.fail_after(START_S):
                await started._greet()
        except TimeoutError as exc:
            await started.close()
            raise SpeechUnavailableError("eSpeak NG did not start in time.") from exc
        except BaseException:
            await started.close()
            raise
        return started

    @property
    def has_ended(self) -> bool:
        """Whether it was closed, or ended by itself."""
        return self._closed or self._process.returncode is not None

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    async def speak(self, text: str, *, voice: str, words_per_minute: int) -> Audio:
        """Return a text as audio; cancelling it ends the request, or the program.

        Args:
            text: Without control characters.
            voice: An identifier out of `hello`.
            words_per_minute: 80 to 450.

        Raises:
            ProcessEndedError: the program ended, maybe of this text.
            SpeechTooLongError: it would be more than half an hour of sound.
            SpeechRefusedError: the library refuses the voice or the text.
        """
        self._last_id += 1
        request = _Request(self._last_id, text, voice, words_per_minute)
        try:
            await self._send(request)
            return await self._audio()
        except anyio.get_cancelled_exc_class():
            await self._stop()
            raise

    async def close(self) -> None:
        """End the program, by force if it does not end at once; safe to call twice."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            # The end of its stdin ends it. A signal to what has ended by itself makes asyncio warn.
            await self._requests.aclose()
            with anyio.move_on_after(_LEAVE_S):
                await self._process.wait()
            self._kill()
            with anyio.move_on_after(_EXIT_S):
                await self._process.aclose()

    def _kill(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _greet(self) -> None:
        try:
            self.hello = await self._line(Hello)
        except ProcessEndedError as exc:
            raise SpeechUnavailableError("eSpeak NG ended while it started.") from exc
        if self.hello.failed:
            raise SpeechUnavailableError(self.hello.failed)
        if not self.hello.voices:
            raise SpeechUnavailableError("eSpeak NG has no voices.")

    async def _audio(self) -> Audio:
        # Kept until its file is read: a cancelled request is read on from where it was.
        answer = self._answer
        if answer is None:
            answer = self._answer = await self._line(_Answer)
        if answer.id != self._last_id or answer.bytes > _MAX_FILE_BYTES:
            raise ProcessEndedError("It answers what was not asked.")
        file = await self._bytes(answer.bytes)
        self._answer = None
        if answer.failed == "too_long":
            raise SpeechTooLongError("More than half an hour of sound.")
        if answer.failed:
            raise SpeechRefusedError(answer.failed)
        return Audio("audio/wav", file, answer.samples / self.hello.sample_rate)

    async def _stop(self) -> None:
        """Have the running request ended, and read its answer; else end the program."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(STOP_S), suppress(ProcessEndedError):
                await self._send(_Stop(self._last_id))
                with suppress(SpeechRefusedError, SpeechTooLongError):
                    await self._audio()
                return
            self._kill()
            await self.close()

    async def _send(self, message: msgspec.Struct) -> None:
        try:
            await self._requests.send(msgspec.json.encode(message) + b"\n")
        except _GONE as exc:
            raise ProcessEndedError("It reads no more.") from exc

    async def _line(self, form: type[T]) -> T:
        try:
            line = await self._answers.receive_until(b"\n", _MAX_LINE_BYTES)
            return msgspec.json.decode(line, type=form)
        except (*_GONE, msgspec.DecodeError) as exc:
            raise ProcessEndedError("It answers no more.") from exc

    async def _bytes(self, count: int) -> bytes:
        try:
            return await self._answers.receive_exactly(count)
        except _GONE as exc:
            raise ProcessEndedError("It answers no more.") from exc
