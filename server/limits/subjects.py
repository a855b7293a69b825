"""Who is counted: a user by their id, a guest by theirs and by their address, too."""

from dataclasses import dataclass

from starlette.requests import Request

from server.auth.caller import Caller
from server.limits.addresses import UNKNOWN, Addresses
from server.limits.base import Rate


@dataclass(frozen=True, slots=True)
class Subject:
    """One of those whom a call counts for.

    Args:
        name: An owner's id, or what an address is called.
        share: How many times as much as one owner they may ask for.
        is_user: Whether they have an account.
    """

    name: str
    share: int = 1
    is_user: bool = False

    def key(self, what: str) -> str:
        """Return the key of what is counted for them; all of theirs are in one slot."""
        return key_of(self.name, what)


def key_of(name: str, what: str) -> str:
    """Return the key of what is counted for somebody."""
    return f"chat:limits:{{{name}}}:{what}"


class Census:
    """Tells whom a request counts for.

    Args:
        addresses: Names them.
        address_factor: How many times an owner's limits a guest's address has; 0: any number.
    """

    def __init__(self, addresses: Addresses, *, address_factor: int) -> None:
        self._addresses = addresses
        self._factor = address_factor

    def subjects(self, request: Request) -> tuple[Subject, ...]:
        """Return whom a call counts for, the address first; nobody: it is not counted."""
        address = address_of(request)
        if self._addresses.is_allowed(address):
            return ()
        caller: Caller = request.state.caller
        owner = caller.owner
        if owner is not None and owner.role != "guest":
            return (Subject(owner.owner_id, is_user=True),)
        named: list[Subject] = []
        if self._factor:
            named.append(Subject(self._addresses.name(address), self._factor))
        if owner is not None:
            named.append(Subject(owner.owner_id))
        return tuple(named)

    def strangers(self, request: Request) -> tuple[Subject, ...]:
        """Return whom a sign-in counts for: who has not proved anything is their address."""
        address = address_of(request)
        if self._addresses.is_allowed(address):
            return ()
        caller: Caller = request.state.caller
        if caller.owner is not None and caller.owner.role != "guest":
            return (Subject(caller.owner.owner_id, is_user=True),)
        return (Subject(self._addresses.name(address)),)


def address_of(request: Request) -> str:
    """Return the caller's address; see TRUSTED_PROXIES."""
    return request.client.host if request.client is not None else UNKNOWN


def scaled(rate: Rate, subject: Subject) -> Rate:
    """Return a rate as it is for a subject."""
    return rate.times(subject.share)
