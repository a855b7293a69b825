"""Why a service cannot start."""


class StartError(Exception):
    """The service cannot start; the message is one clear line that says what to do."""
