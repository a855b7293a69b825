"""Everything that can go wrong with the record.

HistoryError
├── ConversationNotFoundError   no such conversation for this owner
├── TurnNotFoundError           no such turn for this owner
├── MessageNotFoundError        no such message for this owner
├── TurnRunningError            the conversation already has a turn that writes text
├── IdempotencyConflictError    the key was used with another body
└── HistoryUnavailableError     the store did not answer in time; nothing is known to be written
"""

from typing import ClassVar


class HistoryError(Exception):
    """Base of all errors of the record; `code` is stable and goes on the wire."""

    code: ClassVar[str] = "history_error"
    retryable: ClassVar[bool] = False


class ConversationNotFoundError(HistoryError):
    """No such conversation for this owner (also when another owner has it)."""

    code = "conversation_not_found"


class TurnNotFoundError(HistoryError):
    """No such turn for this owner."""

    code = "turn_not_found"


class MessageNotFoundError(HistoryError):
    """No such message for this owner."""

    code = "message_not_found"


class TurnRunningError(HistoryError):
    """The conversation has a turn that is still writing text."""

    code = "turn_running"

    def __init__(self, turn_id: str) -> None:
        super().__init__(turn_id)
        self.turn_id = turn_id


class IdempotencyConflictError(HistoryError):
    """The idempotency key was used with another body within its lifetime."""

    code = "idempotency_conflict"

    def __init__(self, turn_id: str) -> None:
        super().__init__(turn_id)
        self.turn_id = turn_id


class HistoryUnavailableError(HistoryError):
    """The store did not answer within its deadline; the write may or may not have happened.

    Every write of the seam is idempotent: repeat it.
    """

    code = "history_unavailable"
    retryable = True
