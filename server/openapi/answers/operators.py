"""The operators' page."""

from datetime import datetime

from server.openapi.answer import Told


class OperatorsSession(Told):
    """Whether the caller is signed in as an operator, and until when."""

    signed_in: bool
    ends_at: datetime | None
