"""Histograms that grow from the start of the process, as OTLP sends them.

Our own, as the library takes some 20 microseconds for each value: an answer has hundreds
of gaps.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from server.telemetry import names
from server.telemetry.calls import ModelCall

MAX_POINTS = 500
"""Of one metric; chatbots name their models, and each name is one."""

Attributes = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Point:
    """One histogram: `counts` has a bin more than there are bounds, for what is above all."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    sum: float = 0.0
    least: float = float("inf")
    most: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, values: Iterable[float]) -> None:
        """Add values; a bin holds what is at most its bound."""
        for value in values:
            self.counts[bisect_left(self.bounds, value)] += 1
            self.sum += value
            self.least, self.most = min(self.least, value), max(self.most, value)


class Histograms:
    """All metrics, by name and attributes. Not thread-safe."""

    def __init__(self, provider: str) -> None:
        self._common = ((names.OPERATION_NAME, names.OPERATION), (names.PROVIDER_NAME, provider))
        self._points: dict[str, dict[Attributes, Point]] = {name: {} for name in names.BOUNDS}

    @property
    def points(self) -> Mapping[str, Mapping[Attributes, Point]]:
        """Everything that was added."""
        return self._points

    def add(self, call: ModelCall) -> None:
        """Add what one call tells."""
        model = (*self._common, (names.REQUEST_MODEL, call.model))
        ended = model if call.error_code is None else (*model, (names.ERROR_TYPE, call.error_code))
        self._add(names.CLIENT_DURATION, ended, (call.duration_s,))
        for kind, tokens in (("input", call.input_tokens), ("output", call.output_tokens)):
            if tokens is not None:
                self._add(names.CLIENT_TOKENS, (*model, (names.TOKEN_TYPE, kind)), (tokens,))
        if call.first_chunk_s is None or call.first_token_s is None:
            return
        self._add(names.CLIENT_FIRST_CHUNK, model, (call.first_chunk_s,))
        self._add(names.CLIENT_PER_CHUNK, model, call.gaps_s)
        if call.error_code is None:
            self._add(names.SERVER_FIRST_TOKEN, model, (call.first_token_s,))
        if call.finish_reason is not None and call.output_tokens and call.output_tokens > 1:
            writing_s = max(0.0, call.duration_s - call.first_chunk_s)
            self._add(names.SERVER_PER_TOKEN, model, (writing_s / (call.output_tokens - 1),))

    def _add(self, name: str, attributes: Attributes, values: Iterable[float]) -> None:
        points = self._points[name]
        if attributes not in points and len(points) >= MAX_POINTS:
            attributes = self._common
        point = points.get(attributes)
        if point is None:
            point = points[attributes] = Point(names.BOUNDS[name])
        point.add(values)
