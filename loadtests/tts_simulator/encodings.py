"""The audio of a text in each of the encodings, whole and in the pieces of a stream."""

from collections.abc import Callable

from google.cloud import texttospeech_v1 as tts

from loadtests.tts_simulator import opus, waves

_CHUNK_BYTES = 12_000  # a quarter of a second of PCM


def name_of(encoding: int) -> str:
    """Return the name of an encoding's number; one that is not known is its number."""
    try:
        return str(tts.AudioEncoding(encoding).name)
    except ValueError:
        return str(encoding)


def ogg_pages(text: str, duration_s: float) -> list[bytes]:
    """Return an Ogg file by pages; its comment tells it from that of another text."""
    return list(opus.ogg_pages(duration_s, f"DIGEST={waves.digest_of(text)}"))


def chunks(text: str, duration_s: float, encoding: str) -> list[bytes]:
    """Return the audio of a stream, in pieces."""
    if encoding == "OGG_OPUS":
        return ogg_pages(text, duration_s)
    audio = STREAMED[encoding](text, duration_s)
    return [audio[at : at + _CHUNK_BYTES] for at in range(0, len(audio), _CHUNK_BYTES)]


def _ogg(text: str, duration_s: float) -> bytes:
    return b"".join(ogg_pages(text, duration_s))


def _mp3(_text: str, duration_s: float) -> bytes:
    return waves.mp3(duration_s)


WHOLE: dict[str, Callable[[str, float], bytes]] = {
    "LINEAR16": waves.wav,
    "MULAW": waves.mulaw_wav,
    "PCM": waves.pcm,
    "MP3": _mp3,
    "OGG_OPUS": _ogg,
}

STREAMED: dict[str, Callable[[str, float], bytes]] = {
    "PCM": waves.pcm,
    "MULAW": waves.mulaw,
    "OGG_OPUS": _ogg,
}
