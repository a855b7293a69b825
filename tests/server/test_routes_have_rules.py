"""No route without a rule: who may call it, and which limit counts it."""

import pytest
from starlette.routing import BaseRoute, Mount, Route

from server.app import served_routes
from server.auth.routing import Access, ApiRoute
from server.limits.tiers import Tier

FILES = {"/assets"}
"""The page's files: the only addresses below which no rule is asked."""


def without_rule(routes: list[BaseRoute]) -> list[str]:
    """Return the addresses of routes that nobody has decided about."""
    return [
        getattr(route, "path", repr(route))
        for route in routes
        if not isinstance(route, ApiRoute) and getattr(route, "path", None) not in FILES
    ]


def test_every_route_says_who_may_call_it_and_what_counts_it() -> None:
    routes = served_routes()

    assert without_rule(routes) == []
    for route in routes:
        if isinstance(route, ApiRoute):
            assert isinstance(route.access, Access)
            assert isinstance(route.tier, Tier)


def test_a_route_without_a_rule_is_found() -> None:
    async def anything(_request: object) -> None:
        """Do nothing."""

    routes = [Route("/forgotten", anything), Mount("/more", routes=[])]

    assert without_rule([*routes]) == ["/forgotten", "/more"]
    with pytest.raises(TypeError):
        ApiRoute("/forgotten", anything)  # type: ignore[call-arg, arg-type]  # that is the point
