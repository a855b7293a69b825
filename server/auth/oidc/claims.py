"""What a provider says of a user."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider says of a user. Only `subject` is always there, and never changes."""

    subject: str
    email: str
    is_email_verified: bool
    name: str
