"""What is said of an answer: what is shown is not what is spoken."""

from streaming.speech.spoken.text import SpokenText

__all__ = ["SpokenText"]
