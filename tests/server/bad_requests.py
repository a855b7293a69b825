"""Reads `tests/vectors/bad_requests.json`: from a case as data to the bytes that are sent.

`{turn}` and the like stand for what the server under test has; `<x*500>` for 500 times `x`.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.raw_http import request_bytes

VECTORS = Path(__file__).parents[1] / "vectors" / "bad_requests.json"
_REPEATED = re.compile(r"<(.{1,2})\*([0-9]+)>", re.DOTALL)
_CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"


@dataclass(frozen=True)
class BadRequest:
    """One case."""

    id: str
    method: str
    path: str
    status: int
    code: str
    headers: Mapping[str, str]
    body: str
    base64: str
    generate: str

    def to_bytes(self, port: int, places: Mapping[str, str], cookie: str) -> bytes:
        """Return the request as it is sent, by the owner of the cookie."""
        headers = {"Cookie": cookie} | {
            name: _filled(value, places) for name, value in self.headers.items()
        }
        body = _filled(self.body, places).encode() or base64.b64decode(self.base64)
        if self.generate:
            made_headers, body = GENERATORS[self.generate]()
            headers |= made_headers
        path = _filled(self.path, places)
        return request_bytes(self.method, path, port=port, headers=headers, body=body)


def bad_requests() -> list[BadRequest]:
    """Return all cases."""
    cases: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))
    defaults = {"headers": {}, "body": "", "base64": "", "generate": ""}
    return [
        BadRequest(**{**defaults, **{k: v for k, v in case.items() if k != "source"}})
        for case in cases
    ]


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace("{" + name + "}", value)
    return _REPEATED.sub(lambda match: match[1] * int(match[2]), text)


def _json(value: object) -> tuple[dict[str, str], bytes]:
    return {}, json.dumps(value).encode()


def _metadata(literal: str) -> tuple[dict[str, str], bytes]:
    return {}, b'{"message":"hi","metadata":{"a":' + literal.encode() + b"}}"


GENERATORS: dict[str, Callable[[], tuple[dict[str, str], bytes]]] = {
    "message_8001": lambda: _json({"message": "m" * 8001}),
    "message_200_kb": lambda: _json({"message": "m" * 200_000}),
    "message_1_mb": lambda: _json({"message": "m" * 1_000_000}),
    "metadata_20_kb": lambda: _json({"message": "hi", "metadata": {"a": "m" * 20_000}}),
    "unknown_fields_10000": lambda: _json({"message": "hi"} | {f"f{n}": n for n in range(10_000)}),
    "unknown_field_200_kb": lambda: _json({"message": "hi", "f" * 200_000: 1}),
    "nested_100": lambda: _metadata("[" * 100 + "]" * 100),
    "nested_10000": lambda: _metadata("[" * 10_000 + "]" * 10_000),
    "nested_objects_10000": lambda: _metadata('{"a":' * 10_000 + "1" + "}" * 10_000),
    "integer_100000_digits": lambda: _metadata("9" * 100_000),
    "chunked_2_mb": lambda: ({"Transfer-Encoding": "chunked"}, _CHUNK * 32 + b"0\r\n\r\n"),
    "headers_1000": lambda: ({f"X-Header-{number}": "x" * 30 for number in range(1000)}, b""),
}
