"""Whether anybody listens, and how far they are. Pure: the caller tells the time.

Nothing is made for nobody, and not much more than will be heard soon: an answer that is stopped
half way should not have been spoken to its end.
"""

PLAYING_S = 10.0
"""A playback report this young stands for a reader: a page may fetch its audio by address."""

_SAME_S = 0.05
"""What rounding may make of one length of audio."""


class Audience:
    """The readers of one turn and what they reported.

    Args:
        now: Monotonic seconds, as in all calls.
    """

    __slots__ = ("_buffered_s", "_dry_at", "_played_s", "_readers", "_reported_at", "_seen_at")

    def __init__(self, now: float) -> None:
        self._readers = 0
        self._seen_at = now
        self._reported_at: float | None = None
        self._played_s = 0.0
        self._buffered_s = 0.0
        self._dry_at = now

    def joined(self) -> None:
        """Count a reader."""
        self._readers += 1

    def left(self, now: float) -> None:
        """Count a reader out."""
        self._readers -= 1
        self._seen_at = now

    def reported(self, now: float, *, played_s: float, buffered_s: float) -> None:
        """Note how much audio has been played, and how much waits to be. The last report counts."""
        had_s = self._played_s + self._buffered_s
        if self._reported_at is None or abs(played_s + buffered_s - had_s) > _SAME_S:
            self._dry_at = now + buffered_s
        else:  # nothing has come since: it ran dry, or will, when it was first known to
            self._dry_at = min(self._dry_at, now + buffered_s)
        self._seen_at = self._reported_at = now
        self._played_s = played_s
        self._buffered_s = buffered_s

    def dry_s(self, now: float, out_s: float) -> float:
        """Return for how long all of `out_s` seconds of audio have been played; 0: unknown, too."""
        has_all = self._played_s + self._buffered_s >= out_s - _SAME_S
        if self._reported_at is None or not has_all:
            return 0.0
        return max(0.0, now - self._dry_at)

    def absent_s(self, now: float) -> float:
        """Return for how long nobody has read or reported; 0 while somebody reads."""
        return 0.0 if self._readers > 0 else max(0.0, now - self._seen_at)

    def is_listening(self, now: float) -> bool:
        """Whether audio made now would find somebody."""
        if self._readers > 0:
            return True
        return self._reported_at is not None and now - self._reported_at < PLAYING_S

    def unplayed_s(self, now: float, out_s: float) -> float | None:
        """Return how much of `out_s` seconds of audio is still to be played; None: not reported.

        Between two reports playback is taken to go on, as far as the buffer of the last one.
        """
        if self._reported_at is None:
            return None
        played_s = self._played_s + min(now - self._reported_at, self._buffered_s)
        return max(0.0, out_s - played_s)
