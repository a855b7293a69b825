"""Why a unit of speech could not be made. `code` travels in `speech.failed`.

SpeechError
├── SpeechUnavailableError  the engine is unreachable, overloaded or out of quota (retryable)
├── SpeechTimeoutError      nothing in time                                       (retryable)
├── SpeechRefusedError      the engine accepts not the key, the voice or the request
├── SpeechTooLongError      the engine wants shorter sentences: split and try once more
├── SpeechSpentError        the day's seconds of whom it is for are spent
└── SpeechOffError          there is no engine
"""

from typing import ClassVar

from streaming.errors import StreamingError


class SpeechError(StreamingError):
    """An engine could not speak. `detail` is safe to log: nothing of the text."""

    code: ClassVar[str] = "speech_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class SpeechUnavailableError(SpeechError):
    """The engine could not be reached, is overloaded, or its quota is used up."""

    code = "speech_unavailable"
    retryable = True


class SpeechTimeoutError(SpeechError):
    """The engine did not answer in time."""

    code = "speech_timeout"
    retryable = True


class SpeechRefusedError(SpeechError):
    """The engine accepts not the key, the voice or the request; asking again will not help."""

    code = "speech_refused"


class SpeechTooLongError(SpeechError):
    """The engine wants shorter sentences; the same words in shorter ones may do."""

    code = "speech_too_long"


class SpeechSpentError(SpeechError):
    """As much audio was made for them today as may be; tomorrow (UTC) there is more."""

    code = "speech_budget_spent"

    def __init__(self) -> None:
        super().__init__("The day's seconds of speech are spent.")


class SpeechOffError(SpeechError):
    """There is no engine: `TTS_ENGINE=off`, or none could be found."""

    code = "speech_off"

    def __init__(self) -> None:
        super().__init__("No speech engine; set TTS_ENGINE.")
