"""Reads a Universal Dependencies treebank as texts with marked sentences.

The file is the user's; none of the public sets is in this repository. A document's text is put
together again from its sentences: a blank between two of a paragraph (none where the treebank says
so), a blank line between paragraphs.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.gold import GoldText, Unit


def load(path: Path, language: str) -> list[GoldText]:
    """Return one text a document."""
    documents: list[_Document] = []
    for comments, last_token in _sentences(path):
        if "newdoc" in comments or not documents:
            documents.append(_Document())
        documents[-1].add(
            comments["text"].strip(),
            new_paragraph="newpar" in comments,
            glued="SpaceAfter=No" in last_token,
        )
    return [
        GoldText(f"{path.stem}-{number}", language, "file", document.text, tuple(document.units))
        for number, document in enumerate(documents, 1)
    ]


class _Document:
    def __init__(self) -> None:
        self.text = ""
        self.units: list[Unit] = []
        self._glued = False

    def add(self, sentence: str, *, new_paragraph: bool, glued: bool) -> None:
        if self.units:
            self.text += "\n\n" if new_paragraph else ("" if self._glued else " ")
        self.text += sentence
        self.units.append(Unit(sentence, "text"))
        self._glued = glued


def _sentences(path: Path) -> Iterator[tuple[dict[str, str], str]]:
    """Yield each sentence's comments and the last column of its last token."""
    comments: dict[str, str] = {}
    last = ""
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("#"):
            name, _, value = line[1:].partition("=")
            comments[name.split()[0]] = value
        elif line.strip():
            last = line.rsplit("\t", 1)[-1]
        elif comments:
            yield comments, last
            comments = {}
