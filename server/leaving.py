"""Deleting what somebody owns: with their account, and what another worker let them begin since."""

from functools import partial

from server import holders
from server.services import Services
from streaming.turn import Cancelled

CANCEL_WAIT_S = 5.0
SEE_OFF_EVERY_S = 5.0


async def delete_conversations(services: Services, owner_id: str) -> None:
    """Delete all conversations of an owner; turns that run in them are cancelled first.

    Raises:
        HistoryError: some are left.
    """
    conversations = services.history.conversations
    while (page := await conversations.list(owner_id, limit=100, cursor=None)).items:
        for conversation in page.items:
            if conversation.active_turn_id is not None:
                await holders.cancel_turn(
                    services, conversation.active_turn_id, Cancelled("user"), wait_s=CANCEL_WAIT_S
                )
            await holders.silence(services, owner_id, conversation.conversation_id)
            await conversations.delete(owner_id, conversation.conversation_id)


async def see_off_leavers(services: Services) -> None:
    """Delete what those who have left began while other workers did not know it.

    Raises:
        HistoryError: some is left; it is tried again the next time.
    """
    await services.sign_in.leavers.see_off(partial(delete_conversations, services))
