"""What the page says of it."""

import re
import subprocess
import sys
from pathlib import Path

from tests.flags.openfeature.services import change, put
from tests.support.redis import RedisServer

_PAGE = Path(__file__).parents[3] / "docs" / "openfeature.md"


def test_the_example_on_the_page_runs(redis: RedisServer) -> None:
    change(redis.url, put("streaming", rollout={"percentage": 100}))
    (example,) = re.findall(r"```python\n(.*?)```", _PAGE.read_text("utf-8"), re.DOTALL)
    assert "redis://127.0.0.1:6379" in example

    ended = subprocess.run(
        [sys.executable, "-c", example.replace("redis://127.0.0.1:6379", redis.url)],
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"user-17 is streamed to\n" in ended.stdout


def test_the_commands_on_the_page_are_all_that_it_needs(redis: RedisServer) -> None:
    change(redis.url, put("streaming", rollout={"percentage": 100}))
    needed = re.search(r"needs (.*?)\son\s`\{flags\}", _PAGE.read_text("utf-8"), re.DOTALL)
    assert needed
    commands = [f"+{name.lower()}" for name in re.findall(r"`([A-Z]+)`", needed[1])]
    with redis.client() as beside:
        beside.execute_command(
            *("ACL", "SETUSER", "reader", "on", ">word", "~{flags}:*", "&{flags}:*", *commands)
        )
    script = (
        "import sys; from openfeature import api\n"
        "from flags.openfeature import ChatstreamFlagProvider\n"
        "api.set_provider_and_wait(ChatstreamFlagProvider(redis_url=sys.argv[1]))\n"
        "print(api.get_client().get_boolean_details('streaming', False).reason)\n"
        "api.shutdown()\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, redis.url.replace("//", "//reader:word@")],
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert ended.stdout.endswith(b"SPLIT\n")
    assert b"NOPERM" not in ended.stdout
