"""Bytes of audio as an answer: whole, in part, or not again. Source: RFC 9110, 13 and 14."""

import hashlib
import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from server.errors import ProblemError
from streaming.speech.base import Audio

MAX_AGE_S = 3600
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII | re.IGNORECASE)


def audio_response(request: Request, audio: Audio, headers: Mapping[str, str]) -> Response:
    """Answer with audio: 304 where the caller has it, 206 for one range.

    Several ranges, and what is none, are answered with the whole; so are other methods than GET.

    Raises:
        ProblemError: 416, no byte is in the range.
    """
    etag = f'"{hashlib.sha256(audio.data).hexdigest()[:32]}"'
    fixed = {
        **headers,
        "ETag": etag,
        "Cache-Control": f"private, max-age={MAX_AGE_S}, immutable",
        "Accept-Ranges": "bytes",
        "X-Speech-Duration": f"{audio.duration_s:.3f}",
    }
    if _knows(request, etag):
        return Response(status_code=304, headers=fixed)
    part = _part(request, etag, len(audio.data))
    if part is None:
        return Response(audio.data, media_type=audio.media_type, headers=fixed)
    start, end = part
    if start >= end:
        size = len(audio.data)
        headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        detail = f"This audio has {size} bytes, none of them in that range."
        raise ProblemError(416, "range_not_satisfiable", detail, headers=headers)
    fixed["Content-Range"] = f"bytes {start}-{end - 1}/{len(audio.data)}"
    return Response(audio.data[start:end], 206, media_type=audio.media_type, headers=fixed)


def _knows(request: Request, etag: str) -> bool:
    if request.method not in {"GET", "HEAD"}:
        return False
    known = [tag.strip().removeprefix("W/") for tag in _header(request, "if-none-match").split(",")]
    return etag in known or known == ["*"]


def _part(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """Return the bytes that are asked for, end excluded; None: all."""
    match = _RANGE.fullmatch(_header(request, "range")) if request.method == "GET" else None
    if match is None or not any(match.groups()):
        return None
    if _header(request, "if-range") not in {"", etag}:
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _header(request: Request, name: str) -> str:
    return request.headers.get(name, "").strip()
