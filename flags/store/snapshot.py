"""Rulesets in files: the last one known, for a start without the store; and hand-written ones.

These functions block; the caller runs them in a thread.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar, cast

from flags.codec import read_flag, read_segment, unversioned
from flags.errors import FlagInvalidError, FlagStoreError
from flags.model import Ruleset
from flags.store.definitions import read_ruleset, stored
from flags.store.sealed import read_sealed, write_sealed

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Content:
    version: int
    definitions: dict[str, str] = field(default_factory=dict)


def write_snapshot(path: Path, ruleset: Ruleset) -> None:
    """Keep a ruleset in a file, in the place of what is there.

    Raises:
        FlagStoreUnavailableError: it cannot be written; what was there is whole.
    """
    write_sealed(path, {"version": ruleset.version, "definitions": stored(ruleset)})


def read_snapshot(path: Path) -> Ruleset | None:
    """Return the ruleset kept in a file; None where there is no file.

    A definition that cannot be read is logged and left out.

    Raises:
        FlagStoreDamagedError: the file is not as it was written.
        FlagStoreUnavailableError: it cannot be read.
    """
    content = read_sealed(path, _Content)
    if content is None:
        return None
    return read_ruleset(content.version, content.definitions.items())


def read_bootstrap(path: Path) -> Ruleset:
    """Return the ruleset of a document that people write: `{"flags": {…}, "segments": {…}}`.

    Its definitions are as in the API, their versions are not taken over. What they mean is not
    checked here.

    Raises:
        FlagInvalidError: with the place of the first fault of form.
        FlagStoreError: the file cannot be read.
    """
    document = _document(path)
    for name in document.keys() - {"flags", "segments"}:
        raise FlagInvalidError(name[:100], "is not a known field")
    return Ruleset(
        flags=_definitions(document, "flags", read_flag),
        segments=_definitions(document, "segments", read_segment),
    )


def _document(path: Path) -> Mapping[str, object]:
    try:
        # Editors on Windows begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except OSError as error:
        raise FlagStoreError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FlagInvalidError(str(path), f"is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise FlagInvalidError(str(path), "is not a JSON object")
    return document


def _definitions(
    document: Mapping[str, object], kind: str, read: Callable[..., _T]
) -> dict[str, _T]:
    definitions = document.get(kind, {})
    if not isinstance(definitions, dict):
        raise FlagInvalidError(kind, "is not an object of definitions by name")
    return {
        name: _definition(f"{kind}.{name[:100]}", name, definition, read)
        for name, definition in definitions.items()
    }


def _definition(place: str, name: str, definition: object, read: Callable[..., _T]) -> _T:
    if not isinstance(definition, dict):
        raise FlagInvalidError(place, "is not an object")
    try:
        return read(unversioned(cast("Mapping[str, object]", definition)), name, strict=True)
    except FlagInvalidError as error:
        path = f"{place}.{error.path}" if error.path else place
        raise FlagInvalidError(path, error.reason) from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse what JSON lets through and no reader sees: a name that stands twice."""
    seen: dict[str, object] = {}
    for name, value in pairs:
        if name in seen:
            raise FlagInvalidError(name[:100], "stands twice in one object")
        seen[name] = value
    return seen


def _refuse_constant(name: str) -> NoReturn:
    raise FlagInvalidError("", f"{name} is not a number of JSON")
