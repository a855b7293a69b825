"""How much a caller may ask for."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """Settings of the limits. Of each limit, 0 takes it away."""

    rate_limit_enabled: bool = Field(
        True, description="Count calls, and refuse those over a limit; off only behind another."
    )
