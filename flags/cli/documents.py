"""Commands that read or write whole definitions: files, standard input and output."""

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn

from anyio import to_thread

from flags.changes.validation import check_key
from flags.cli import shown
from flags.cli.invocation import Invocation, RefusedError
from flags.cli.output import Answer, as_json
from flags.codec import flag_json
from flags.errors import FlagStoreError
from flags.model import Ruleset
from flags.store.snapshot import read_bootstrap

STANDARD = "-"
MAX_BYTES = 16_777_216
"""A document of the most flags that are kept, each with long lists, is smaller."""

_STANDARD_INPUT = Path("/dev/stdin")
_CODE = "file_unusable"


async def put(invocation: Invocation) -> Answer:
    """Create a flag or replace its definition."""
    arguments = invocation.arguments
    check_key(arguments.key)
    before = (await invocation.read()).flags.get(arguments.key)
    _make_folder(invocation)
    flag = await invocation.editor.put_flag(
        arguments.key, arguments.given, invocation.request(if_version=arguments.if_version)
    )
    said = "created" if before is None else "replaced"
    if before is not None and before.version == flag.version:
        said = "as it was"
    text = f"{flag.key} is {said} (version {flag.version}).\n{shown.flag_page(flag)}"
    return Answer(flag_json(flag), text)


async def import_document(invocation: Invocation) -> Answer:
    """Create or replace all that a document has; what it has not stays."""
    other: Ruleset = invocation.arguments.given
    before = await invocation.read()
    _make_folder(invocation)
    await invocation.editor.take_in(other, invocation.request())
    after = await invocation.read()
    flags = [key for key in sorted(other.flags) if before.flags.get(key) != after.flags.get(key)]
    segments = [
        name
        for name in sorted(other.segments)
        if before.segments.get(name) != after.segments.get(name)
    ]
    text = _imported("flags", flags, len(other.flags))
    text += _imported("segments", segments, len(other.segments))
    return Answer({"version": after.version, "flags": flags, "segments": segments}, text)


async def export_document(invocation: Invocation) -> Answer:
    """Write everything as a document that `import` and the service's bootstrap read."""
    ruleset = await invocation.read()
    document = shown.document(ruleset)
    destination: str = invocation.arguments.destination
    if destination == STANDARD:
        return Answer(document, as_json(document))
    path = Path(destination)
    if invocation.place.path is not None and _is_same(path, invocation.place.path):
        raise RefusedError(
            _CODE, f"{path} is where the flags themselves are kept: name another file."
        )
    await to_thread.run_sync(partial(_write, path, as_json(document)))
    flags, segments = len(ruleset.flags), len(ruleset.segments)
    return Answer(
        {"file": destination, "flags": flags, "segments": segments},
        f"{flags} flags and {segments} segments are in {destination}.\n",
    )


def read_definition(source: str) -> Mapping[str, object]:
    """Return a flag's definition; blocks, for standard input may be a person who types.

    Raises:
        RefusedError: there is no such file, or it is no JSON object.
    """
    try:
        text = _read(source).decode("utf-8-sig")
        definition = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RefusedError("flag_invalid", f"{_named(source)} is not JSON: {error}.") from None
    if not isinstance(definition, dict):
        raise RefusedError("flag_invalid", f"{_named(source)} is not a JSON object.")
    return definition


def read_document(source: str) -> Ruleset:
    """Return the flags and segments of a document; blocks, as `read_definition`.

    Raises:
        RefusedError: the file cannot be read.
        FlagInvalidError: with the place of the first fault of form.
    """
    try:
        return read_bootstrap(_STANDARD_INPUT if source == STANDARD else Path(source))
    except FlagStoreError as error:
        raise RefusedError(_CODE, f"{error}.") from None


def _read(source: str) -> bytes:
    try:
        with (_STANDARD_INPUT if source == STANDARD else Path(source)).open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise _unusable(source, error) from None


def _write(path: Path, text: str) -> None:
    """Put a text in the place of what is there, whole or not at all; devices are written to."""
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        path = path.resolve()
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(str(path), error) from None


def _make_folder(invocation: Invocation) -> None:
    """Make DATA_DIR, as the service does; a folder that somebody names has to be there."""
    path = invocation.place.path
    if path is None or path.parent.is_dir():
        return
    if not invocation.place.is_default:
        raise RefusedError(_CODE, f"There is no folder {path.parent}: make it, or name another.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(str(path.parent), error) from None


def _imported(what: str, changed: list[str], count: int) -> str:
    names = f": {', '.join(changed)}" if changed else ""
    return f"{len(changed)} of {count} {what} changed{names}.\n"


def _unusable(name: str, error: OSError) -> RefusedError:
    return RefusedError(_CODE, f"{_named(name)}: {error.strerror or error}.")


def _named(source: str) -> str:
    return "Standard input" if source == STANDARD else source


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse what JSON lets through and no reader sees: a name that stands twice."""
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return named


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
