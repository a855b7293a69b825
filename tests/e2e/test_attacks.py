"""Attacks as data, against the real server, by itself and behind nginx as it is deployed."""

from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from tests.security.attacks import NGINX, Case, attacks
from tests.security.checks import CHECKS
from tests.security.scene import Scene, set_scene
from tests.support.chat import log_of
from tests.support.front import unfronted

pytestmark = [pytest.mark.services, unfronted("it has one of its own")]

ATTACKS = attacks()
CASES = [
    pytest.param(case, via, id=f"{case.id}-{via}")
    for each in ATTACKS
    for case in each.cases
    for via in case.via
]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Set the scene once."""
    setting = set_scene(tmp_path_factory.mktemp("attacks"))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(setting) as scene:
        yield scene
        assert "Traceback" not in log_of(scene.server)


@pytest.mark.parametrize(("case", "via"), CASES)
async def test_an_attack_is_answered_as_it_should_be(scene: Scene, case: Case, via: str) -> None:
    answer = await scene.send(case, via)

    expected = case.nginx_status if via == NGINX and case.nginx_status else case.status
    assert answer.status in expected, answer.body[:500]
    if case.code and not (via == NGINX and case.nginx_status):
        assert f'"code":"{case.code}"' in answer.body.decode()
    for name, value in case.has.items():
        assert value in answer.headers.get(name, ""), name
    assert not [name for name in case.lacks if name in answer.headers]
    assert not [text for text in case.hides if text.encode() in answer.body]


@pytest.mark.parametrize("name", [name for each in ATTACKS for name in each.checks])
async def test_an_attack_that_takes_more_than_a_request_fails(scene: Scene, name: str) -> None:
    await CHECKS[name](scene)
