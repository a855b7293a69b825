"""How audio lies in the cache: under which key, in which form."""

import hashlib
import math

import anyio
import msgspec

from streaming.cache.base import Cache
from streaming.speech.base import Audio, Utterance

FORMAT = "1"
"""Version of the value's form; part of the key, so that no release reads another form."""

PATIENCE_S = 0.25
"""A cache that takes longer than this to answer is slower than many an engine: go on without."""

_decoder = msgspec.msgpack.Decoder(Audio)
_encoder = msgspec.msgpack.Encoder()


def audio_key(engine: str, identity: str, utterance: Utterance) -> str:
    """Return a key that is equal only for what sounds the same; it tells nothing of the text."""
    digest = hashlib.sha256()
    fields = (FORMAT, engine, identity, utterance.voice, utterance.language, utterance.text)
    for field in fields:
        data = field.encode(errors="surrogatepass")
        digest.update(len(data).to_bytes(4, "big"))  # else ("ab", "c") would be ("a", "bc")
        digest.update(data)
    return digest.hexdigest()


class AudioCache:
    """Audio in a cache of bytes. What cannot be read counts as not there; never raises."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def find(self, key: str) -> Audio | None:
        """Return the audio under a key, or None: not there, broken, or not told in time."""
        with anyio.move_on_after(PATIENCE_S):
            value = await self._cache.get(key)
            return None if value is None else _decoded(value)
        return None

    async def keep(self, key: str, audio: Audio) -> None:
        """Keep audio where the cache takes it in time."""
        with anyio.move_on_after(PATIENCE_S):
            await self._cache.put(key, _encoder.encode(audio))


def _decoded(value: bytes) -> Audio | None:
    try:
        audio = _decoder.decode(value)
    except msgspec.DecodeError:
        return None
    is_whole = audio.data and math.isfinite(audio.duration_s) and audio.duration_s >= 0
    return audio if is_whole else None
