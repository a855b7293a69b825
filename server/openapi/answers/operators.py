"""The operators' page."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from server.openapi.answer import Told


class OperatorsAccount(Told):
    """The account that the caller is signed in to."""

    user_id: str
    email: str
    name: str
    role: Literal["user", "admin"]


class OperatorsCookie(Told):
    """A cookie for the operators' token."""

    signed_in: bool
    ends_at: datetime


class OperatorsSession(Told):
    """Whether the caller is signed in as an operator."""

    signed_in: bool
    ends_at: datetime | None = Field(description="Of a cookie for the operators' token.")
    user: OperatorsAccount | None = Field(description="Of whichever role.")
    is_expired: bool = Field(description="A new access token would help: `auth/refresh`.")
