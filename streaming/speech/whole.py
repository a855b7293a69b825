"""The units of a text that is complete: what a live turn's speech comes to, without its haste."""

from streaming.languages import guess_language
from streaming.sentences import Sentence, SentenceSplitter
from streaming.speech.spoken import SpokenText
from streaming.speech.units import Unit, UnitPlanner


def sentences_of(text: str, language: str = "") -> list[Sentence]:
    """Return the sentences of a text; the same as those of a turn that streamed it."""
    splitter = SentenceSplitter(language)
    return [*splitter.push(text), *splitter.flush()]


def complete_sentences_of(text: str, language: str = "") -> list[Sentence]:
    """Return the sentences of a text that broke off, without the one that it broke off in."""
    return SentenceSplitter(language).push(text)


def units_of(text: str, language: str = "") -> list[Unit]:
    """Return what is said of a text, in order. Pure; linear, some milliseconds a page."""
    spoken = SpokenText(language or guess_language(text))
    planner = UnitPlanner(spoken.say, lambda start, end: text[start:end])
    for index, sentence in enumerate(sentences_of(text, language)):
        planner.add(index, sentence)
    units: list[Unit] = []
    while (unit := planner.next(joined=False)) is not None:
        units.append(unit)
    return units
