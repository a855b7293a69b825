"""A user's message before it becomes a turn: may it be asked of this chatbot."""

from server.errors import ProblemError
from server.services import Services
from streaming.moderation.base import Policy
from streaming.moderation.checks import Asker
from streaming.turn import TurnSpec

BLOCKED = "This message may not be sent to this chatbot; put it another way."
UNAVAILABLE = "The message cannot be checked now, and is not sent; try again in a moment."
NOBODY_JUDGES = (
    "needs somebody who judges: set MODERATION_WORDS_FILE, OPENAI_API_KEY or MODERATION_BASE_URL"
)


async def moderate_question(services: Services, spec: TurnSpec, question: str) -> None:
    """Return if a turn may ask this; only `block` is waited for, and nothing is stored.

    Under `flag` the message is checked beside the answer (`Gate.ask_about`).

    Raises:
        ProblemError: 422, it may not be said; 503, nobody can tell now.
    """
    checks = services.checks
    if checks is None or spec.moderation != "block":
        return
    (verdict,) = await checks.judge(Asker(spec.turn_id, "block"), "input", [question])
    if checks.may_pass(verdict):
        return
    if verdict is None:
        raise ProblemError(503, "moderation_unavailable", UNAVAILABLE)
    errors = [{"field": "message", "message": "may not be sent to this chatbot"}]
    raise ProblemError(422, "message_blocked", BLOCKED, errors=errors)


def check_policy(services: Services, policy: Policy) -> None:
    """Refuse a policy that nobody could carry out: each message would be refused.

    Raises:
        ProblemError: 422, there is no moderator.
    """
    checks = services.checks
    if policy != "off" and checks is not None and not checks.can_judge:
        errors = [{"field": "moderation", "message": NOBODY_JUDGES}]
        raise ProblemError(422, "invalid", f"moderation {NOBODY_JUDGES}.", errors=errors)
