"""Reads `tests/vectors/attacks.json`: what is tried, what has to come of it, and what shows that.

An attack is shown by requests (`cases`), by code in `tests/security/checks.py` (`checks`), by other
tests (`shown_by`, as `tests/….py::name`), or does not apply (`not_here`, with the reason).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.raw_http import request_bytes

VECTORS = Path(__file__).parents[1] / "vectors" / "attacks.json"
APP, NGINX = "app", "nginx"
_REPEATED = re.compile(r"<([^<>*]{1,40})\*([0-9]+)>")


@dataclass(frozen=True)
class Case:
    """One request, and what has to be answered.

    Args:
        id: Unique.
        by: Who sends it: `nobody`, `alice`, `operator`, or `forged:` and how.
        raw: The whole request instead, where a client could not write it.
        status: What is answered; any of them.
        nginx_status: The same of nginx, where it answers differently.
        code: Of the problem, where the service itself answers.
        has: Header fields of the answer, and what they contain.
        lacks: Header fields that it has not.
        hides: Text that it does not contain.
        via: Whom it is sent to.
    """

    id: str
    status: Sequence[int]
    method: str = "GET"
    path: str = "/api/v1/conversations"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    raw: str = ""
    by: str = "nobody"
    nginx_status: Sequence[int] = ()
    code: str = ""
    has: Mapping[str, str] = field(default_factory=dict)
    lacks: Sequence[str] = ()
    hides: Sequence[str] = ()
    via: Sequence[str] = (APP, NGINX)

    def to_bytes(
        self, authority: str, places: Mapping[str, str], proof: Mapping[str, str]
    ) -> bytes:
        """Return the request as it is sent; `places` fill `{names}`, `<x*9>` is nine times x."""
        if self.raw:
            return _filled(self.raw, {**places, "host": authority}).encode("latin-1")
        headers = {"Host": authority, **proof}
        if self.body:
            headers["Content-Type"] = "application/json"
        headers |= {name: _filled(value, places) for name, value in self.headers.items()}
        body = _filled(self.body, places).encode()
        return request_bytes(
            self.method, _filled(self.path, places), port=0, headers=headers, body=body
        )


@dataclass(frozen=True)
class Attack:
    """What is tried. `holds` is what comes of it, `source` where it is from; see the module."""

    number: int
    attack: str
    holds: str
    source: str = ""
    cases: Sequence[Case] = ()
    checks: Sequence[str] = ()
    shown_by: Sequence[str] = ()
    not_here: str = ""
    waits_for: str = ""


def attacks() -> list[Attack]:
    """Return all attacks."""
    given: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))
    return [
        Attack(**{**{k: v for k, v in each.items() if k != "all"}, "cases": list(_cases(each))})
        for each in given
    ]


def _cases(attack: Mapping[str, Any]) -> Iterator[Case]:
    """Return the cases; what they have in common stands once, in `all`."""
    shared: dict[str, Any] = attack.get("all", {})
    for case in attack.get("cases", ()):
        whole = {**shared, **case}
        yield Case(**{**whole, "id": f"{attack['number']}-{whole['id']}"})


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace("{" + name + "}", value)
    return _REPEATED.sub(lambda match: match[1] * int(match[2]), text)
