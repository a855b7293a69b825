"""What is to be refused, and how; and the headers that every answer has."""

from collections.abc import Iterator
from typing import Any

from operations.findings import Finding, fail, ok, skip, warn
from operations.smoke.caller import API, Caller

BODY_BYTES = 1_200_000
"""Above MAX_BODY_BYTES as it comes, and above what nginx is rendered with."""

FORM = "application/x-www-form-urlencoded"

_NOWHERE = "0" * 26

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "",
    "Referrer-Policy": "",
    "X-Request-ID": "",
}
"""Of every answer, with the value where there is only one."""


def headers(caller: Caller) -> Finding:
    """Compare the headers of the page with what browsers are to go by."""
    answer = caller.client.get("/")
    wanted = dict(HEADERS)
    if caller.is_https:
        wanted["Strict-Transport-Security"] = ""
    missing = [
        name
        for name, value in wanted.items()
        if name not in answer.headers or value not in answer.headers[name]
    ]
    if missing:
        return fail("headers", f"the page lacks {', '.join(missing)}")
    return ok("headers", ", ".join(wanted))


def health(caller: Caller) -> Finding:
    """Ask whether the service takes work."""
    ready = caller.client.get("/health/ready")
    if ready.status_code != 200:  # noqa: PLR2004  # the protocol's own
        return fail("health", f"/health/ready answered {ready.status_code}")
    return ok("health", "ready")


def cookies(caller: Caller) -> Finding:
    """Judge the cookies of the sign-in: over TLS no other host can set them, nor read them."""
    if not caller.cookies:
        return skip("cookies", "none was set: an API key needs none")
    wanted = {"httponly", "samesite=lax", "path=/", *({"secure"} if caller.is_https else ())}
    for line in caller.cookies:
        pair, *attributes = (part.strip() for part in line.split(";"))
        name = pair.partition("=")[0]
        lacking = wanted - {attribute.lower() for attribute in attributes}
        if caller.is_https and not name.startswith("__Host-"):
            lacking.add("__Host- (does TRUSTED_PROXIES name the proxy?)")
        if lacking:
            return fail("cookies", f"{name} lacks {', '.join(sorted(lacking))}")
    return ok("cookies", ", ".join(line.partition("=")[0] for line in caller.cookies))


def figures(nobody: Caller) -> Finding:
    """Ask for the operators' figures as nobody; in development, without TLS, they are open."""
    status = nobody.client.get("/metrics").status_code
    if not nobody.is_https:
        return skip("figures", "open in development: looked at over https only")
    if status == 200:  # noqa: PLR2004  # the protocol's own
        return warn("figures", "/metrics is open to strangers here: is APP_ENV production?")
    return ok("figures", f"/metrics answers {status} to a stranger")


def refused(caller: Caller) -> Iterator[Finding]:
    """Yield what became of each request that is to be refused."""
    nobody = {"Authorization": "Bearer none"}
    long = {"message": "x" * BODY_BYTES}
    more = {"message": "Hello", "nonsense": True}
    yield _expect(caller, 404, "no such turn", "GET", f"/turns/turn_{_NOWHERE}")
    yield _expect(caller, 404, "no such conversation", "GET", f"/conversations/conv_{_NOWHERE}")
    yield _expect(caller, 422, "an empty message", "POST", "/turns", json={"message": ""})
    yield _expect(caller, 422, "an unknown field", "POST", "/turns", json=more)
    yield _expect(caller, 400, "a body that is no JSON", "POST", "/turns", **_body("{"))
    yield _expect(caller, 415, "a form", "POST", "/turns", **_body("message=x", FORM))
    yield _expect(caller, 405, "another method", "PUT", "/turns", json={})
    yield _expect(caller, 413, "a body that is too long", "POST", "/turns", json=long)
    yield _expect(caller, 401, "a bearer of nobody", "GET", "/conversations", headers=nobody)
    yield _cursor(caller)


def _body(content: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": media_type}}


def _cursor(caller: Caller) -> Finding:
    """Ask for the rest of a turn of one's own after something that is no cursor."""
    answer = caller.post("/turns", {"message": "Hello"})
    path = f"/turns/{answer.headers['X-Turn-ID']}/events"
    cursor = {"Last-Event-ID": "no cursor"}
    return _expect(caller, 400, "a malformed cursor", "GET", path, headers=cursor)


def _expect(  # noqa: PLR0917  # a line for each case
    caller: Caller, status: int, case: str, method: str, path: str, **more: Any
) -> Finding:
    answer = caller.client.request(method, f"{API}{path}", **more)
    name = f"{status} {case}"
    kind = answer.headers.get("Content-Type", "")
    if answer.status_code != status:
        return fail(name, f"answered {answer.status_code}")
    if not kind.startswith("application/problem+json"):
        return fail(name, f"answered {kind or 'nothing'}, not application/problem+json")
    return ok(name, str(answer.json().get("code", "")))
