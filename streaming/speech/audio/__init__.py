"""Audio files: WAV made of bare samples, and how long a file of an engine plays.

Standard library only. Not a decoder: durations are counted from headers, in time linear in the
file, and a damaged file gives what its whole parts hold or a ValueError, never anything else.
"""

from streaming.speech.audio.mp3 import mp3_duration_s
from streaming.speech.audio.ogg import opus_duration_s
from streaming.speech.audio.wav import mulaw, mulaw_wav, pcm_wav, wav_duration_s, wrap_mulaw

__all__ = ["duration_s", "mulaw", "mulaw_wav", "pcm_wav", "wrap_mulaw"]


def duration_s(media_type: str, data: bytes) -> float:
    """Return how many seconds a whole file plays.

    Args:
        media_type: `audio/wav` (PCM, float, mu-law or A-law), `audio/ogg` (Opus), `audio/mpeg`.
        data: The file.

    Raises:
        ValueError: it is no such file.
    """
    match media_type:
        case "audio/wav":
            return wav_duration_s(data)
        case "audio/ogg":
            return opus_duration_s(data)
        case "audio/mpeg":
            return mp3_duration_s(data)
        case _:
            raise ValueError(f"No audio that we know: {media_type}.")
