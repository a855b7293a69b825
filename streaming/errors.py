"""Everything that can go wrong while a turn is produced or read.

StreamingError
├── SourceError                 the token source failed; `code` travels in `turn.failed`
│   ├── SourceUnavailableError      could not be reached, or answered 5xx       (retryable)
│   ├── SourceRateLimitedError      429; `retry_after_s` where it was told       (retryable)
│   ├── SourceRefusedError          4xx: key, model or request not accepted
│   ├── SourceTimeoutError          nothing in time; `phase` says which wait     (retryable)
│   ├── SourceTruncatedError        ended or broke before a finish reason        (retryable)
│   ├── SourceProtocolError         not the protocol: HTML, bad JSON, bad UTF-8  (retryable)
│   ├── SourceReportedError         an error inside the stream                   (retryable)
│   └── SourceFilteredError         the provider's content filter ended the answer
├── CursorLostError             the entry after the cursor is not to be had: send a reset
├── CursorMalformedError        the cursor is not one of ours, or of another turn
├── LogNotFoundError            no log is held for the turn
├── LogUnavailableError         the shared log cannot be reached now              (retryable)
├── SpecificationError          a turn that was taken over cannot be specified anew (retryable)
│   └── SpecificationLostError      nor ever again: what it needs is gone
├── ModerationUnavailableError  nobody can say now whether a text may be said   (retryable)
├── DrainingError               this process takes no new turns                  (retryable)
└── BusyError                   as many turns run here as may                    (retryable)
"""

from typing import ClassVar, Literal

ModerationFault = Literal["timeout", "open", "unreachable", "limited", "refused", "protocol"]
"""Why a moderator cannot judge; «open»: its breaker is, so it was not asked."""

Phase = Literal["connect", "first_token", "inter_token", "turn"]


class StreamingError(Exception):
    """Base of the package's errors; `code` is stable: wire, logs and metrics."""

    code: ClassVar[str] = "streaming_error"
    retryable: ClassVar[bool] = False


class SourceError(StreamingError):
    """The token source failed. `detail` is safe to show: nothing of the upstream's body."""

    code: ClassVar[str] = "upstream_error"
    retryable = True

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class SourceUnavailableError(SourceError):
    """The upstream could not be reached or answered 5xx."""

    code = "upstream_unavailable"


class SourceRateLimitedError(SourceError):
    """The upstream answered 429."""

    code = "upstream_rate_limited"


class SourceRefusedError(SourceError):
    """The upstream accepts not the key, the model or the request; asking again will not help."""

    code = "upstream_refused"
    retryable = False


class SourceTimeoutError(SourceError):
    """Nothing came in time."""

    code = "upstream_timeout"

    def __init__(self, phase: Phase, limit_s: float) -> None:
        super().__init__(f"No {_AWAITED[phase]} within {limit_s:g} s.")
        self.phase = phase


_AWAITED: dict[Phase, str] = {
    "connect": "connection",
    "first_token": "first token",
    "inter_token": "further token",
    "turn": "end of the answer",
}


class SourceTruncatedError(SourceError):
    """The stream ended or broke before the model gave a finish reason."""

    code = "upstream_truncated"


class SourceProtocolError(SourceError):
    """What came is not the protocol."""

    code = "upstream_protocol"


class SourceReportedError(SourceError):
    """The upstream reported an error inside its stream."""

    code = "upstream_reported"


class SourceFilteredError(SourceError):
    """The provider's content filter ended the answer."""

    code = "upstream_filtered"
    retryable = False


class CursorLostError(StreamingError):
    """The entry after the cursor cannot be had, or the cursor's epoch did not write its entry."""

    code = "cursor_lost"


class CursorMalformedError(StreamingError):
    """The cursor is not of the form `<turn_id>.<epoch>-<seq>`, or names another turn."""

    code = "cursor_malformed"


class LogNotFoundError(StreamingError):
    """No log is held for the turn: it expired or was never here. The record has the state."""

    code = "log_not_found"


class LogUnavailableError(StreamingError):
    """The shared log cannot be reached now; what is produced here goes on."""

    code = "log_unavailable"
    retryable = True


class SpecificationError(StreamingError):
    """A turn that was taken over cannot be specified anew now; the message is a code."""

    code = "specification_unavailable"
    retryable = True


class SpecificationLostError(SpecificationError):
    """What the turn needs to be gone on with is gone: it can only be ended."""

    code = "specification_lost"
    retryable = False


class ModerationUnavailableError(StreamingError):
    """Whether a text may be said cannot be found out now."""

    code = "moderation_unavailable"
    retryable = True

    def __init__(self, reason: ModerationFault) -> None:
        super().__init__(reason)
        self.reason: ModerationFault = reason


class DrainingError(StreamingError):
    """This process is shutting down and takes no new turns; try again elsewhere or in a moment."""

    code = "draining"
    retryable = True


class BusyError(StreamingError):
    """As many turns run in this process as may; try again in a moment."""

    code = "server_busy"
    retryable = True
