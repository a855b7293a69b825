"""Speech by Google Cloud Text-to-Speech.

The client package costs about 0.3 s and 50 MB to import: only `calls` and `keys` do, and `speaker`
loads them in a thread when it first speaks. Nothing of what is spoken, and no word of Google's
about it, leaves this package in a message or a log.
"""

from streaming.speech.google.access import credentials_fault
from streaming.speech.google.speaker import GoogleSpeaker

__all__ = ["GoogleSpeaker", "credentials_fault"]
