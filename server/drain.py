"""Leaving in good order: finish what runs, hand over who reads, then let the connections close."""

from server.services import Services


async def drain(services: Services) -> None:
    """Take nothing new, let turns finish for `DRAIN_TIMEOUT_S`, then ask readers to come back.

    Readers follow their turns to the end meanwhile: it is only here that these are written.
    """
    await services.runner.drain(services.settings.drain_timeout_s)
    services.readers.leave_all()
    services.operator_streams.leave_all()
