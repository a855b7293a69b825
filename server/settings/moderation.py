"""What must not be said."""

from pydantic_settings import BaseSettings


class ModerationSettings(BaseSettings):
    """Settings of the moderation."""
