"""The service's settings: the only place where the environment is read."""

from server.settings.secrets import MIN_SECRET_CHARS
from server.settings.settings import (
    EX_CONFIG,
    RESTORE_PROGRESS,
    Settings,
    fault_lines,
    load_settings,
)

__all__ = [
    "EX_CONFIG",
    "MIN_SECRET_CHARS",
    "RESTORE_PROGRESS",
    "Settings",
    "fault_lines",
    "load_settings",
]
