"""The file of an installation's settings and secrets: `NAME=value` a line, for nobody else."""

import re
import stat
from pathlib import Path

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=([^\0]*)")
_PLAIN = re.compile(r"""'[^'\\]*'|"[^"\\]*"|(?!['"])(?:(?!\s#).)*""")
"""Without comments or escapes; other readers of such files know those, and `${NAME}`."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class EnvironmentFileError(Exception):
    """The file cannot be used; the message says what to do, and shows no value."""


def read_environment(path: Path) -> dict[str, str]:
    """Return what the file sets. Nothing in it is expanded or run.

    A value may stand between quotes; empty lines and those that begin with # are skipped.

    Raises:
        EnvironmentFileError: it cannot be read, others can read it, or a line is no setting, or
            one that other programs would read otherwise.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"Cannot read {path} ({error}); see --environment.") from None
    if mode & _OTHERS:
        raise EnvironmentFileError(f"Others may read {path}; run: chmod 600 {path}")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (match := _LINE.fullmatch(line.strip())) is None:
            raise EnvironmentFileError(f"Line {number} of {path} is no NAME=value; correct it.")
        value = match[2].strip()
        if _PLAIN.fullmatch(value) is None or "${" in value:
            raise EnvironmentFileError(
                f"Line {number} of {path}: take a value without ${{, or put it between quotes,"
                " with no backslash and no comment: programs read it differently."
            )
        found[match[1]] = _unquoted(value)
    if not Path(found.get("DATA_DIR", "")).is_absolute():
        raise EnvironmentFileError(f"Set DATA_DIR in {path} to an absolute path.")
    return found


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
