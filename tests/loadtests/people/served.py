"""A small real server that speaks the contract of turns, and breaks one promise when told to.

`python -m tests.loadtests.people.served FAULT PORT_FILE` runs it as a program.
"""

import contextlib
import itertools
import json
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import msgspec

from loadtests.llm_simulator import prose

TOKENS = 30

FAULTS = (
    "none",
    "loses",  # an entry, so that the numbers have a gap
    "loses-unseen",  # a token before it is numbered
    "doubles",  # an entry
    "doubles-unseen",  # a token before it is numbered
    "repeats",  # the last entry again to who comes back
    "skips",  # an entry to who comes back
    "other-end",  # another text than was streamed
    "other-state",  # another state than was streamed
    "fails",
    "refuses",
    "breaks",  # the connection, in the middle of each
    "leaves",  # says bye in the middle of each
    "never-ends",  # no 204 behind the end
    "whole",  # answers in one piece
    "expires",  # wants its tokens renewed before it tells a state
    "lapses",  # says bye in the middle until tokens are renewed
    "drops",  # closes kept connections without a word
    "whole-short",  # answers in one piece without its last token
)


@dataclass(slots=True)
class _Turn:
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    text: str = ""

    def after(self, seq: int) -> list[bytes]:
        """Return the frames behind a number."""
        return [frame for own, frame in self.frames if own > seq]


class Served(ThreadingHTTPServer):
    """The server. `turns` are those that were started."""

    daemon_threads = True

    def __init__(self, fault: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.turns: dict[str, _Turn] = {}
        self.numbers = itertools.count(1)
        self.is_renewed = False
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that were cut; that is what readers do."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self, message: str) -> str:
        """Start a turn and return its id."""
        turn_id = f"turn{next(self.numbers)}"
        tokens = [
            msgspec.json.decode(piece, type=str) for piece in prose.answer(1, message, TOKENS)
        ]
        turn = self.turns[turn_id] = _Turn(text="".join(tokens))
        if self.fault == "loses-unseen":
            del tokens[TOKENS // 2]
            turn.text = "".join(tokens)
        elif self.fault == "doubles-unseen":
            tokens.insert(TOKENS // 2, tokens[TOKENS // 2])
            turn.text = "".join(tokens)
        turn.frames = list(self._frames(turn_id, tokens, turn.text))
        if self.fault == "loses":
            del turn.frames[TOKENS // 2]
        elif self.fault == "doubles":
            turn.frames.insert(TOKENS // 2, turn.frames[TOKENS // 2])
        return turn_id

    def _frames(
        self, turn_id: str, tokens: list[str], text: str
    ) -> Generator[tuple[int, bytes], None, None]:
        told = {"text": text, "stored": True, "finish_reason": "stop"}
        events: list[tuple[str, dict[str, Any]]] = [("turn.started", {"turn_id": turn_id})]
        events += [("text.delta", {"text": token}) for token in tokens]
        match self.fault:
            case "fails":
                events.append(("turn.failed", {"text": text, "code": "upstream_timeout"}))
            case "other-end":
                events.append(("turn.completed", told | {"text": text + "!"}))
            case _:
                events.append(("turn.completed", told))
        for seq, (name, data) in enumerate(events, 1):
            frame = f"id: {turn_id}.1-{seq}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
            yield seq, frame.encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def served(self) -> Served:
        return cast("Served", self.server)

    def log_message(self, *args: Any) -> None:
        """Write no log."""

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(data or b"{}")
        self._note()
        if self.path == "/api/v1/auth/guest":
            has_tokens = self.served.fault in {"expires", "lapses"}
            name = "chat_refresh" if has_tokens else "chat_guest"
            self._json(200, {}, {"Set-Cookie": f"{name}=somebody; Path=/; HttpOnly"})
        elif self.path == "/api/v1/auth/refresh":
            self.served.is_renewed = not data  # a body would have to hold the token
            self._json(422 if data else 200, {})
        elif self.path == "/api/v1/turns":
            self._start(body)
        else:
            self._json(200, {})

    def do_GET(self) -> None:
        self._note()
        turn_id = self.path.split("/")[4]
        turn = self.served.turns[turn_id]
        if not self.path.endswith("/events"):
            if self.served.fault == "expires" and not self.served.is_renewed:
                self._json(401, {"code": "token_expired"})
                return
            self.served.is_renewed = False
            is_other = self.served.fault == "other-state"
            self._json(200, {"status": "completed", "text": turn.text + "!" * is_other})
            return
        after = int((self.headers.get("Last-Event-ID") or "0").rpartition("-")[2])
        if not turn.after(after) and self.served.fault != "never-ends":
            self._head(204, {})
            return
        if after:
            after += {"repeats": -1, "skips": 1}.get(self.served.fault, 0)
        self._stream(turn_id, after)

    def _start(self, body: dict[str, Any]) -> None:
        fault = self.served.fault
        if fault == "refuses":
            self._json(503, {"code": "server_busy"}, {"Retry-After": "1"})
            return
        turn_id = self.served.start(body["message"])
        turn, names = self.served.turns[turn_id], {"X-Turn-ID": turn_id, "X-Conversation-ID": "c"}
        if fault.startswith("whole"):
            text = turn.text[:-1] if fault == "whole-short" else turn.text
            state = {"turn_id": turn_id, "status": "completed", "text": text}
            self._json(200, state | {"finish_reason": "stop"}, names)
        elif "text/event-stream" in self.headers["Accept"]:
            self._stream(turn_id, 0, names)
        else:
            self._json(201, {"turn_id": turn_id, "streaming": True}, names)

    def _stream(self, turn_id: str, after: int, names: dict[str, str] | None = None) -> None:
        frames, fault = self.served.turns[turn_id].after(after), self.served.fault
        sent = frames[:10] if fault in {"breaks", "leaves"} else frames
        if fault == "lapses" and not self.served.is_renewed:
            sent = [] if after else frames[:10]
        own = {"Content-Type": "text/event-stream; charset=utf-8", "Connection": "close"}
        self._head(200, own | (names or {}), length=None)
        with contextlib.suppress(OSError):
            for frame in sent:
                self.wfile.write(frame)
            if fault == "lapses" and not self.served.is_renewed:
                self.wfile.write(b'event: bye\ndata: {"reason":"token_expired"}\n\n')
            if fault == "leaves" and len(sent) < len(frames):
                self.wfile.write(b'retry: 10\nevent: bye\ndata: {"reason":"draining"}\n\n')
        self.close_connection = True

    def _json(self, status: int, told: dict[str, Any], names: dict[str, str] | None = None) -> None:
        data = json.dumps(told).encode()
        self._head(status, {"Content-Type": "application/json"} | (names or {}), length=len(data))
        self.wfile.write(data)

    def _head(self, status: int, names: dict[str, str], length: int | None = 0) -> None:
        self.send_response(status)
        for name, value in names.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.close_connection = self.close_connection or self.served.fault == "drops"

    def _note(self) -> None:
        self.served.requests.append((self.command, self.path, dict(self.headers.items())))


@contextlib.contextmanager
def serving(fault: str = "none") -> Generator[Served, None, None]:
    """Serve on a free port for the length of the block."""
    with Served(fault) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            served.shutdown()
            thread.join()


if __name__ == "__main__":
    with Served(sys.argv[1]) as program:
        Path(sys.argv[2]).write_text(str(program.server_address[1]), encoding="ascii")
        program.serve_forever()
