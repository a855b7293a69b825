"""What can go wrong, and how a call asks for it.

By its voice, `en-US-Fault-internal`, or by words of its text, `fault:internal` or
`fault:internal:times=2`: then calls with the same text meet it twice and succeed afterwards.
"""

import re
from dataclasses import dataclass

import grpc

TOO_LONG = (
    "This request contains sentences that are too long. Consider splitting up long sentences with "
    "sentence ending punctuation e.g. periods."
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault; without a status the call goes wrong in a way of its own."""

    about: str
    code: grpc.StatusCode | None = None
    details: str = "The simulator was asked to fail."


_Status = grpc.StatusCode

CATALOGUE: dict[str, Fault] = {
    "unavailable": Fault("UNAVAILABLE", _Status.UNAVAILABLE),
    "exhausted": Fault("RESOURCE_EXHAUSTED, no quota left", _Status.RESOURCE_EXHAUSTED),
    "internal": Fault("INTERNAL", _Status.INTERNAL),
    "aborted": Fault("ABORTED", _Status.ABORTED),
    "cancelled": Fault("CANCELLED, by the server", _Status.CANCELLED),
    "unknown": Fault("UNKNOWN", _Status.UNKNOWN),
    "data-loss": Fault("DATA_LOSS", _Status.DATA_LOSS),
    "deadline": Fault("DEADLINE_EXCEEDED, by the server", _Status.DEADLINE_EXCEEDED),
    "unauthenticated": Fault("UNAUTHENTICATED, no good key", _Status.UNAUTHENTICATED),
    "denied": Fault("PERMISSION_DENIED, API not enabled", _Status.PERMISSION_DENIED),
    "invalid": Fault("INVALID_ARGUMENT", _Status.INVALID_ARGUMENT),
    "not-found": Fault("NOT_FOUND", _Status.NOT_FOUND),
    "precondition": Fault("FAILED_PRECONDITION", _Status.FAILED_PRECONDITION),
    "unimplemented": Fault("UNIMPLEMENTED", _Status.UNIMPLEMENTED),
    "too-long": Fault(
        "INVALID_ARGUMENT, sentences too long, however short", _Status.INVALID_ARGUMENT, TOO_LONG
    ),
    "slow": Fault("audio, `--slow` seconds late"),
    "never": Fault("no answer at all"),
    "empty": Fault("an answer without audio"),
    "garbage": Fault("an answer of bytes that are no audio"),
    "cut": Fault("half of a stream's audio, then ABORTED; a unary call is UNAVAILABLE"),
}

_IN_TEXT = re.compile(r"fault:([a-z]+(?:-[a-z]+)*)(?::times=(\d{1,4}))?")
_IN_VOICE = re.compile(r"^en-US-Fault-([a-z-]+)$")


@dataclass(frozen=True, slots=True)
class Asked:
    """A fault that a call asks for; `times` 0 never heals."""

    name: str
    times: int = 0


def asked_for(text: str, voice: str) -> Asked | None:
    """Return the fault that a call asks for; an unknown name is none."""
    by_voice = _IN_VOICE.match(voice)
    if by_voice is not None and by_voice[1] in CATALOGUE:
        return Asked(by_voice[1])
    by_text = _IN_TEXT.search(text)
    if by_text is not None and by_text[1] in CATALOGUE:
        return Asked(by_text[1], int(by_text[2] or 0))
    return None
