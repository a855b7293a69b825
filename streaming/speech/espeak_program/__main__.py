"""Answers requests on stdin with audio on stdout, one after another, until stdin ends.

Each message is a line of JSON. The first answer comes unasked: `{"version", "sample_rate",
"voices"}`, or `{"failed"}` and the end. A request is `{"id", "text", "voice", "words_per_minute"}`.
Its answer is `{"id", "samples", "bytes"}` and so many bytes of a WAV file, or `{"id", "failed"}`.
While a request runs, `{"stop": id}` ends it with `"failed": "stopped"`.
"""

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import BinaryIO, TypedDict

from streaming.speech.audio import mulaw, wrap_mulaw
from streaming.speech.espeak_program.library import EspeakLibrary, LibraryError

MAX_AUDIO_S = 1800.0
"""Longest sound of a request: three times what 4,800 bytes of digits take at the slowest rate."""

_NICE = 5
_SILENCE = b"\xff" * 441


class Request(TypedDict):
    """What to say."""

    id: int
    text: str
    voice: str
    words_per_minute: int


class Requests:
    """What is asked on stdin, read by a thread so that a stop is seen while the library works."""

    def __init__(self) -> None:
        self._stopped = 0
        # Holds one at most: the next is asked when the last was answered.
        self._waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> Request:
        """Wait for the next request."""
        return self._waiting.get()

    def is_stopped(self, request: Request) -> bool:
        """Whether nobody wants the answer any more."""
        return self._stopped >= request["id"]

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "stop" in message:
                self._stopped = message["stop"]
            else:
                self._waiting.put(message)
        # Whoever asked is gone: nothing is worth finishing, and the library may hang.
        os._exit(0)


def main() -> None:
    """Answer until stdin ends."""
    _be_modest()
    answers = _kept_stdout()
    try:
        library = _loaded()
    except (ImportError, RuntimeError, LibraryError) as exc:
        _answer(answers, {"failed": str(exc)})
        return
    voices = library.voices()
    hello = {"version": library.version, "sample_rate": library.sample_rate, "voices": voices}
    _answer(answers, hello)
    requests = Requests()
    while True:
        request = requests.next()
        _answer(answers, *_spoken(library, request, requests))


def _be_modest() -> None:
    """Yield to the server where the processor is short, and leave no memory image on disk."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on every platform

    with suppress(OSError, ValueError):
        os.nice(_NICE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _kept_stdout() -> BinaryIO:
    """Return stdout for the answers alone; what the library prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _loaded() -> EspeakLibrary:
    import espeakng_loader  # noqa: PLC0415 - an optional package, absence is told to who asked

    return EspeakLibrary(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())


def _spoken(
    library: EspeakLibrary, request: Request, requests: Requests
) -> tuple[dict[str, object], bytes]:
    """Return a request's answer and the file that follows it."""
    pieces: list[bytes] = []
    left = int(MAX_AUDIO_S * library.sample_rate)

    def take(pcm: bytes) -> bool:
        nonlocal left
        pieces.append(mulaw(pcm))
        left -= len(pieces[-1])
        return left > 0 and not requests.is_stopped(request)

    try:
        library.speak(
            request["text"].encode(),
            voice=request["voice"],
            words_per_minute=request["words_per_minute"],
            take=take,
        )
    except LibraryError as exc:
        return {"id": request["id"], "failed": str(exc)}, b""
    if requests.is_stopped(request):
        return {"id": request["id"], "failed": "stopped"}, b""
    if left <= 0:
        return {"id": request["id"], "failed": "too_long"}, b""
    encoded = b"".join(pieces) or _SILENCE
    file = wrap_mulaw(encoded, library.sample_rate)
    return {"id": request["id"], "samples": len(encoded), "bytes": len(file)}, file


def _answer(answers: BinaryIO, message: dict[str, object], file: bytes = b"") -> None:
    answers.write(json.dumps(message).encode() + b"\n" + file)
    answers.flush()


if __name__ == "__main__":
    main()
