"""What nginx writes down of callers, and who is counted as one."""

import json
from pathlib import Path

import pytest

from tests.support.nginx import free_ports, running_nginx

pytestmark = pytest.mark.services
FILE = "/assets/favicon.svg"
BEHIND_ANOTHER = "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Real-IP;\n"


async def test_no_log_has_a_query_whatever_goes_wrong(tmp_path: Path) -> None:
    [nobody] = free_ports(1)
    options = ["--requests-per-s", "1", "--burst", "7", "--max-body-bytes", "1024"]
    query = "?code=canary&state=canary"
    async with running_nginx(tmp_path, upstream=nobody, options=options) as nginx:
        async with nginx.client() as http:
            no_worker = await http.get(f"/api/v1/auth/oidc/callback{query}")
            stream = await http.get(f"/api/v1/turns/t/events{query}")
            no_file = await http.get(f"/assets/nothing.js{query}")
            too_large = await http.post(f"/api/v1/turns{query}", content=b"x" * 2_000)
            closed = await http.get(f"/metrics/.hidden{query}")
            refused = [await http.get(f"/api/v1/turns{query}") for _ in range(12)]
            moved = await http.get(f"http://localhost:{nginx.http_port}/{query}")
        errors = (tmp_path / "error.log").read_text(encoding="utf-8")
        log = nginx.access_log.read_text(encoding="utf-8")

    told = [answer.status_code for answer in (no_worker, stream, no_file, too_large, closed)]
    assert told == [503, 200, 404, 413, 404]
    assert refused[-1].status_code == 429
    assert moved.headers["location"].endswith(query)  # to whom it is for, it is passed on
    assert "canary" not in log + errors
    line = json.loads(log.splitlines()[0])
    assert line["upstream"] == f"127.0.0.1:{nobody}"  # whom it did not reach is told here
    assert (line["status"], line["upstream_status"]) == (503, "502")


@pytest.mark.parametrize(
    ("callers", "answers"),
    [
        pytest.param(
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:f:f:f:f"], [200, 200, 429], id="a /64"
        ),
        pytest.param(
            ["2001:db8:a0a:a::1", "2001:db8:a0a:a::2", "2001:db8:a0a:a:a0a::3"],
            [200, 200, 429],
            id="a /64 with bytes that end lines",
        ),
        pytest.param(["2001:db8:1:1::1", "2001:db8:1:2::1"] * 2, [200] * 4, id="two of /64"),
        pytest.param(["198.51.100.1"] * 3, [200, 200, 429], id="an address"),
        pytest.param(["198.51.100.2", "198.51.100.3"] * 2, [200] * 4, id="two addresses"),
    ],
)
async def test_a_network_of_ipv6_is_one_caller(
    tmp_path: Path, callers: list[str], answers: list[int]
) -> None:
    options = ["--requests-per-s", "1", "--burst", "1"]
    async with (
        running_nginx(tmp_path, upstream=9, options=options, beside=BEHIND_ANOTHER) as nginx,
        nginx.client() as http,
    ):
        got = [(await http.get(FILE, headers={"X-Real-IP": each})).status_code for each in callers]

    assert got == answers
