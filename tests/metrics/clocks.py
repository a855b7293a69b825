"""A clock that stands still until it is moved."""


class FakeClock:
    """Seconds, monotonic or since 1970, that move when told."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
