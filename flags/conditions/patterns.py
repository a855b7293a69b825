"""Regular expressions that cannot hold up the event loop, whatever the pattern and the text."""

import re2

from flags.conditions.place import Place, Test

MAX_PATTERN_CHARS = 500

MAX_SUBJECT_CHARS = 1_000
"""A long address or user agent; what is longer is undecided."""

MAX_PROGRAM = 2_500
"""Instructions of all patterns of one condition; a usual one has 20 to 100.

RE2 takes at worst about 9 ns per instruction and byte of text, so 20 ms for a text of
`MAX_SUBJECT_CHARS` and patterns made to be slow. Unbounded counts, as in x{1,999}, take seconds.
"""

_MAX_MEMORY_BYTES = 1 << 18


def pattern_test(operand: object, place: Place, *, wanted: bool, ignore_case: bool) -> Test:
    """Return what says whether a text matches, or does not where that is wanted.

    What is no text matches nothing.

    Raises:
        ConditionError: not a pattern of RE2's, too long, or too large.
    """
    search = _compiled(operand, place, ignore_case=ignore_case).search
    doubt = place.doubt

    def test(value: object) -> bool:
        if not isinstance(value, str):
            return not wanted
        if len(value) > MAX_SUBJECT_CHARS:
            return doubt
        return (search(value.encode("utf-8", "surrogatepass")) is not None) is wanted

    return test


def _compiled(operand: object, place: Place, *, ignore_case: bool) -> "re2._Regexp":
    if not isinstance(operand, str):
        raise place.fault("takes a pattern as a string")
    if len(operand) > MAX_PATTERN_CHARS:
        raise place.fault(f"takes a pattern of at most {MAX_PATTERN_CHARS} characters")
    try:
        pattern = re2.compile(operand.encode(), _options(ignore_case=ignore_case))
    except (re2.error, UnicodeEncodeError) as error:
        raise place.fault(
            f"is not a pattern that RE2 takes ({_detail(error)}); see its syntax"
        ) from None
    place.scope.program_left -= pattern.programsize
    if place.scope.program_left < 0:
        raise place.fault(
            "makes this condition's patterns too large; use smaller counts than in x{1,99}"
        )
    return pattern


def _options(*, ignore_case: bool) -> re2.Options:
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = _MAX_MEMORY_BYTES
    options.never_capture = True
    return options


def _detail(error: Exception) -> str:
    cause = error.args[0] if error.args else ""
    return cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
