"""The seam: what the service asks of its record. MongoDB and SQLite both keep these promises.

Every method answers within the adapter's own deadline or raises `HistoryUnavailableError`; every
write may be repeated with the same arguments without a second effect; nothing of another owner is
ever returned, listed or changed: it is «not found».
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from history.model import (
    Checkpoint,
    Conversation,
    Feedback,
    Idempotency,
    Message,
    NewTurn,
    Page,
    TurnEnd,
    TurnRecord,
    TurnSeal,
)


class Conversations(Protocol):
    """A user's threads."""

    async def create(self, conversation: Conversation) -> Conversation:
        """Store a new, empty conversation; repeating it returns the stored one."""
        ...

    async def get(self, owner_id: str, conversation_id: str) -> Conversation:
        """Return one conversation.

        Raises:
            ConversationNotFoundError: not there, or another owner's.
        """
        ...

    async def list(self, owner_id: str, *, limit: int, cursor: str | None) -> Page[Conversation]:
        """Return a page, most recently updated first. Cost does not grow with the page's depth.

        Raises:
            ValueError: the cursor is not one of ours.
        """
        ...

    async def rename(
        self, owner_id: str, conversation_id: str, title: str, *, if_title: str | None = None
    ) -> Conversation:
        """Set the title and return the conversation; with `if_title`, only where it still reads so.

        Raises:
            ConversationNotFoundError: not there, or another owner's.
        """
        ...

    async def delete(self, owner_id: str, conversation_id: str) -> None:
        """Remove a conversation with its messages, turns and idempotency keys.

        A write of a turn that comes later finds nothing and leaves nothing behind.

        Raises:
            ConversationNotFoundError: not there, or another owner's.
        """
        ...


class Messages(Protocol):
    """What was said, one stored record per message."""

    async def list(
        self, owner_id: str, conversation_id: str, *, limit: int, before: int | None
    ) -> Page[Message]:
        """Return the newest `limit` messages with `seq` < `before`, oldest of them first.

        `Page.next` is the `before` of the page that precedes this one, as a string. Cost does not
        grow with the conversation's length.

        Raises:
            ConversationNotFoundError: not there, or another owner's.
        """
        ...

    async def get(self, owner_id: str, message_id: str) -> Message:
        """Return one message.

        Raises:
            MessageNotFoundError: not there, or another owner's.
        """
        ...

    async def set_feedback(self, owner_id: str, message_id: str, feedback: Feedback) -> Message:
        """Set or replace the feedback on an assistant's message and return the message.

        Raises:
            MessageNotFoundError: not there, another owner's, or not an assistant's.
        """
        ...


class Turns(Protocol):
    """The record of every turn, with its checkpoint while it runs."""

    async def begin(self, turn: NewTurn) -> tuple[TurnRecord, bool]:
        """Store the user's message and a running record (epoch 1, last_seq 0), all or nothing.

        Returns the record, and whether it is this call's own: False means that the idempotency
        key, with the same body, belongs to a turn begun before (in parallel, earlier, or before a
        crash). A call repeated because its answer was lost gets its own turn, and True.
        Two message numbers are taken at once: the user's and the answer's (a retry takes one).

        Raises:
            ConversationNotFoundError: not there, or another owner's.
            TurnNotFoundError: `retry_of` names no turn of this conversation and owner.
            TurnRunningError: another turn of the conversation is running.
            IdempotencyConflictError: the key came with another body within its lifetime.
        """
        ...

    async def begun_with(
        self, owner_id: str, key: Idempotency, *, at: datetime
    ) -> TurnRecord | None:
        """Return the turn that an owner began with a key; None: there is none.

        Raises:
            IdempotencyConflictError: the key came with another body within its lifetime.
        """
        ...

    async def get(self, owner_id: str, turn_id: str) -> TurnRecord:
        """Return one turn's record.

        Raises:
            TurnNotFoundError: not there, or another owner's.
        """
        ...

    async def find(self, turn_id: str) -> TurnRecord:
        """Return one turn's record, whoever owns it: for workers, never for a user's request.

        Raises:
            TurnNotFoundError: not there.
        """
        ...

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> frozenset[str]:
        """Write the partial texts and heartbeats of running turns, all in one round trip.

        One call a second carries all turns of a process: a write each would cost more than the
        tokens. Returns the ids of the turns whose `epoch` no longer holds the record (ended, taken
        over or gone); for those nothing is changed. A higher epoch than the stored one takes the
        record over. Within an epoch the text never shrinks: a checkpoint with a lower `last_seq`
        than the stored one refreshes the heartbeat only.
        """
        ...

    async def end(self, end: TurnEnd) -> TurnRecord:
        """End a running turn once: record, the answer's message, the conversation freed.

        Refused where the stored epoch is above `expected_epoch`: the record, still running, is
        another's. A lower one is accepted: a takeover may end before its first checkpoint.
        Returns the record as stored: the caller's own end, or whichever came first.
        An answer's message is stored for every end, with the turn's status (also an empty text).

        Raises:
            TurnNotFoundError: the turn is gone (its conversation was deleted).
        """
        ...

    async def seal(self, seal: TurnSeal) -> None:
        """Correct an ended turn's last seq, terminal event and speech, once its speech is out.

        Only where the record has ended in the seal's epoch and its last seq is not higher;
        otherwise nothing changes, and nobody is told: store the end first. Nothing but the three is
        touched: not the answer, not the conversation, not the status. A turn that is gone is no
        error.
        """
        ...

    async def find_running(self, *, silent_since: datetime | None) -> Sequence[TurnRecord]:
        """Return running turns whose heartbeat is older than `silent_since` (None: all), ≤ 500."""
        ...


class History(Protocol):
    """The record as a whole. Open it before use; close it once."""

    @property
    def conversations(self) -> Conversations:
        """The threads."""
        ...

    @property
    def messages(self) -> Messages:
        """What was said in them."""
        ...

    @property
    def turns(self) -> Turns:
        """The record of every turn."""
        ...

    async def open(self) -> None:
        """Connect, create tables or indexes, and repair what a crash left half done."""
        ...

    async def sweep(self, now: datetime) -> None:
        """Drop expired idempotency keys and repair ends that a crash left half done."""
        ...

    async def check(self) -> None:
        """Prove that the store answers.

        Raises:
            HistoryUnavailableError: it does not.
        """
        ...

    async def verify_indexes(self) -> list[str]:
        """Return the names of declared indexes that are missing; creates none.

        Raises:
            HistoryUnavailableError: the store did not answer.
        """
        ...

    async def close(self) -> None:
        """Release connections and threads; safe to call twice."""
        ...
