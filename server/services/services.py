"""What routes and plans may use: one value, made once."""

from dataclasses import dataclass
from pathlib import Path

from accounts.base import Accounts
from accounts.passwords import PasswordHasher
from chatbots.base import Chatbots
from history.base import History
from metrics.archive.base import Archive
from metrics.turns import TurnMetrics
from resilience.breaker import Breaker
from server.auth.credentials import Credentials
from server.auth.failed_tries import FailedTries
from server.auth.guests import Guests
from server.auth.operator_sessions import OperatorSessions
from server.auth.sign_in import SignIn
from server.limits.limits import Limits
from server.operator_streams import OperatorStreams
from server.readers import Readers
from server.services.figures import Figures
from server.services.flags import Flags
from server.services.rollouts import Rollouts
from server.services.sign_in_provider import SignInProvider
from server.settings import Settings
from streaming.event_log.base import EventLog, Leases
from streaming.keeper import RecordKeeper
from streaming.llm.chain import SourceChain
from streaming.moderation.checks import Checks
from streaming.runner import TurnRunner
from streaming.speech.turn_speech import Studio

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, or where the packages are installed."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may use."""

    settings: Settings
    history: History
    history_breaker: Breaker | None
    chatbots: Chatbots
    accounts: Accounts
    passwords: PasswordHasher
    event_log: EventLog
    leases: Leases | None
    redis_breaker: Breaker | None
    sources: SourceChain
    studio: Studio
    checks: Checks | None
    limits: Limits
    metrics: TurnMetrics
    figures: Figures
    flags: Flags
    rollouts: Rollouts
    keeper: RecordKeeper
    runner: TurnRunner
    readers: Readers
    guests: Guests
    sign_in: SignIn
    credentials: Credentials
    operator_sessions: OperatorSessions
    operator_streams: OperatorStreams
    failed_sign_ins: FailedTries
    sign_in_provider: SignInProvider | None
    worker_id: str

    @property
    def archive(self) -> Archive:
        """Figures of the last weeks."""
        return self.figures.archive

    @property
    def model_kind(self) -> str:
        """What answers are asked of first."""
        return "offline" if self.settings.is_offline else "openai"

    @property
    def history_kind(self) -> str:
        """Which store was chosen."""
        return "sqlite" if self.settings.mongodb_uri is None else "mongodb"
