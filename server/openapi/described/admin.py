"""The operators' page: signing in and out with the operators' token, and its live figures."""

from server.openapi.answers.events import OPERATORS_EVENTS
from server.openapi.answers.operators import OperatorsCookie, OperatorsSession
from server.openapi.describing import Answer, Doc, Tag

SIGN_IN = Doc(
    Tag.OPERATORS,
    summary="Get a cookie for the operators' token",
    answers={200: Answer("Signed in, for 8 h.", OperatorsCookie)},
    problems={401: ("wrong_token",), 429: ("too_many_tries",)},
    example={"token": "the operators' token"},
)
SESSION = Doc(
    Tag.OPERATORS,
    answers={200: Answer("Whether, and until when.", OperatorsSession)},
)
SIGN_OUT = Doc(
    Tag.OPERATORS,
    summary="Take the operators' cookie back",
    answers={204: Answer("This browser has none now.")},
)
EVENTS = Doc(
    Tag.OPERATORS,
    summary="Follow the live figures",
    answers={200: Answer("A state at once, then each second.", OPERATORS_EVENTS)},
)
