"""Speech by eSpeak NG, embedded: no account, no network.

The engine is an optional program part under GPL-3.0-or-later (`streaming.speech.espeak_program`
says more): it is loaded at run time, by a process of its own, and nothing here imports it.
"""

from streaming.speech.espeak.speaker import EspeakSpeaker, espeak_available

__all__ = ["EspeakSpeaker", "espeak_available"]
