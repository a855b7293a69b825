"""Several models behind one another: who answers, and who goes on where one fails."""

from streaming.llm.chain.guarded import (
    GuardedSource,
    SourceHealth,
    SourceKind,
    SourceName,
    watched_breaker,
)
from streaming.llm.chain.sources import SourceChain
from streaming.llm.chain.stand_in import NOTICE, StandIn

__all__ = [
    "NOTICE",
    "GuardedSource",
    "SourceChain",
    "SourceHealth",
    "SourceKind",
    "SourceName",
    "StandIn",
    "watched_breaker",
]
